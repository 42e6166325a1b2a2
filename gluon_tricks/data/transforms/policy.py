"""What AutoAugment, RandAugment and TrivialAugment have in common: a few operations, drawn for each
image, are applied one after another.

A sample is float64 (k, 2): for each of the k operations its number in :data:`NAMES`, or -1 for
none, and its argument. A *space* turns levels of strength into arguments: for each operation's name
it has a function from arrays of levels and signs (1 or -1) to arguments, see :mod:`.magnitudes`.
"""

from typing import Any, Callable, Dict, List, Sequence, Tuple

import numpy as np

from .operation import Geometry
from .pixels import NO_ARGUMENT, PIXEL_OPERATIONS
from .warp import WARPS, Matrix, warp, warp_boxes

NAMES = (*WARPS, *PIXEL_OPERATIONS)
IDENTITY = "identity"  # of a space: nothing is done
UNKNOWN = 255  # in a mask, where the image shows nothing: the label that segmentation ignores

Space = Dict[str, Callable[[np.ndarray, np.ndarray], Any]]


class Policy(Geometry):
    """The drawn operations; ``fill`` is the colour of what comes from outside the image."""

    fill: Tuple[int, int, int]

    in_place = True

    def changes(self, value):
        return value[:, 0].max() >= 0

    def image(self, picture, value, out, scratch):
        for name, argument in done(value):
            if name in WARPS:
                warp(picture, WARPS[name](argument, *picture.shape[:2]), self.fill, out, scratch)
            else:
                PIXEL_OPERATIONS[name](picture, argument, out, scratch)
            picture = out

    def mask(self, mask, value):
        mask = mask.copy()
        for matrix in warps_of(value, *mask.shape[:2]):
            warp(mask, matrix, (UNKNOWN,), mask)
        return mask

    def boxes(self, boxes, value, height, width):
        for matrix in warps_of(value, height, width):
            boxes = warp_boxes(boxes, matrix)
        return boxes

    def words(self, value):
        return ", ".join(
            name if name in NO_ARGUMENT else f"{name} {argument:.3g}"
            for name, argument in done(value)
        )


def done(value: np.ndarray) -> List[Tuple[str, float]]:
    """(name, argument) of the operations of a sample."""
    return [(NAMES[int(number)], argument) for number, argument in value.tolist() if number >= 0]


def warps_of(value: np.ndarray, height: int, width: int) -> List[Matrix]:
    """The matrices of those operations of a sample that move pixels."""
    return [WARPS[name](argument, height, width) for name, argument in done(value) if name in WARPS]


def samples(
    space: Space, chosen: np.ndarray, levels: np.ndarray, signs: np.ndarray, applied: Any = True
) -> np.ndarray:
    """The samples float64 (..., 2) of operations: ``chosen`` int (...) are their places in the
    ``space``, with ``levels`` and ``signs`` (...); ``applied`` bool (...): which of them are done.
    """
    values = np.full((*chosen.shape, 2), -1.0)
    for place, (name, argument_of) in enumerate(space.items()):
        here = (chosen == place) & applied
        if name != IDENTITY:
            values[here, 0] = NAMES.index(name)
            values[here, 1] = argument_of(levels[here], signs[here])
    return values


def table_of(space: Space, levels: Sequence[float]) -> np.ndarray:
    """The samples of all operations at these levels, to look them up in: float64 (2, operations,
    levels, 2), first those of sign 1 and then those of -1.
    """
    signs, chosen, grid = np.meshgrid([1, -1], range(len(space)), levels, indexing="ij")
    return samples(space, chosen, grid, signs)


def coin(numbers: np.ndarray) -> np.ndarray:
    """0 or 1, equally likely, from uniform numbers."""
    return (numbers >= 0.5).astype(int)
