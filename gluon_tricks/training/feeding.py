"""The way of a batch from the loader to the devices, ahead of the step that uses it, and the time
that the loop waits for it.
"""

import time
from typing import Any, Dict, NamedTuple, Tuple

import numpy as np

BUSY = 0.9  # the devices' share of what they could do, from which on nothing is said
SHORTEST = 1.0  # seconds that are long enough to judge by
ADVICE = (
    "the devices wait for images: they do {:.0f} % of what they could. More threads (-j) if there "
    "are cores for them, --device-augment, and records with restart markers (prepare folder "
    "--restart-markers) make more images a second"
)


class PlacedBatch(NamedTuple):
    """This worker's images of a step, part by part on the devices that compute them."""

    # part: images, labels and matrices as in data/batches.py: Batch
    parts: Dict[int, Tuple[Any, Any, Any]]
    keys: np.ndarray  # int64 (images,), of all parts


def place(batch, layout, devices):
    """A loader's batch as a :class:`PlacedBatch`. Copies to GPUs are started and not waited for."""

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
    """Yield each of the loader's batches as a :class:`PlacedBatch`, with ``ahead`` more of them on
    their way to the devices.
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
    """How many batches to have on their way. To a GPU one is copied while another is computed; on a
    CPU nothing is copied.
    """
    return 1 if devices[0].device_type == "gpu" else 0


class WaitingTime:
    """Which share of its time the loop waits for data.

    A loop that waits may still keep the devices busy, as steps are queued. They are not if the last
    step before a line of the log, from the moment at which its images are there to its end, is
    shorter than the time from one step to the next. That is what :meth:`speed` compares.
    """

    def __init__(self):
        self._lines, self._has_advised = 0, False
        self.restart()

    def restart(self):
        """Forget what was before: a line of the log was written, or a validation took place."""
        self._since = time.perf_counter()
        self._waited, self._steps, self._arrival = 0.0, 0, self._since

    def measured(self, batches):
        """Yield the ``batches`` and take the time that each is waited for."""
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
        """The share, 0 to 1, since :meth:`restart`."""
        return self._waited / max(time.perf_counter() - self._since, 1e-9)

    def speed(self):
        """The devices' work as a share of what they could do, at least, if all steps are finished
        now.
        """
        now = time.perf_counter()
        alone, step = now - self._arrival, (now - self._since) / max(self._steps, 1)
        return min(1.0, max(alone / max(step, 1e-9), 1 - self.share()))

    def advice(self):
        """What to do, to be said now, or None if the devices are busy, or it was said.

        The first line counts the time until the first images are there.
        """
        self._lines += 1
        if self._has_advised or self._lines == 1 or time.perf_counter() - self._since < SHORTEST:
            return None
        speed = self.speed()
        self._has_advised = speed < BUSY
        return self._has_advised and ADVICE.format(100 * speed) or None
