"""Kills a worker that is stopped for too long: ``python guardian.py SECONDS``, started by the
worker with a pipe as stdin.

A launcher waits until each worker has ended, for ever if one is stopped (SIGSTOP), and until then
elastic Horovod does not let the others continue. So each worker has a guardian, a process to which
it writes its name. Run as a script, this file imports nothing of the package and starts at once.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time


def start(seconds):
    """Start the guardian of this process, which kills the process once it has been stopped for this
    many ``seconds``. Returns a function that tells the guardian the name of this process.
    """
    guardian = subprocess.Popen(
        [sys.executable, "-IS", os.path.abspath(__file__), str(seconds)],
        stdin=subprocess.PIPE,
        stderr=sys.stderr,
        text=True,
        start_new_session=True,  # a signal that stops the worker's group must not stop its guardian
    )

    def tell(name):
        with contextlib.suppress(OSError):  # a run continues without its guardian
            print(name, file=guardian.stdin, flush=True)

    return tell


def is_stopped(pid):
    """Whether a process is stopped by a signal, according to /proc."""
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "T"


def main(seconds):
    """Watch the parent until it ends, and kill it if it is stopped for too long."""
    worker, stopped_since = os.getppid(), None
    name = f"process {worker}"
    while os.getppid() == worker:
        if select.select([0], [], [], min(1.0, seconds / 10))[0]:
            text = os.read(0, 4096).decode(errors="replace")
            if not text:  # the worker's end of the pipe is closed
                return
            name = text.splitlines()[-1]
        now = time.monotonic()
        stopped_since = (stopped_since or now) if is_stopped(worker) else None
        if stopped_since and now - stopped_since >= seconds:
            with contextlib.suppress(OSError):  # standard error may have no reader
                print(
                    f"gluon-tricks train: error: {name} was stopped for {seconds:g} seconds, "
                    "so it is killed",
                    file=sys.stderr,
                )
            kill(worker)
            return


def kill(worker):
    """Kill the worker, with its group if ``horovodrun`` gave it one."""
    if "HOROVOD_GLOO_RENDEZVOUS_ADDR" in os.environ:
        os.killpg(os.getpgid(worker), signal.SIGKILL)
    else:
        os.kill(worker, signal.SIGKILL)


if __name__ == "__main__":
    with contextlib.suppress(OSError):  # the worker has just ended, or there is no /proc
        main(float(sys.argv[1]))
