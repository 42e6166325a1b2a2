"""How a batch is made: rows filled by a pool of threads, ahead of their use, in memory that is used
again.
"""

import collections
import concurrent.futures
import logging
import threading
import weakref
from typing import NamedTuple, Optional

import numpy as np

from ..errors import UserError
from ..text import printable
from .augment import apply_on_host
from .decode import Scratch
from .labels import class_of, none_of
from .records import RecordError

log = logging.getLogger(__name__)

ROWS_PER_TASK = 8
BATCHES_AHEAD = 2  # batches in the making beside the one in use


class Batch(NamedTuple):
    """``n`` images; the first ``valid`` are real, the others fill an evaluation's last batch.

    With ``--device-augment`` the images are uint8 and not yet coloured and normalised: that is
    ``augment.apply_on_device(images, matrices)``.
    """

    images: object  # NDArray on cpu: float32 (n, 3, size, size), or uint8 (n, size, size, 3)
    labels: object  # NDArray on cpu: float32 (n,)
    keys: np.ndarray  # int64 (n,): the records' keys, -1 in rows that are not valid
    valid: int
    matrices: Optional[object] = None  # NDArray on cpu: float32 (n, 3, 4 or 5), or None


class Plan(NamedTuple):
    """What a batch of ``size`` rows is made of: the positions order[start : start + valid], modulo
    its length."""

    size: int
    epoch: int
    order: np.ndarray
    start: int
    valid: int


class BadRecords:
    """The records that are broken, and the end of the run when there are too many."""

    def __init__(self, most):
        self.most = most
        self.keys = {}
        self._lock = threading.Lock()

    def met(self, error):
        """Take note of a RecordError; UserError when it is one too many."""
        with self._lock:
            if error.key not in self.keys:
                self.keys[error.key] = error
                said = printable(error)  # it names a file
                log.warning(
                    "%s; the next record of the order takes its place (bad record %d)",
                    said,
                    len(self.keys),
                )
            if len(self.keys) > self.most:
                raise UserError(
                    f"{len(self.keys)} bad records, more than --max-bad-records {self.most}; the last: {error}. "
                    f"'gluon-tricks records verify {error.path}' lists all"
                ) from error


class Filler:
    """Fills batches ahead of their use with a pool of threads; with what, ``prepare`` and
    ``fill_rows`` say.

    ``bad`` is the :class:`BadRecords` that takes note of broken images, or None, which makes them
    errors.
    """

    def __init__(self, config, records, bad):
        import cv2

        # Our threads are the parallelism; OpenCV's own pool inside each of them would only get in
        # the way.
        cv2.setNumThreads(0)
        self.bad = bad
        self._records = records
        self._seed, self._size, self._raw = config.seed, config.input_size, config.device_augment
        self._threads = config.num_data_workers
        self._pool = concurrent.futures.ThreadPoolExecutor(self._threads, thread_name_prefix="data")
        self._buffers = Buffers()

    def run(self, plans):
        """Yield a Batch for each Plan, in order, with BATCHES_AHEAD of them in the making."""
        waiting = collections.deque()
        plans = iter(plans)
        try:
            while True:
                for plan in plans:
                    waiting.append(self._start(plan))
                    if len(waiting) > BATCHES_AHEAD:
                        break
                if not waiting:
                    return
                job, tasks = waiting[0]
                # wakes up once
                concurrent.futures.wait(tasks, return_when=concurrent.futures.FIRST_EXCEPTION)
                for task in tasks:
                    task.result()
                waiting.popleft()
                batch = job.batch(self._buffers)
                del job, tasks  # nothing here may hold the batch's memory back while it is in use
                yield batch
                del batch
        finally:
            for _, tasks in waiting:
                for task in tasks:
                    task.cancel()

    def _start(self, plan):
        job = Job(plan, self._size, self._raw, self._buffers)
        self.prepare(job)
        rows = max(1, min(ROWS_PER_TASK, -(-plan.valid // self._threads)))
        return job, [
            self._pool.submit(self.fill_rows, job, start, min(start + rows, plan.valid))
            for start in range(0, plan.valid, rows)
        ]

    def close(self):
        self._pool.shutdown(wait=True)


class Job:
    """A batch in the making: numpy arrays, and what is needed to fill them."""

    def __init__(self, plan, size, raw, buffers):
        self.plan = plan
        if raw:
            self.images = buffers.take((plan.size, size, size, 3), np.uint8)
        else:
            self.images = buffers.take((plan.size, 3, size, size), np.float32)
        self.images[plan.valid :] = 0
        self.labels = np.zeros(plan.size, np.float32)
        self.keys = np.full(plan.size, -1, np.int64)
        self.matrices = None
        self.positions = plan.order.take(
            np.arange(plan.start, plan.start + plan.valid), mode="wrap"
        )
        self.parameters = None

    def batch(self, buffers):
        import mxnet as mx

        images, self.images = buffers.as_ndarray(self.images), None
        matrices = None if self.matrices is None else mx.nd.from_numpy(self.matrices)
        return Batch(images, mx.nd.from_numpy(self.labels), self.keys, self.plan.valid, matrices)


class SyntheticFiller(Filler):
    """Rows from SyntheticImages."""

    def prepare(self, job):
        job.keys[: job.plan.valid] = job.positions
        if self._raw:
            job.matrices = np.tile(self._records.matrix, (job.plan.size, 1, 1))

    def fill_rows(self, job, start, stop):
        self._records.fill(
            job.positions[start:stop], job.images[start:stop], job.labels[start:stop]
        )


class RecordFiller(Filler):
    """Rows from a RecordFile; the next record of the order takes the place of one that is broken."""

    def __init__(self, config, records, transform, bad):
        super().__init__(config, records, bad)
        self._transform = transform
        self._classes = config.classes
        self._local = threading.local()

    def prepare(self, job):
        job.parameters = self._sample(job, job.positions)
        if self._raw:
            job.matrices = np.zeros((job.plan.size, *job.parameters.matrices.shape[1:]), np.float32)

    def _sample(self, job, positions):
        return self._transform.sample(self._seed, job.plan.epoch, self._records.keys[positions])

    def fill_rows(self, job, start, stop):
        scratch = self._local.__dict__.setdefault("scratch", Scratch())
        for row in range(start, stop):
            try:
                self._fill_row(job, row, job.positions[row], job.parameters, row, scratch)
            except RecordError as error:
                self._replace(job, row, error, scratch)

    def _replace(self, job, row, error, scratch):
        order = job.plan.order
        for place in range(job.plan.start + row + 1, job.plan.start + row + len(order)):
            if self.bad is None:
                raise error
            self.bad.met(error)
            position = order[place % len(order)]
            try:
                return self._fill_row(job, row, position, self._sample(job, [position]), 0, scratch)
            except RecordError as next_error:
                error = next_error
        raise error

    def _fill_row(self, job, row, position, parameters, i, scratch):
        label, payload = self._records.read(position)
        key = job.keys[row] = self._records.keys[position]
        job.labels[row] = checked_label(label, self._classes, self._records.path, key)
        try:
            matrix = parameters.matrices[i]
            if self._raw:
                self._transform.image(payload, parameters, i, job.images[row], scratch)
                job.matrices[row] = matrix
            else:
                image = scratch.array("image", (self._size, self._size, 3))
                self._transform.image(payload, parameters, i, image, scratch)
                apply_on_host(image, matrix, job.images[row], scratch)
        except ValueError as error:
            raise RecordError(self._records.path, int(key), f"cannot be decoded: {error}") from None


def checked_label(label, classes, path, key):
    """The label as a number; UserError where it is none of the classes."""
    try:
        return class_of(label, classes)
    except ValueError as error:
        raise UserError(f"{path}, record {key}: {error}") from None


def wrong_label(where, label, classes):
    """The UserError for a label that is none of the classes."""
    return UserError(f"{where}: {none_of(label, classes)}")


class Buffers:
    """Memory for the images of batches, used again: fresh pages would cost as much as the colour
    step.

    An NDArray is laid over the memory by ``mx.nd.from_numpy``. MXNet lets go of it when the last
    NDArray that uses it is gone, those that operators queued in the engine hold included; only then
    it is free for another batch.
    """

    ALIGNMENT = 4096
    # of one size; what a user collects beyond that goes back to the system
    MOST_FREE = BATCHES_AHEAD + 2

    def __init__(self):
        self._free = collections.defaultdict(list)

    def take(self, shape, dtype):
        """An uninitialised array."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        try:
            block = self._free[size].pop()
        except IndexError:
            raw = np.empty(size + self.ALIGNMENT, np.uint8)
            start = -raw.ctypes.data % self.ALIGNMENT
            block = raw[start : start + size]
        return block.view(dtype).reshape(shape)

    def as_ndarray(self, array):
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
