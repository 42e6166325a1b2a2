"""Brings batches from the loader to the devices, ahead of the steps that use them, and measures how
long the loop waits for them.
"""

import contextlib
import time
from typing import Any, Dict, NamedTuple, Tuple

import numpy as np

BUSY = 0.9  # no advice if the devices do at least this share of what they could
SHORTEST = 1.0  # seconds from which the share can be judged
ADVICE = (
    "the devices wait for images: they do {:.0f} % of what they could. To load more images a "
    "second, use more threads (-j) if there are cores for them, --device-augment, or records with "
    "restart markers (prepare folder --restart-markers)"
)


class PlacedBatch(NamedTuple):
    """This worker's images of a step, each part on the device that computes it."""

    # part: images, labels and matrices as in data/batches.py: Batch
    parts: Dict[int, Tuple[Any, Any, Any]]
    keys: np.ndarray  # of the records of all parts, int64 (images,)


def place(batch, layout, devices):
    """A loader's batch as a :class:`PlacedBatch`. Does not wait for copies to GPUs."""

    def part_of(array, part, device):
        return None if array is None else layout.split(array, part).as_in_context(device)

    parts = {
        part: tuple(
            part_of(array, part, devices[number])
            for array in (batch.images, batch.labels, batch.matrices)
        )
        for micro in range(layout.accumulate)
        for number, part in layout.micro_batch(micro)
    }
    return PlacedBatch(parts, batch.keys)


def placed(batches, layout, devices, ahead):
    """Yield each of the loader's batches as a :class:`PlacedBatch`, while the next ``ahead`` ones
    are on their way to the devices.
    """
    waiting = []
    for batch in batches:
        waiting.append(place(batch, layout, devices))
        del batch  # its memory goes back to the loader when it is copied
        if len(waiting) > ahead:
            yield waiting.pop(0)
    while waiting:
        yield waiting.pop(0)


def steps_ahead(devices):
    """How many batches to send ahead: to a GPU one, which is copied while another is computed; on a
    CPU none, as nothing is copied.
    """
    return 1 if devices[0].device_type == "gpu" else 0


class WaitingTime:
    """The share of its time that the loop waits for data.

    A loop that waits may still keep the devices busy, because steps are queued. The devices are
    idle if the last step before a line of the log, from the arrival of its images to its end, takes
    less time than lies between two steps. :meth:`speed` compares these times.
    """

    def __init__(self):
        self._lines, self._has_advised = 0, False
        self.restart()

    def restart(self):
        """Start measuring again, after a line of the log."""
        self._since = time.perf_counter()
        self._waited, self._steps, self._arrival = 0.0, 0, self._since

    @contextlib.contextmanager
    def pause(self):
        """A context whose time does not count."""
        begin = time.perf_counter()
        yield
        self._since += time.perf_counter() - begin

    def measured(self, batches):
        """Yield the ``batches`` and measure how long the loop waits for each."""
        batches = iter(batches)
        while True:
            begin = time.perf_counter()
            try:
                batch = next(batches)
            except StopIteration:
                return
            self._arrival = time.perf_counter()
            self._waited += self._arrival - begin
            self._steps += 1
            yield batch
            del batch

    def share(self):
        """The share of the time since :meth:`restart`, 0 to 1."""
        return self._waited / max(time.perf_counter() - self._since, 1e-9)

    def speed(self):
        """The devices' least share of what they could do. All steps have to be finished."""
        now = time.perf_counter()
        alone, step = now - self._arrival, (now - self._since) / max(self._steps, 1)
        return min(1.0, max(alone / max(step, 1e-9), 1 - self.share()))

    def advice(self):
        """Advice to print now, or None if the devices are busy or it was given before.

        None for the first line of the log too, which includes the wait for the first images.
        """
        self._lines += 1
        if self._has_advised or self._lines == 1 or time.perf_counter() - self._since < SHORTEST:
            return None
        speed = self.speed()
        self._has_advised = speed < BUSY
        return self._has_advised and ADVICE.format(100 * speed) or None
