"""Processes that this package starts end with it, even if it is killed."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def end_with_parent(parent=None):
    """A ``preexec_fn`` for ``subprocess``: the kernel kills the new process as soon as the one that
    starts it is dead. A process that is told its ``parent`` can call it itself.

    None on systems other than Linux, whose kernels do not offer it.
    """
    if _LIBC is None:
        return None
    parent = parent or os.getpid()

    def prepare():
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the kernel knew
            os._exit(1)

    return prepare


def why_it_failed(done):
    """The last line that a finished process (``subprocess.CompletedProcess``, text) wrote to
    standard error, or its exit code.
    """
    return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]


def state(pid):
    """The state of a process as /proc tells it, ``T`` if a signal has stopped it, ``D`` if it waits
    for a disk; empty if that is not known.
    """
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return ""
