"""The process of a command: its standard streams, Ctrl-C, its exit code, and errors that are no
fault of the program.

Ctrl-C ends it without a message at every moment. If its output cannot be written, its exit code is
an error. What comes from outside (disk, memory, installation) is said in one line.
"""

import contextlib
import errno
import os
import re
import signal
import sys
import threading
import time
import traceback

from .errors import UserError
from .text import printable

INTERRUPTED = 128 + signal.SIGINT
# MXNet's error has no type of its own
NO_MEMORY = re.compile(
    r"out of memory|bad_alloc|[Ff]ailed to allocate|to allocate is larger than 2\^31 elements"
)
# of Python's threads, MXNet's threads, and processes
NO_THREADS = re.compile(r"can't start new thread|Resource temporarily unavailable")
OUTPUT_IS_LOST = "the output cannot be written: "


def open_streams():
    """Give a process that was started without a standard stream (``2>&-``) an empty one.

    The first file that it opens would get the stream's number, and whatever C++ code prints. Names
    that the terminal's encoding does not have are printed as escapes.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+"))
    sys.stdout.reconfigure(errors="backslashreplace")


def answer_interrupts():
    """Let Ctrl-C end the process wherever it comes; a handler that a caller or a shell's script has
    set stays.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
        sys.unraisablehook = _raise_again


def _interrupt(number, frame):
    """Raise KeyboardInterrupt, but within an import leave at once: it may pass over it, or make
    another error of it.
    """
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            os._exit(INTERRUPTED)
        frame = frame.f_back
    raise KeyboardInterrupt


def _raise_again(unraisable):
    """Python drops what is raised while it frees an object: a KeyboardInterrupt comes again a
    moment later.
    """
    if unraisable.exc_type is KeyboardInterrupt:
        threading.Thread(target=_interrupt_again, daemon=True).start()
    else:
        sys.__unraisablehook__(unraisable)


def _interrupt_again():
    """Interrupt the main thread when it has left :func:`_raise_again`, where what is raised would
    be dropped once more.
    """
    main = threading.main_thread().ident
    is_in_hook = True
    while is_in_hook:
        time.sleep(0.01)
        frames = traceback.walk_stack(sys._current_frames().get(main))
        is_in_hook = any(frame.f_code is _raise_again.__code__ for frame, _ in frames)
    signal.pthread_kill(main, signal.SIGINT)


def end(code):
    """The exit code of a command that has ended with ``code``: an error if what it printed cannot
    be written.
    """
    # The work is done; while Python ends, a Ctrl-C would print a traceback.
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    error = _last_words(sys.stdout)
    if error is not None and not code:
        gone = isinstance(error, BrokenPipeError)  # its reader, such as head or less
        code = 1 if gone else complain(OUTPUT_IS_LOST + error.strerror)
    _last_words(sys.stderr)
    return code


def _last_words(stream):
    """The error if what was printed cannot be written; Python shall not try to once more when it
    ends, and change the exit code.
    """
    try:
        stream.flush()
        return None
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return error


def complain(message, name="gluon-tricks", code=UserError.exit_code):
    """Say on one line of standard error what is wrong, and return the exit code ``code``."""
    with contextlib.suppress(OSError):  # nobody listens
        print(f"{name}: error: {printable(message)}", file=sys.stderr)
    return code


def outside_cause(error):
    """A line on an exception that came from outside the program: disk, memory, limits,
    installation; None for all others.
    """
    lines = str(error).splitlines() or [type(error).__name__]
    said, *_ = lines
    if isinstance(error, RuntimeError):  # MXNet's message may come after where it was raised
        known = (line for line in lines if NO_MEMORY.search(line) or NO_THREADS.search(line))
        said = next(known, said)
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        error, said = MemoryError(), error.strerror
    if isinstance(error, MemoryError) or isinstance(error, RuntimeError) and NO_MEMORY.search(said):
        return f"not enough memory ({said}); fewer or smaller images at once need less"
    if isinstance(error, (RuntimeError, BlockingIOError)) and NO_THREADS.search(said):
        return (
            f"no more threads or processes may be started ({said}): raise the limit of the user "
            "(ulimit -u) or of the container (pids)"
        )
    if isinstance(error, ImportError) and (error.name or "").partition(".")[0] != __package__:
        return f"{said}; 'gluon-tricks doctor' says what is missing and what to do"
    if isinstance(error, FileNotFoundError) and error.filename is None:  # os.getcwd()
        return "the current folder is not there any more: change to another one"
    # except two that are mistakes of ours
    if isinstance(error, OSError) and error.errno not in (errno.EBADF, errno.EFAULT):
        where = "" if error.filename is None else f"{error.filename}: "
        return (where or (OUTPUT_IS_LOST if output_is_lost() else "")) + (error.strerror or said)
    return None


def output_is_lost():
    """Whether what was printed so far cannot be written."""
    try:
        sys.stdout.flush()
    except OSError:
        return True
    return False
