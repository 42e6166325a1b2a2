"""Results that are still being computed: read some steps later, so that the loop never waits."""

import collections


class Pending:
    """A queue of the results of steps, each read when it is finished.

    It also keeps the loop from running ahead of the devices without bound.
    """

    def __init__(self, receive, lag=2):
        self._receive = receive
        self._lag = lag
        self._queue = collections.deque()

    def push(self, *result):
        """Queue the result of a step; that of ``lag`` steps before goes to ``receive(*result)``."""
        self._queue.append(result)
        self.drain(self._lag)

    def drain(self, keep=0):
        """Receive all but the ``keep`` youngest."""
        while len(self._queue) > keep:
            self._receive(*self._queue.popleft())
