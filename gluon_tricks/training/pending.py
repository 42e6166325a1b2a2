"""Results that are still being computed: read some steps later, so the loop never waits."""

import collections


class Pending:
    """A queue of the results of steps, which are read ``lag`` steps later.

    It also limits how far the loop runs ahead of the devices.
    """

    def __init__(self, receive, lag=2):
        self._receive = receive
        self._lag = lag
        self._queue = collections.deque()

    def push(self, *result):
        """Queue the result of a step, and pass the one of ``lag`` steps before to ``receive``."""
        self._queue.append(result)
        self.drain(self._lag)

    def drain(self, keep=0):
        """Receive all results except the last ``keep``."""
        while len(self._queue) > keep:
            self._receive(*self._queue.popleft())
