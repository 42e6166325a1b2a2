"""Long work over many images: a map over threads that keeps the order, and its progress."""

import collections
import concurrent.futures
import sys
import time

from ..errors import UserError
from ..text import printable
from ..threads import cores

LINE_EVERY = 60.0  # seconds between lines if there is no terminal


def add_workers(parser):
    parser.add_argument(
        "--workers", type=int, default=0, metavar="N", help="threads (default: one a core)"
    )


def threads(workers: int) -> int:
    """The number of threads to use, from the flag's value."""
    if workers < 0:
        raise UserError(f"--workers {workers}: has to be a number of threads")
    return workers or cores()


def ordered_map(function, items, workers):
    """``function(item)`` for each item, computed by ``workers`` threads and given in the items'
    order.
    """
    waiting = collections.deque()
    pool = concurrent.futures.ThreadPoolExecutor(workers)
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            # This bounds the memory, and keeps all threads busy while a slow item is waited for.
            if len(waiting) >= 8 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
        pool.shutdown()


class Progress:
    """The progress of long work: a bar with the time left on a terminal, else a line at times."""

    def __init__(self, title, total):
        self.title, self.total, self.bar = title, total, None
        self.first = self.started = self.printed = None

    def __enter__(self):
        if sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(
                desc=self.title, total=self.total, unit="", unit_scale=True, smoothing=0.02
            )
        return self

    def show(self, done):
        now = time.monotonic()
        if self.started is None:
            self.started = self.printed = now
            self.first = done
            if self.bar is not None:
                self.bar.initial = self.bar.n = done - 1
        if self.bar is not None:
            self.bar.update(done - self.bar.n)
        elif now - self.printed > LINE_EVERY:
            self.printed = now
            rate = (done - self.first) / (now - self.started)
            print(
                f"{self.title}: {done} of {self.total}, {rate:.0f} a second, "
                f"{(self.total - done) / rate / 60:.0f} minutes left",
                file=sys.stderr,
                flush=True,
            )

    def say(self, line):
        if self.bar is not None:
            self.bar.clear()
        print(printable(line), file=sys.stderr, flush=True)

    def __exit__(self, *_):
        if self.bar is not None:
            self.bar.close()
