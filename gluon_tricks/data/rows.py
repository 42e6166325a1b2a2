"""The rows of a batch in one block of memory, which threads or other processes fill."""

import math
from typing import Any, NamedTuple, Optional, Tuple

import numpy as np

ALIGNMENT = 64  # bytes: a cache line, and more than any type or vector instruction needs


class Rows(NamedTuple):
    """The arrays of a batch of ``n`` rows while they are filled."""

    images: np.ndarray  # float32 (n, 3, size, size), or uint8 (n, size, size, 3)
    labels: np.ndarray  # float32 (n,), masks uint8 (n, size, size), or boxes (.box_rows)
    keys: np.ndarray  # int64 (n,)
    matrices: Optional[np.ndarray]  # float32 (n, 3, 4 or 5), or None if the images are float32


class RowsFormat(NamedTuple):
    """How many rows there are, and the shapes of their parts."""

    count: int
    image_shape: Tuple[int, ...]
    image_dtype: Any
    matrix_shape: Optional[Tuple[int, ...]] = None
    label_shape: Tuple[int, ...] = ()
    label_dtype: Any = np.float32

    @property
    def nbytes(self) -> int:
        """Bytes of a block that holds the rows."""
        return sum(size for _, _, size in self._parts())

    def over(self, block: np.ndarray) -> Rows:
        """The rows in a block, uint8 ``(nbytes,)``; nothing is copied."""
        arrays, start = [], 0
        for shape, dtype, size in self._parts():
            used = math.prod(shape) * np.dtype(dtype).itemsize
            arrays.append(block[start : start + used].view(dtype).reshape(shape))
            start += size
        return Rows(*arrays, *[None] * (4 - len(arrays)))

    def _parts(self):
        """``[(shape, dtype, bytes with padding)]`` of the arrays in their order."""
        n = self.count
        labels = (n, *self.label_shape), self.label_dtype
        parts = [((n, *self.image_shape), self.image_dtype), labels, ((n,), np.int64)]
        if self.matrix_shape:
            parts.append(((n, *self.matrix_shape), np.float32))
        return [
            (shape, dtype, padded(math.prod(shape) * np.dtype(dtype).itemsize))
            for shape, dtype in parts
        ]


def format_of(source: Any, count: int) -> RowsFormat:
    """``count`` rows of what a source of :mod:`.sources` gives."""
    image = source.image_shape, source.image_dtype, source.matrix_shape
    return RowsFormat(count, *image, source.label_shape, source.label_dtype)


class FillTask(NamedTuple):
    """Fill the rows from ``start`` on with the records at ``places`` (int64), see :mod:`.order`."""

    epoch: int
    start: int
    places: np.ndarray


class Broken(NamedTuple):
    """A row that was not filled, because of the record that ``error`` (a RecordError) names."""

    row: int
    error: Any


def padded(size: int) -> int:
    """The next multiple of ALIGNMENT."""
    return -(-size // ALIGNMENT) * ALIGNMENT
