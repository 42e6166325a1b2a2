"""Why a run stops before its end, after a whole step and a checkpoint: a signal, or workers that
come or go.
"""

import contextlib
import signal
import threading

from ..distributed.elastic import HOSTS_CHANGED, HostsChanged
from ..errors import UserError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
REASONS = SIGNALS + (HOSTS_CHANGED,)


class Interrupted(UserError):
    """A signal asked the run to stop: exit code 128 + the signal's number, as a shell has it."""

    def __init__(self, message, signal_number):
        super().__init__(message)
        self.exit_code = 128 + signal_number


class Diverged(UserError):
    """Loss, gradients or parameters are not finite: ``what``, at ``step``, and what to do."""

    exit_code = 3

    def __init__(self, what, step, advice=""):
        super().__init__(f"{what} at step {step}{advice}")
        self.what, self.step = what, step


class Stop:
    """What this process was asked (``asked``), and what all workers know of (``agreed``): one of
    ``REASONS``, or None.
    """

    def __init__(self):
        self.asked = None
        self.agreed = None

    @contextlib.contextmanager
    def listening(self, say):
        """Within, SIGTERM, SIGHUP and Ctrl-C ask for a stop; a second Ctrl-C stops at once.

        A SIGHUP that is ignored, as ``nohup`` does, stays ignored. In another thread than the main
        one, which alone may listen, no signal is heard.
        """

        def note(number, frame):
            if number == signal.SIGINT and self.asked == signal.SIGINT:
                raise KeyboardInterrupt
            self.asked = number
            # in the middle of another line; on a full disk
            with contextlib.suppress(RuntimeError, UserError):
                say(f"{signal.Signals(number).name}: finishing this step and writing a checkpoint")

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
        """For each of ``REASONS``, 1 if this process was asked for it."""
        return [int(self.asked == reason) for reason in REASONS]

    def count(self, votes):
        """Agree on the first of ``REASONS`` that has a vote."""
        for reason, count in zip(REASONS, votes):
            if count and self.agreed is None:
                self.agreed = reason

    def raise_after(self, step):
        """Raise what ends a run that has stopped after ``step`` with a checkpoint."""
        if self.agreed == HOSTS_CHANGED:
            raise HostsChanged
        raise Interrupted(
            f"{signal.Signals(self.agreed).name} after step {step}; its checkpoint is written, "
            "--resume auto goes on from it",
            self.agreed,
        )
