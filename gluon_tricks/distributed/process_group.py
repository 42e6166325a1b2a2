"""Processes that run and end together.

ps-lite does not notice when one of its processes dies, so this module ends the others.
"""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time

from ..child_processes import end_with_parent, name_of_signal
from . import guardian

WORK = ("worker", "horovodrun")  # the roles that end with the run
GRACE = 10  # seconds between asking a process to end and killing it
# Each worker prints this line, since its rank comes from the scheduler.
RANK = re.compile(r"parameter server: worker (\d+) of \d+")


def say(text):
    """Print a line of the launcher's own."""
    print("gluon-tricks launch: " + text, file=sys.stderr, flush=True)


class Process:
    """One process: its role and number, its host (empty: this machine), the variables that it adds
    to the environment or, if they are None, removes from it, and its command.
    """

    def __init__(self, role, number, host, environment, command):
        self.role, self.host, self.environment, self.command = role, host, environment, command
        self.label = role if role in ("scheduler", "horovodrun") else f"{role} {number}"
        self.popen = None

    def shell_line(self):
        """The command with its environment, for a shell."""
        variables = [
            f"{name}={shlex.quote(value)}"
            for name, value in sorted(self.environment.items())
            if value is not None
        ]
        return " ".join(["env"] + variables + [shlex.quote(word) for word in self.command])

    def start(self):
        """Start it in its own process group. The kernel kills it when this process dies."""
        command, merged = self.command, dict(os.environ, **self.environment)
        if self.host:
            # With a terminal (-tt), the remote process ends with the connection.
            line = f"cd {shlex.quote(os.getcwd())} && exec {self.shell_line()}"
            command = ["ssh", "-tt", "-o", "BatchMode=yes", self.host, line]
        self.popen = subprocess.Popen(
            command,
            env={name: value for name, value in merged.items() if value is not None},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=end_with_parent(),
        )

    def is_stopped(self):
        """Whether it runs here and is stopped by a signal (SIGSTOP)."""
        with contextlib.suppress(OSError):
            return guardian.is_stopped(self.popen.pid)
        return False

    def signal(self, number):
        """Send a signal to its whole group, if that still exists."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, number)


class ProcessGroup:
    """Processes that are started together. If one fails, the others are ended."""

    def __init__(self, processes):
        self._processes = processes
        self._lock = threading.Lock()  # for what is printed
        self._readers = []
        self._signal = None

    def run(self):
        """Start all, wait for the workers, end the rest. Returns the exit code: 128 + the signal's
        number if a signal to this process ended them.
        """
        before = {
            number: signal.signal(number, self._pass_on)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            for process in self._processes:
                process.start()
                reader = threading.Thread(target=self._print_output, args=(process,), daemon=True)
                reader.start()
                self._readers.append(reader)
            code = self._wait()
            # horovodrun ends with 1 for any reason, but a launch that was told to stop must not be
            # started again.
            return 128 + self._signal if code and self._signal is not None else code
        finally:
            self._end()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _pass_on(self, number, frame):
        """Pass a signal to this process on to the workers. A second one ends all at once."""
        if self._signal is not None:
            raise KeyboardInterrupt
        self._signal = number
        for process in self._processes:
            if process.role in WORK and process.popen is not None:
                process.signal(number)

    def _wait(self):
        """Wait until all workers have succeeded or a process has failed. Returns the exit code."""
        while True:
            codes = {process: process.popen.poll() for process in self._processes}
            for process, code in codes.items():
                if code:
                    self._explain(process, code)
                    return 128 - code if code < 0 else code
            if all(code == 0 for process, code in codes.items() if process.role in WORK):
                return 0
            time.sleep(0.05)

    def _explain(self, failed, code):
        """Say which process failed, and which are stopped: it may have waited for them."""
        how = f"was killed by {name_of_signal(-code)}" if code < 0 else f"ended with {code}"
        with self._lock:
            for process in self._processes:
                if process.is_stopped():
                    say(
                        f"{process.label} is stopped (process {process.popen.pid}): "
                        "the others waited for it"
                    )
            others = "; ending the others" if len(self._processes) > 1 else ""
            say(f"{failed.label} {how}{others}")

    def _end(self):
        """Ask the remaining processes to end, then kill them, so that none of any group stays."""
        started = [process for process in self._processes if process.popen is not None]
        for process in started:
            if process.popen.poll() is None:
                process.signal(signal.SIGTERM)
                process.signal(signal.SIGCONT)  # a stopped process has to continue to end
        # Workers that were told to stop write a checkpoint; otherwise there is nothing to write.
        deadline = time.monotonic() + (GRACE if self._signal is not None else 2)
        while time.monotonic() < deadline and any(
            process.popen.poll() is None for process in started
        ):
            time.sleep(0.05)
        for process in started:
            process.signal(signal.SIGKILL)
            process.popen.wait()
        for reader in self._readers:
            reader.join(2)

    def _print_output(self, process):
        """Print each line of a process's output with its role and rank in front."""
        with process.popen.stdout as lines:
            for line in lines:
                text = line.decode(errors="replace").rstrip("\r\n")
                rank = RANK.search(text)
                with self._lock:
                    if rank:
                        process.label = "worker " + rank.group(1)
                        continue
                    print(f"[{process.label}] {text}", flush=True)
