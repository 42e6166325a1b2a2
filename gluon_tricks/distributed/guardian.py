"""Kills a worker that is stopped for too long: ``python guardian.py SECONDS``, started by the
worker with a pipe as stdin.

Who starts the workers waits until each has ended, for ever if one is stopped (SIGSTOP), and elastic
Horovod lets the others go on no sooner. So each worker has a guardian, to whom it writes its name.
As a script of its own this file imports nothing of the package, and starts at once.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time


def start(seconds):
    """A guardian of this process, which kills it if it is stopped for so long: a function that
    takes this process's name.
    """
    guardian = subprocess.Popen(
        [sys.executable, "-IS", os.path.abspath(__file__), str(seconds)],
        stdin=subprocess.PIPE,
        stderr=sys.stderr,
        text=True,
        start_new_session=True,  # what stops the worker with its group does not stop its guardian
    )
    return lambda name: print(name, file=guardian.stdin, flush=True)


def is_stopped(pid):
    """Whether a process was stopped by a signal, as /proc says."""
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "T"


def main(seconds):
    """Guard the parent until it ends."""
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
            with contextlib.suppress(OSError):  # nobody listens
                print(
                    f"gluon-tricks train: error: {name} was stopped for {seconds:g} seconds, so it is killed",
                    file=sys.stderr,
                )
            # horovodrun gave it a group of its own
            if "HOROVOD_GLOO_RENDEZVOUS_ADDR" in os.environ:
                os.killpg(os.getpgid(worker), signal.SIGKILL)
            else:
                os.kill(worker, signal.SIGKILL)
            return


if __name__ == "__main__":
    with contextlib.suppress(OSError):  # it has just ended, or the system has no /proc
        main(float(sys.argv[1]))
