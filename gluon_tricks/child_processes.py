"""Child processes that end with this process, even if it is killed."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def end_with_parent(parent=None):
    """A ``preexec_fn`` for ``subprocess``: the kernel kills the new process when its parent dies. A
    process that knows its ``parent`` can also call the result itself.

    None on systems other than Linux, which lack this.
    """
    if _LIBC is None:
        return None
    parent = parent or os.getpid()

    def prepare():
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before prctl
            os._exit(1)

    return prepare


def why_it_failed(done):
    """The last line that a finished process (``subprocess.CompletedProcess``, text) wrote to
    standard error, or its exit code.
    """
    return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]


def name_of_signal(number):
    """The name of a signal, such as ``SIGTERM``; most real-time signals have only their number."""
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"


def state(pid):
    """The state of a process from /proc: ``T`` if a signal has stopped it, ``D`` if it waits for a
    disk; empty if unknown.
    """
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return ""
