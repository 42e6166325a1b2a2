"""Keeps one message of MXNet's C++ code off the screen: a few lines a step that no setting silences
and nobody can use.
"""

import atexit
import os
import signal
import sys

NOISE = b"MKLDNN Pooling: training with prop_kind"


def drop_noise():
    """Send what C++ code writes to file descriptor 2 through a process that drops lines with
    ``NOISE``.

    A process and not a thread, so that the last words of a crash get through too. Python's
    ``sys.stderr`` keeps writing to where descriptor 2 led before. Call it before other threads
    exist.
    """
    terminal = os.dup(2)
    reading, writing = os.pipe()
    # The parent decides when to stop: the child hears none of these, and ends when the last writer
    # has gone.
    before = signal.pthread_sigmask(
        signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    )
    child = os.fork()
    if child == 0:
        for descriptor in (0, 1, 2, writing):
            os.close(descriptor)
        _copy(reading, terminal)
        os._exit(0)
    os.close(reading)
    os.dup2(writing, 2)
    os.close(writing)
    sys.stderr = os.fdopen(terminal, "w", buffering=1, errors="backslashreplace")
    atexit.register(_finish, child)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _copy(reading, terminal):
    rest = b""
    while True:
        block = os.read(reading, 1 << 16)
        *lines, rest = (rest + block).split(b"\n")
        try:
            for line in lines:
                if NOISE not in line:
                    os.write(terminal, line + b"\n")
            if not block:
                os.write(terminal, rest)
                return
        except OSError:  # nobody listens any more; go on reading, so that the parent does not block
            pass
        if not block:
            return


def _finish(child):
    # The last lines shall be there before the shell's prompt is. Descendants may still hold the
    # pipe, so do not wait long.
    os.dup2(sys.stderr.fileno(), 2)
    for _ in range(20):
        if os.waitpid(child, os.WNOHANG)[0]:
            return
        signal.sigtimedwait([], 0.01)
