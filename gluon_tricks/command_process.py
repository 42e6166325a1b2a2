"""The process of a command: standard streams, Ctrl-C, exit code, and errors with causes outside the
program.

Ctrl-C ends it at any moment, without a message. If its output cannot be written, the exit code says
so. Errors from outside (disk, memory, installation) are reported in one line.
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
# MXNet has no exception type for this
NO_MEMORY = re.compile(
    r"out of memory|bad_alloc|[Ff]ailed to allocate|to allocate is larger than 2\^31 elements"
)
# of Python's threads, MXNet's threads, and processes
NO_THREADS = re.compile(r"can't start new thread|Resource temporarily unavailable")
OUTPUT_IS_LOST = "the output cannot be written: "


def open_streams():
    """Give a process that was started without a standard stream (``2>&-``) an empty one, and let it
    print any name.

    Otherwise the first file that it opens would get the stream's number, and with it the output of
    C++ code. Characters that the terminal's encoding lacks are printed as escapes.
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
    """Let Ctrl-C end the process whenever it comes; a handler set by a caller or a shell script
    stays.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
        sys.unraisablehook = _raise_again


def _interrupt(number, frame):
    """Raise KeyboardInterrupt, but exit at once within an import, which may swallow the exception
    or turn it into another.
    """
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            os._exit(INTERRUPTED)
        frame = frame.f_back
    raise KeyboardInterrupt


def _raise_again(unraisable):
    """Repeat a KeyboardInterrupt a moment later if Python dropped it, as it drops every exception
    that is raised while it frees an object.
    """
    if unraisable.exc_type is KeyboardInterrupt:
        threading.Thread(target=_interrupt_again, daemon=True).start()
    else:
        sys.__unraisablehook__(unraisable)


def _interrupt_again():
    """Interrupt the main thread once it has left :func:`_raise_again`, where the exception would be
    dropped again.
    """
    main = threading.main_thread().ident
    is_in_hook = True
    while is_in_hook:
        time.sleep(0.01)
        frames = traceback.walk_stack(sys._current_frames().get(main))
        is_in_hook = any(frame.f_code is _raise_again.__code__ for frame, _ in frames)
    signal.pthread_kill(main, signal.SIGINT)


def end(code):
    """The process's exit code after a command that returned ``code``: an error if its output cannot
    be written.
    """
    # The work is done; a Ctrl-C while Python shuts down would print a traceback.
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    error = _last_words(sys.stdout)
    if error is not None and not code:
        gone = isinstance(error, BrokenPipeError)  # of its reader, such as head or less
        code = 1 if gone else complain(OUTPUT_IS_LOST + error.strerror)
    _last_words(sys.stderr)
    return code


def _last_words(stream):
    """Flush a stream and return the error, if any. After an error the stream leads to /dev/null:
    Python flushes it again at exit, and an error there would change the exit code.
    """
    try:
        stream.flush()
        return None
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return error


def complain(message, name="gluon-tricks", code=UserError.exit_code):
    """Print one line about an error on standard error, and return the exit code ``code``."""
    with contextlib.suppress(OSError):  # standard error is closed
        print(f"{name}: error: {printable(message)}", file=sys.stderr)
    return code


def outside_cause(error):
    """One line about an exception with a cause outside the program: disk, memory, limits,
    installation. None for any other exception.
    """
    lines = str(error).splitlines() or [type(error).__name__]
    said, *_ = lines
    if isinstance(error, RuntimeError):  # MXNet may print the place before the message
        known = (line for line in lines if NO_MEMORY.search(line) or NO_THREADS.search(line))
        said = next(known, said)
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        error, said = MemoryError(), error.strerror
    if isinstance(error, MemoryError) or isinstance(error, RuntimeError) and NO_MEMORY.search(said):
        return f"not enough memory ({said}); fewer or smaller images at once need less"
    if isinstance(error, (RuntimeError, BlockingIOError)) and NO_THREADS.search(said):
        return (
            f"no more threads or processes can be started ({said}): raise the limit of the user "
            "(ulimit -u) or of the container (pids)"
        )
    if isinstance(error, ImportError) and (error.name or "").partition(".")[0] != __package__:
        return f"{said}; 'gluon-tricks doctor' shows what is missing and how to install it"
    if isinstance(error, FileNotFoundError) and error.filename is None:  # os.getcwd()
        return "the current folder no longer exists: change to another one"
    # except for two that would be bugs in this package
    if isinstance(error, OSError) and error.errno not in (errno.EBADF, errno.EFAULT):
        where = "" if error.filename is None else f"{error.filename}: "
        return (where or (OUTPUT_IS_LOST if output_is_lost() else "")) + (error.strerror or said)
    return None


def output_is_lost():
    """Whether the output so far cannot be written."""
    try:
        sys.stdout.flush()
    except OSError:
        return True
    return False
