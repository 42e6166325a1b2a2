"""How a batch is made: rows filled by a pool of threads, ahead of their use, in memory that is used
again.
"""

import collections
import concurrent.futures
import weakref
from typing import Any, Iterable, Iterator, NamedTuple, Optional, Tuple

import numpy as np

ROWS_PER_TASK = 8
BATCHES_AHEAD = 2  # batches that are being made while one is in use


class Batch(NamedTuple):
    """``n`` images; the first ``valid`` are real, the others fill an evaluation's last batch.

    With ``--device-augment`` the images are uint8 and not yet coloured and normalised: that is
    ``color_map.apply_on_device(images, matrices)``.
    """

    images: Any  # NDArray on cpu: float32 (n, 3, size, size), or uint8 (n, size, size, 3)
    labels: Any  # NDArray on cpu: float32 (n,)
    keys: np.ndarray  # int64 (n,): the records' keys, -1 in rows that are not valid
    valid: int
    matrices: Optional[Any] = None  # NDArray on cpu: float32 (n, 3, 4 or 5), or None


class BatchPlan(NamedTuple):
    """What a batch of ``size`` rows is made of: order[start : start + valid], modulo its length.

    The ``order`` is of places, see :mod:`.order`.
    """

    size: int
    epoch: int
    order: np.ndarray
    start: int
    valid: int

    def positions(self, start: int, stop: int) -> np.ndarray:
        """The places of the rows [start, stop)."""
        return self.order.take(np.arange(self.start + start, self.start + stop), mode="wrap")


class Rows(NamedTuple):
    """The arrays of a batch while its rows are filled. ``images`` as in :class:`Batch`."""

    images: np.ndarray
    labels: np.ndarray
    keys: np.ndarray
    matrices: Optional[np.ndarray]  # None if the images are float32


class BatchMaker:
    """Makes batches ahead of their use with a pool of threads.

    What they hold comes from ``source``, see :mod:`.sources`: ``image_shape`` and ``image_dtype``,
    ``matrix_shape`` (None if the host colours the images), and two functions.

    - ``sample(plan)``: what the rows of a batch have in common, such as their random parameters
    - ``fill(rows, plan, sampled, start, stop)``: fill these rows; called from any thread
    """

    def __init__(self, source: Any, threads: int) -> None:
        import cv2

        # Our threads are the parallelism; OpenCV's own pool inside each of them would only get in
        # the way.
        cv2.setNumThreads(0)
        self._source = source
        self._threads = threads
        self._pool = concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix="data")
        self._memory = BatchMemory()

    def make(self, plans: Iterable[BatchPlan]) -> Iterator[Batch]:
        """Yield a Batch for each BatchPlan, in order, with BATCHES_AHEAD of them being made."""
        waiting: collections.deque = collections.deque()
        plans = iter(plans)
        try:
            while True:
                for plan in plans:
                    waiting.append((plan, *self._start(plan)))
                    if len(waiting) > BATCHES_AHEAD:
                        break
                if not waiting:
                    return
                plan, rows, tasks = waiting[0]
                # wakes up once
                concurrent.futures.wait(tasks, return_when=concurrent.futures.FIRST_EXCEPTION)
                for task in tasks:
                    task.result()
                waiting.popleft()
                # nothing here may hold the batch's memory back while it is in use
                del tasks
                batch = self._finish(rows, plan.valid)
                del rows
                yield batch
                del batch
        finally:
            for _, _, tasks in waiting:
                for task in tasks:
                    task.cancel()

    def _start(self, plan):
        """The empty rows of a batch, and the tasks that fill them."""
        source = self._source
        rows = Rows(
            self._memory.take((plan.size, *source.image_shape), source.image_dtype),
            np.zeros(plan.size, np.float32),
            np.full(plan.size, -1, np.int64),
            source.matrix_shape and np.zeros((plan.size, *source.matrix_shape), np.float32),
        )
        rows.images[plan.valid :] = 0
        sampled = source.sample(plan)
        count = max(1, min(ROWS_PER_TASK, -(-plan.valid // self._threads)))
        return rows, [
            self._pool.submit(
                source.fill, rows, plan, sampled, start, min(start + count, plan.valid)
            )
            for start in range(0, plan.valid, count)
        ]

    def _finish(self, rows, valid):
        import mxnet as mx

        matrices = None if rows.matrices is None else mx.nd.from_numpy(rows.matrices)
        images = self._memory.as_ndarray(rows.images)
        return Batch(images, mx.nd.from_numpy(rows.labels), rows.keys, valid, matrices)

    def close(self) -> None:
        self._pool.shutdown(wait=True)


class BatchMemory:
    """Memory for the images of batches, used again: fresh pages would cost as much as the colour
    step.

    An NDArray is laid over the memory by ``mx.nd.from_numpy``. MXNet lets go of it when the last
    NDArray that uses it is gone, those that operators queued in the engine hold included; only then
    it is free for another batch.
    """

    ALIGNMENT = 4096
    # of one size; what a user collects beyond that goes back to the system
    MOST_FREE = BATCHES_AHEAD + 2

    def __init__(self) -> None:
        self._free: dict = collections.defaultdict(list)

    def take(self, shape: Tuple[int, ...], dtype: Any) -> np.ndarray:
        """An uninitialised array."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        try:
            block = self._free[size].pop()
        except IndexError:
            raw = np.empty(size + self.ALIGNMENT, np.uint8)
            start = -raw.ctypes.data % self.ALIGNMENT
            block = raw[start : start + size]
        return block.view(dtype).reshape(shape)

    def as_ndarray(self, array: np.ndarray) -> Any:
        """An NDArray over an array of ``take``; the array must not be written to any more."""
        import mxnet as mx

        view = array.view()
        # The NDArray holds the one reference to this very view; when MXNet drops it, the memory
        # comes back.
        back = weakref.finalize(view, self._give_back, array.reshape(-1).view(np.uint8))
        back.atexit = False
        return mx.nd.from_numpy(view, zero_copy=True)

    def _give_back(self, block):
        if len(self._free[block.size]) < self.MOST_FREE:
            self._free[block.size].append(block)
