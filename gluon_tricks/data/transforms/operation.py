"""What an operation is: where its random numbers come from, and in which form it works.

There are four forms:

- :class:`PixelOperation` changes 8-bit RGB pixels on the host, one image at a time.
- :class:`Geometry` does so by moving them, and can move a mask and boxes along.
- :class:`AffineOperation` is affine in RGB. All of a list become one matrix an image, which is
  applied on the host or, for a whole batch, on the device (:mod:`.color_map`).
- :class:`NormalisedOperation` changes the normalised image, on the host only.

An operation is a plain value, of which other processes get a pickle (:mod:`..processes`). It draws
its numbers under its own purpose (:func:`gluon_tricks.data.randomness.purpose_of`), so adding one
to a list leaves the draws of the others alone.
"""

from typing import Any, Callable, NamedTuple, Optional, Tuple

import numpy as np

from ...errors import UserError
from ..decode import Scratch
from .color_map import ColorMap


class Draws(NamedTuple):
    """The uniform numbers of an operation: this many ``numbers`` for each image, those of a purpose
    from number ``first`` on.
    """

    purpose: int
    numbers: int
    first: int = 0


class Operation:
    """``name`` is what messages call it; without ``draws`` nothing about it is random."""

    name: str
    draws: Optional[Draws] = None

    @property
    def off(self) -> bool:
        """Whether it changes no image at all; the list then leaves it out."""
        return False

    def sample(self, numbers: np.ndarray) -> np.ndarray:
        """One value for each image, from uniform numbers in [0, 1), float64 (n, draws.numbers)."""
        return numbers

    def words(self, value: Any) -> str:
        """What it does to an image with this value, for a person; "" if the image shows it."""
        return ""

    def placement(self, height: int, width: int, value: Any) -> str:
        """Where it moves an image of this size with this value, for a person; "" if it does not, or
        its :meth:`words` say so.
        """
        return ""


class PixelOperation(Operation):
    """An operation on 8-bit RGB pixels, (height, width, 3); ``value`` is the image's sample."""

    in_place = False  # may ``out`` be ``picture`` itself? It saves memory traffic.

    def changes(self, value: Any) -> bool:
        """Does it change an image with this value?"""
        return True

    def shape(self, height: int, width: int) -> Tuple[int, int]:
        """(height, width) of the result."""
        return height, width

    def image(self, picture: np.ndarray, value: Any, out: np.ndarray, scratch: Scratch) -> None:
        """Write the changed image into ``out``, which may be ``picture`` only if ``in_place``."""
        raise NotImplementedError


class Geometry(PixelOperation):
    """A pixel operation that moves pixels.

    The first of a list may have a ``window``. It is then given only this part of an image, which
    saves decoding the rest; it has to change every image.
    """

    window: Optional[Callable[..., Tuple[int, int, int, int]]] = None  # (height, width, value)

    def mask(self, mask: np.ndarray, value: Any) -> np.ndarray:
        """A mask (height, width) moved with the image: no new values, the nearest is taken."""
        raise UserError(f"{self.name} cannot move a mask")

    def boxes(self, boxes: np.ndarray, value: Any, height: int, width: int) -> np.ndarray:
        """Boxes float (n, 4), left, top, right, bottom in pixels of an image of this size, moved
        with it.
        """
        raise UserError(f"{self.name} cannot move boxes")


class AffineOperation(Operation):
    """An operation that is affine in an image's RGB values."""

    def add_to(self, colors: ColorMap, values: Any) -> None:
        """Append it to ``colors``; ``values`` are the samples of all images, or None if nothing
        about it is random.
        """
        raise NotImplementedError


class NormalisedOperation(Operation):
    """An operation on a normalised image, after all others."""

    def normalised(self, image: np.ndarray, value: Any) -> None:
        """Change an image float32 (3, height, width) in place; ``value`` is its sample."""
        raise NotImplementedError
