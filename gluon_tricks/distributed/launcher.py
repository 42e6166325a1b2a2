"""``gluon-tricks launch``: starts the processes of a run on many machines, ends them together, and
starts them again.

The parameter server (ps-lite) comes with MXNet: :mod:`gluon_tricks.distributed.server` is its
scheduler and its servers. It notices no death among its processes, so that one death has to end all
of them here. Horovod's workers are started by ``horovodrun``, which is one process to this
launcher.
"""

import argparse
import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time

from ..child_processes import end_with_parent
from ..config import user_path
from ..errors import UserError
from . import guardian

WORK = ("worker", "horovodrun")  # the roles that end when the run does
GRACE = 10  # seconds between asking a process to end and killing it
ANSWER = 30  # seconds that a host has to answer
RANK = re.compile(
    r"parameter server: worker (\d+) of \d+"
)  # said by each worker, since the scheduler gives out the ranks


def add_arguments(parser):
    """The flags of the launch, then ``--`` and the words of ``train``."""
    parser.add_argument(
        "--kvstore",
        choices=("dist_sync", "dist_device_sync", "dist_async", "horovod"),
        default="dist_sync",
        help="how gradients travel [dist_sync]",
    )
    parser.add_argument("-n", "--workers", type=int, required=True, metavar="N", help="workers")
    parser.add_argument(
        "-s",
        "--servers",
        type=int,
        metavar="N",
        help="servers [as many as workers]; Horovod has none",
    )
    parser.add_argument(
        "--hosts",
        type=user_path,
        metavar="HOSTS",
        help="a:8,b:8 or a file with one of them a line; workers and servers go round them, by ssh. Without: this machine",
    )
    parser.add_argument(
        "--address",
        help="address of this machine that the hosts reach; the scheduler listens there [127.0.0.1]",
    )
    parser.add_argument(
        "--restarts",
        type=int,
        default=0,
        metavar="N",
        help="when a process fails, start all again up to N times with --resume auto, on the hosts that answer; with fewer "
        "hosts there are fewer workers, which needs train's --elastic [0]",
    )
    parser.add_argument(
        "--interface",
        help="network interface, of the same name on all hosts, to listen on [lo; with --hosts: the first]",
    )
    parser.add_argument("--port", type=int, default=0, help="the scheduler's port [a free one]")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print environment and commands, for other schedulers, and start nothing",
    )
    parser.add_argument(
        "words",
        nargs=argparse.REMAINDER,
        metavar="-- train ...",
        help="the command of every worker",
    )


def main(args):
    """Run until all workers are through; the exit code is that of the first process that failed, or
    0.
    """
    hosts = read_hosts(args.hosts) if args.hosts else {}
    processes = plan(args, hosts)
    if args.dry_run:
        for process in processes:
            print(
                "# {}{}\n{}".format(
                    process.label, " on " + process.host if process.host else "", process.line()
                )
            )
        return 0
    slots = sum(hosts.values())
    for left in range(args.restarts, -1, -1):
        code = Group(processes).run()
        if code in FINAL or not left:
            return code
        hosts = answering(hosts)
        if slots and not hosts:
            say("none of the hosts answers")
            return code
        say(
            "starting again from the last checkpoint, on {}; {} more restarts".format(
                ", ".join(hosts) or "this machine", left - 1
            )
        )
        workers = max(1, args.workers * sum(hosts.values()) // slots) if slots else args.workers
        processes = plan(args, hosts, workers, again=True)
    raise AssertionError("the last round returns")


# exit codes after which starting again does not help or is not wanted
FINAL = (0, 2, 3, 129, 130, 143)


def say(text):
    """A line of the launcher's own."""
    print("gluon-tricks launch: " + text, file=sys.stderr, flush=True)


def answering(hosts):
    """Those of the hosts that can be reached."""
    ask = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]
    silent = dict(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    checks = [
        subprocess.Popen(ask + [host, "true"], preexec_fn=end_with_parent(), **silent)
        for host in hosts
    ]
    deadline = time.monotonic() + ANSWER
    found = {}
    for (host, slots), check in zip(hosts.items(), checks):
        with contextlib.suppress(subprocess.TimeoutExpired):
            if check.wait(max(0, deadline - time.monotonic())) == 0:
                found[host] = slots
        check.kill()
        check.wait()
    return found


class Process:
    """One process: its role and number, its host (empty: here), its environment and its command."""

    def __init__(self, role, number, host, environment, command):
        self.role, self.host, self.environment, self.command = role, host, environment, command
        self.label = role if role in ("scheduler", "horovodrun") else f"{role} {number}"
        self.popen = None

    def line(self):
        """The command with its environment, for a shell."""
        words = [f"{name}={shlex.quote(value)}" for name, value in sorted(self.environment.items())]
        return " ".join(["env"] + words + [shlex.quote(word) for word in self.command])

    def start(self):
        """Start it in a process group of its own, to be killed by the kernel when this process
        dies.
        """
        command, environment = self.command, dict(os.environ, **self.environment)
        if self.host:
            # With a terminal (-tt), what runs over there ends with the connection.
            line = f"cd {shlex.quote(os.getcwd())} && exec {self.line()}"
            command = ["ssh", "-tt", "-o", "BatchMode=yes", self.host, line]
        self.popen = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=end_with_parent(),
        )

    def is_stopped(self):
        """Whether it was stopped by a signal (SIGSTOP), and runs here."""
        with contextlib.suppress(OSError):
            return guardian.is_stopped(self.popen.pid)
        return False

    def signal(self, number):
        """Send a signal to its whole group, if that is still there."""
        try:
            os.killpg(self.popen.pid, number)
        except ProcessLookupError:
            pass


def plan(args, hosts, workers=None, again=False):
    """The :class:`Process` list that the arguments ask for: scheduler, servers, workers; or
    ``horovodrun``.

    ``hosts`` is {name: slots}, empty for this machine; ``again`` says that the run goes on from its
    last checkpoint. Raises :class:`UserError` for numbers or words that cannot be.
    """
    workers = args.workers if workers is None else workers
    servers = args.servers or workers
    if args.workers < 1 or (args.servers is not None and args.servers < 1):
        raise UserError(
            f"-n {args.workers} -s {args.servers}: there has to be at least one worker and one server"
        )
    if args.restarts < 0:
        raise UserError(f"--restarts {args.restarts}: has to be at least 0")
    words = args.words[1:] if args.words[:1] == ["--"] else args.words
    if words[:1] != ["train"]:
        raise UserError(
            "gluon-tricks launch -n N -s N -- train FLAGS: the words after -- have to begin with train"
        )
    if any(word.split("=")[0] == "--kvstore" for word in words):
        raise UserError("--kvstore belongs before the --, to launch; the workers get it from there")
    work = [sys.executable, "-m", "gluon_tricks"] + words + ["--kvstore", args.kvstore]
    if again:
        work += ["--resume", "auto"]
    common = {}
    if not hosts and (
        not os.environ.get("OMP_NUM_THREADS") or os.environ.get("GLUON_TRICKS_SET_THREADS")
    ):
        common["OMP_NUM_THREADS"] = str(max(1, len(os.sched_getaffinity(0)) // workers))
    if args.kvstore == "horovod":
        return [Process("horovodrun", 0, "", common, horovodrun(args, hosts, workers) + work)]
    return parameter_server(args, hosts, workers, servers, work, common)


def horovodrun(args, hosts, workers):
    """The words that start so many of Horovod's workers."""
    if args.servers or args.address or args.port:
        raise UserError(
            "--servers, --address and --port are the parameter server's: Horovod has none of them"
        )
    if not hosts and args.interface not in (None, "lo"):
        raise UserError(
            f"--interface {args.interface}: on one machine Horovod's workers use lo alone"
        )
    words = [sys.executable, "-m", "gluon_tricks.distributed.horovodrun", "-np", str(workers)]
    if hosts:
        words += ["-H", ",".join("{}:{}".format(*host) for host in hosts.items())]
    interface = args.interface or (None if hosts else "lo")
    return words + (["--network-interfaces", interface] if interface else [])


def parameter_server(args, hosts, workers, servers, work, common):
    """Scheduler, servers and workers of MXNet's parameter server."""
    if hosts and not args.address:
        raise UserError("--hosts needs --address, the address of this machine that the hosts reach")
    common = dict(
        common,
        DMLC_PS_ROOT_URI=args.address or "127.0.0.1",
        DMLC_PS_ROOT_PORT=str(args.port or free_port()),
        DMLC_NUM_WORKER=str(workers),
        DMLC_NUM_SERVER=str(servers),
    )
    if args.interface or not hosts:
        common["DMLC_INTERFACE"] = args.interface or "lo"
    if not hosts and not args.interface:
        common["DMLC_NODE_HOST"] = "127.0.0.1"
    if hosts:  # what ssh does not take along
        common.update(
            {
                name: value
                for name, value in os.environ.items()
                if re.match("(MXNET|PS|OMP)_|NVIDIA_TF32_OVERRIDE$|PYTHONPATH$|PATH$", name)
            }
        )
    serve = [sys.executable, "-m", "gluon_tricks.distributed.server"]
    where = list(hosts) or [""]
    found = [Process("scheduler", 0, "", dict(common, DMLC_ROLE="scheduler"), serve)]
    for role, count, command in (("server", servers, serve), ("worker", workers, work)):
        for number in range(count):
            found.append(
                Process(
                    role, number, where[number % len(where)], dict(common, DMLC_ROLE=role), command
                )
            )
    return found


def read_hosts(text):
    """{host: slots} of ``a:8,b`` (a host alone has one slot), or of a file with one of them a line,
    where # begins a comment.
    """
    words = text.split(",")
    if os.path.isfile(text) or os.sep in text:
        try:
            with open(text) as file:
                words = [line.split("#")[0].strip() for line in file]
        except OSError as error:
            raise UserError(f"--hosts {text}: {error.strerror}") from None
    hosts = {}
    for word in filter(None, words):
        # no option of ssh, for instance
        found = re.match(r"([\w.@][\w.@-]*)(?::([1-9]\d*))?$", word)
        if not found:
            raise UserError(f"--hosts {text}: {word!r} is neither a host's name nor name:slots")
        hosts[found.group(1)] = int(found.group(2) or 1)
    if not hosts:
        raise UserError(f"--hosts {text}: names no host")
    return hosts


def free_port():
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Group:
    """Processes that run and end together."""

    def __init__(self, processes):
        self._processes = processes
        self._lock = threading.Lock()
        self._readers = []
        self._signal = None

    def run(self):
        """Start all, wait for the workers, end the rest; the exit code, 128 + the signal's number
        where one ended them.
        """
        before = {
            number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            for process in self._processes:
                process.start()
                reader = threading.Thread(target=self._copy, args=(process,), daemon=True)
                reader.start()
                self._readers.append(reader)
            code = self._wait()
            # horovodrun says 1 whatever ended it, and what was told to stop must not be started
            # again.
            return 128 + self._signal if code and self._signal is not None else code
        finally:
            self._end()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number, frame):
        if self._signal is not None:
            raise KeyboardInterrupt
        self._signal = number
        for process in self._processes:
            if process.role in WORK and process.popen is not None:
                process.signal(number)

    def _wait(self):
        """Until the workers have ended well, or one process has not."""
        while True:
            codes = {process: process.popen.poll() for process in self._processes}
            failed = [process for process, code in codes.items() if code]
            if failed:
                first, code = failed[0], codes[failed[0]]
                with self._lock:
                    how = (
                        f"was killed by {signal.Signals(-code).name}"
                        if code < 0
                        else f"ended with {code}"
                    )
                    for process in self._processes:
                        if process.is_stopped():
                            say(
                                f"{process.label} is stopped (process {process.popen.pid}): the others waited for it"
                            )
                    say(
                        "{} {}{}".format(
                            first.label, how, "; ending the others" if len(codes) > 1 else ""
                        )
                    )
                return 128 - code if code < 0 else code
            if all(code == 0 for process, code in codes.items() if process.role in WORK):
                return 0
            time.sleep(0.05)

    def _end(self):
        """Ask all that are left to end, then kill; nothing of any group stays."""
        started = [process for process in self._processes if process.popen is not None]
        for process in started:
            if process.popen.poll() is None:
                process.signal(signal.SIGTERM)
                process.signal(signal.SIGCONT)  # a stopped process ends only when it goes on
        # A worker that was told to stop writes a checkpoint; the others have nothing to write.
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

    def _copy(self, process):
        """Print what a process says, each line behind its role and rank."""
        with process.popen.stdout as lines:
            for line in lines:
                text = line.decode(errors="replace").rstrip("\r\n")
                rank = RANK.search(text)
                with self._lock:
                    if rank:
                        process.label = "worker " + rank.group(1)
                        continue
                    print(f"[{process.label}] {text}", flush=True)
