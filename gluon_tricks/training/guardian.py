"""Kills a worker that is stopped for too long: ``python guardian.py SECONDS``, started by the worker with a pipe as stdin.

A worker that is stopped (SIGSTOP) holds up elastic Horovod for ever: ``horovodrun`` lets the others go on only when it has
ended. So each worker of an elastic launch has a guardian, to whom it writes its name. This file imports nothing of the
package: it starts at once.
"""

import os
import select
import signal
import sys
import time


def is_stopped(pid):
    """Whether a process was stopped by a signal, as /proc says."""
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "T"


def main(seconds):
    """Guard the parent until it ends."""
    worker, name, stopped_since = os.getppid(), "a worker", None
    while os.getppid() == worker:
        if select.select([0], [], [], min(1.0, seconds / 10))[0]:
            text = os.read(0, 4096).decode(errors="replace")
            if not text:  # the worker's end of the pipe is closed
                return
            name = text.splitlines()[-1]
        now = time.monotonic()
        stopped_since = (stopped_since or now) if is_stopped(worker) else None
        if stopped_since and now - stopped_since >= seconds:
            print(
                f"gluon-tricks train: error: {name} was stopped for --stall-timeout {seconds:g} seconds and is ended, "
                "since the others cannot go on before",
                file=sys.stderr,
                flush=True,
            )
            os.killpg(os.getpgid(worker), signal.SIGKILL)  # horovodrun gives each worker a group of its own


if __name__ == "__main__":
    main(float(sys.argv[1]))
