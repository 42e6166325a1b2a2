"""How a batch is made: rows filled by threads or other processes, ahead of their use."""

import collections
import concurrent.futures
import threading
from typing import Any, Iterable, Iterator, List, NamedTuple, Optional

import numpy as np

from .batch_memory import BatchMemory, Block
from .decode import Scratch
from .page_lock import page_lock_of
from .rows import Broken, FillTask, format_of

BATCHES_AHEAD = 2  # batches that are being made while one is in use
MOST_ROWS = 64  # of a task; more would save hardly anything
FEWEST_ROWS = 4  # of a task: sampling costs as much for one row as for many
KEPT = BATCHES_AHEAD + 2  # blocks of memory: one is in use, and one is on its way back


class Batch(NamedTuple):
    """``n`` images; the first ``valid`` are real, the others fill an evaluation's last batch.

    With ``--device-augment`` the images are uint8, and ``color_map.apply_on_device(images,
    matrices)`` applies the colours and the normalisation.
    """

    images: Any  # NDArray on cpu: float32 (n, 3, size, size), or uint8 (n, size, size, 3)
    labels: Any  # NDArray on cpu: float32 (n,), masks uint8 (n, size, size), or .box_rows
    keys: np.ndarray  # int64 (n,): the records' keys, -1 in rows that are not valid
    valid: int
    matrices: Optional[Any] = None  # NDArray on cpu: float32 (n, 3, 4 or 5), or None


class BatchPlan(NamedTuple):
    """The rows of a batch of ``size``: order[start : start + valid], modulo the order's length.

    ``order`` holds places, see :mod:`.order`.
    """

    size: int
    epoch: int
    order: np.ndarray
    start: int
    valid: int

    def places(self, start: int, stop: int) -> np.ndarray:
        """The places of the rows [start, stop)."""
        return self.order.take(np.arange(self.start + start, self.start + stop), mode="wrap")

    def tasks(self, workers: int) -> List[FillTask]:
        """The batch's valid rows, cut into tasks of about equal size: all batches in the making
        together have two for each of the ``workers``, which are threads or processes.
        """
        rows = -(-self.valid * (1 + BATCHES_AHEAD) // (2 * workers))
        count = -(-self.valid // min(max(rows, FEWEST_ROWS), MOST_ROWS))
        cuts = [self.valid * number // count for number in range(count + 1)]
        return [
            FillTask(self.epoch, start, self.places(start, stop))
            for start, stop in zip(cuts, cuts[1:])
        ]


class BatchMaker:
    """Makes batches ahead of their use.

    ``source`` (:mod:`.sources`) fills their rows, in ``threads`` of this process or in those of
    :class:`.processes.DataProcesses`. ``bad`` notes broken records, which the next ones of the
    order replace; without it they are errors. With ``gpu``, the number of the GPU that they go to,
    the batches are in page-locked memory.
    """

    def __init__(
        self,
        source: Any,
        threads: int = 1,
        processes: Optional[Any] = None,
        bad: Optional[Any] = None,
        gpu: Optional[int] = None,
    ) -> None:
        self._source, self._bad = source, bad
        self._filler = processes.open(source) if processes else ThreadFiller(source, threads)
        page_lock = None if gpu is None else page_lock_of(gpu)
        self._memory = BatchMemory(KEPT, processes and processes.memory, page_lock)

    def make(self, plans: Iterable[BatchPlan]) -> Iterator[Batch]:
        """Yield a Batch for each BatchPlan, in order; the next BATCHES_AHEAD are being made."""
        waiting: collections.deque = collections.deque()
        try:
            for plan in plans:
                waiting.append(self._start(plan))
                if len(waiting) > BATCHES_AHEAD:
                    yield self._finish(waiting)
            while waiting:
                yield self._finish(waiting)
        finally:
            for _, _, filling in waiting:
                filling.cancel()

    def _start(self, plan):
        """The plan, the block in which its rows are being filled, and the filling."""
        block = self._memory.take(format_of(self._source, plan.size))
        for array, rest in zip(block.rows, (0, 0, -1, 0)):
            if array is not None:
                array[plan.valid :] = rest
        return plan, block, self._filler.start(block, plan.tasks(self._filler.workers))

    def _finish(self, waiting):
        """The first of the batches; nothing here holds its memory afterwards."""
        plan, block, filling = waiting[0]
        for row, error in sorted(filling.wait()):
            self._replace(plan, block, row, error)
        waiting.popleft()
        return as_batch(block, plan.valid)

    def _replace(self, plan: BatchPlan, block: Block, row: int, error: Any) -> None:
        """Fill a row with the first sound record after its own in the order."""
        for place in range(row + 1, row + len(plan.order)):
            if self._bad is None:
                break
            self._bad.note(error)
            task = FillTask(plan.epoch, row, plan.places(place, place + 1))
            broken = self._filler.start(block, [task]).wait()
            if not broken:
                return
            error = broken[0].error
        raise error

    def close(self) -> None:
        """Stop filling rows; free the memory, and close the source's files."""
        self._filler.close()
        self._memory.close()
        self._source.close()


def as_batch(block: Block, valid: int) -> Batch:
    """A Batch over a block; all but the images is copied."""
    import mxnet as mx

    rows = block.rows
    matrices = None if rows.matrices is None else mx.nd.from_numpy(rows.matrices.copy())
    images = mx.nd.from_numpy(rows.images, zero_copy=True)
    return Batch(images, mx.nd.from_numpy(rows.labels.copy()), rows.keys.copy(), valid, matrices)


class ThreadFiller:
    """Fills rows in threads of this process."""

    def __init__(self, source: Any, threads: int) -> None:
        import cv2

        # Our threads are the parallelism; OpenCV's own pool inside each of them would only get in
        # the way.
        cv2.setNumThreads(0)
        self.workers = threads
        self._source = source
        self._pool = concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix="data")
        self._thread = threading.local()

    def start(self, block: Block, tasks: List[FillTask]) -> "ThreadFilling":
        """Begin to fill rows of a block."""
        return ThreadFilling([self._pool.submit(self._fill, block, task) for task in tasks])

    def _fill(self, block, task):
        scratch = self._thread.__dict__.setdefault("scratch", Scratch())
        return self._source.fill(block.rows, task, scratch)

    def close(self) -> None:
        self._pool.shutdown(wait=True)


class ThreadFilling:
    """The tasks of a batch."""

    def __init__(self, futures: List[concurrent.futures.Future]) -> None:
        self._futures = futures

    def wait(self) -> List[Broken]:
        """Wait for the tasks; returns the rows that were not filled, or raises a task's error."""
        # wakes up once, not after each task
        concurrent.futures.wait(self._futures, return_when=concurrent.futures.FIRST_EXCEPTION)
        return [broken for future in self._futures for broken in future.result()]

    def cancel(self) -> None:
        """Drop the tasks that have not begun."""
        for future in self._futures:
            future.cancel()
