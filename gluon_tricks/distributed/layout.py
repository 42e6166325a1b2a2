"""Which images of the global batch belong to which worker, micro-batch and device."""

from dataclasses import dataclass
from typing import Any, Iterator, Tuple

from ..errors import UserError
from ..text import counted


@dataclass(frozen=True)
class Layout:
    """How the images of a step, the global batch, are divided among workers and devices.

    The global batch is a row of ``parts``. A part is the ``batch_size`` images of one forward and
    backward pass on one device. BatchNorm and mixup see one part at a time, so launches with the
    same parts compute the same. Each worker has neighbouring parts, as many as the others or one
    more. It computes one micro-batch after the other, each of which is one part on every device.
    """

    batch_size: int
    parts: int = 1
    devices: int = 1  # of each worker
    workers: int = 1
    rank: int = 0

    def __post_init__(self):
        if self.parts < self.workers * self.devices:
            raise UserError(
                f"the global batch of {self.global_batch} images has {self.parts} parts of "
                f"--batch-size {self.batch_size}, too few for {self._devices_in_words()}: start "
                "fewer"
            )

    @property
    def global_batch(self) -> int:
        """Images in a step."""
        return self.batch_size * self.parts

    def parts_of(self, rank: int) -> range:
        """The numbers of a worker's parts."""
        return range(self.parts * rank // self.workers, self.parts * (rank + 1) // self.workers)

    @property
    def own_parts(self) -> range:
        """The numbers of this worker's parts."""
        return self.parts_of(self.rank)

    @property
    def worker_batch(self) -> int:
        """Images of a step that this worker reads."""
        return self.batch_size * len(self.own_parts)

    @property
    def first(self) -> int:
        """Position in the global batch of this worker's first image."""
        return self.batch_size * self.own_parts.start

    @property
    def accumulate(self) -> int:
        """Micro-batches of this worker in a step; the last one may leave devices without a part."""
        return -(-len(self.own_parts) // self.devices)

    def in_words(self) -> str:
        """The global batch as a product."""
        return (
            f"{self.global_batch:,} = {counted(self.batch_size, 'image')} x "
            f"{counted(self.parts, 'part')}; {self._devices_in_words()}"
        )

    def _devices_in_words(self):
        each = " each" * (self.workers > 1)
        return f"{counted(self.workers, 'worker')} with {counted(self.devices, 'device')}{each}"

    def micro_batch(self, number: int) -> Iterator[Tuple[int, int]]:
        """(device's number, part's number) pairs of this worker's micro-batch ``number``."""
        start = number * self.devices
        return enumerate(self.own_parts[start : start + self.devices])

    def split(self, batch: Any, part: int) -> Any:
        """The rows of a part, from an array with this worker's rows of the step.

        An image has one row, or two for mixup of type 1.
        """
        rows = len(batch) // len(self.own_parts)
        start = (part - self.own_parts.start) * rows
        return batch[start : start + rows]


def parts_that_keep(global_batch: int, batch_size: int) -> int:
    """How many parts of ``batch_size`` images make up the ``global_batch`` of a resumed run.

    Raises :class:`UserError` if ``global_batch`` is not a multiple of ``batch_size``.
    """
    parts, rest = divmod(global_batch, batch_size)
    if rest:
        raise UserError(
            f"--elastic keep-batch: the run's {global_batch} images a step are not a multiple of "
            f"--batch-size {batch_size}"
        )
    return parts
