"""Reasons to stop before a run's end, after a whole step and a checkpoint: a signal, or workers
that are added or removed.
"""

import contextlib
import signal
import threading

from ..child_processes import name_of_signal
from ..distributed.elastic import HOSTS_CHANGED, HostsChanged
from ..errors import UserError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
REASONS = SIGNALS + (HOSTS_CHANGED,)


class Interrupted(UserError):
    """A signal asked the run to stop: exit code 128 + the signal's number, as in a shell."""

    def __init__(self, message, signal_number):
        super().__init__(message)
        self.exit_code = 128 + signal_number


class Diverged(UserError):
    """Loss, gradients or parameters are not finite. Says which, at which step, and what to try."""

    exit_code = 3

    def __init__(self, what, step, advice=""):
        super().__init__(f"{what} at step {step}{advice}")
        self.what, self.step = what, step


class Stop:
    """The reason to stop that this process was given (``asked``), and the one that all workers have
    agreed on (``agreed``): one of ``REASONS``, or None.
    """

    def __init__(self):
        self.asked = None
        self.agreed = None

    @contextlib.contextmanager
    def listening(self, say):
        """A context in which SIGTERM, SIGHUP and Ctrl-C ask for a stop; a second Ctrl-C stops at
        once.

        If SIGHUP is ignored, as under ``nohup``, it stays ignored. Python handles signals only in
        the main thread: in any other one, this context does nothing.
        """

        def note(number, frame):
            if number == signal.SIGINT and self.asked == signal.SIGINT:
                raise KeyboardInterrupt
            self.asked = number
            # The signal may have come in the middle of another line, or the disk may be full.
            with contextlib.suppress(RuntimeError, UserError):
                say(f"{name_of_signal(number)}: finishing this step and writing a checkpoint")

        is_main = threading.current_thread() is threading.main_thread()
        heard = [
            number
            for number in SIGNALS * is_main
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN
        ]
        before = {number: signal.signal(number, note) for number in heard}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def votes(self):
        """For each of ``REASONS``, 1 if this process was asked to stop for it, else 0."""
        return [int(self.asked == reason) for reason in REASONS]

    def count(self, votes):
        """Agree on the first of ``REASONS`` for which any worker voted."""
        for reason, count in zip(REASONS, votes):
            if count and self.agreed is None:
                self.agreed = reason

    def raise_after(self, step):
        """Raise the exception that ends a run after ``step``, whose checkpoint is written."""
        if self.agreed == HOSTS_CHANGED:
            raise HostsChanged
        raise Interrupted(
            f"{name_of_signal(self.agreed)} after step {step}; its checkpoint is written, "
            "and --resume auto continues from it",
            self.agreed,
        )
