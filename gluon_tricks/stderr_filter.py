"""Drops one useless message of oneDNN: a few lines in each training step on a CPU, which no setting
turns off.
"""

import atexit
import functools
import os
import signal
import sys

MESSAGE = b"MKLDNN Pooling: training with prop_kind"


@functools.lru_cache(maxsize=None)  # only once: at a second command MXNet already has threads
def filter_stderr():
    """Send what C++ code writes to file descriptor 2 through a process that drops lines with
    ``MESSAGE``.

    It is a process, not a thread, so that the last lines of a crash get through, too. Python's
    ``sys.stderr`` keeps writing to where descriptor 2 led before. Call it before other threads
    exist.
    """
    original = os.dup(2)
    reading, writing = os.pipe()
    # The child blocks these signals: it ends after the last process that writes to the pipe.
    before = signal.pthread_sigmask(
        signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    )
    child = os.fork()
    if child == 0:
        for descriptor in (0, 1, 2, writing):
            os.close(descriptor)
        _copy(reading, original)
        os._exit(0)
    os.close(reading)
    os.dup2(writing, 2)
    os.close(writing)
    sys.stderr = os.fdopen(original, "w", buffering=1, errors="backslashreplace")
    atexit.register(_finish, child)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _copy(reading, original):
    """Copy all lines except those with MESSAGE, until the pipe has no writer left."""
    rest = b""
    while True:
        block = os.read(reading, 1 << 16)
        *lines, rest = (rest + block).split(b"\n")
        try:
            for line in lines:
                if MESSAGE not in line:
                    os.write(original, line + b"\n")
            if not block:
                os.write(original, rest)
                return
        except OSError:  # nobody reads the copy; keep reading, so that the parent does not block
            pass
        if not block:
            return


def _finish(child):
    """Wait for the last lines, so that they come before the shell's prompt.

    Not for long: child processes may still hold the pipe open.
    """
    os.dup2(sys.stderr.fileno(), 2)
    for _ in range(20):
        if os.waitpid(child, os.WNOHANG)[0]:
            return
        signal.sigtimedwait([], 0.01)
