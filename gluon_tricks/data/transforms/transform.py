"""A list of operations, put into stages once, and then applied to one image after another.

1. Operations on pixels give an 8-bit RGB image. The first one may ask for a part of the image, and
   then no more than that is decoded.
2. All affine operations and the normalisation are one matrix for each image, applied on the host
   (float32 ``(3, height, width)``) or for the whole batch on the device (:mod:`.color_map`).

Sampling is vectorised over a batch and a pure function of (seed, epoch, record key).
"""

from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from .. import randomness
from ..decode import Scratch, decode, decode_crop
from .color_map import ColorMap, apply_on_host
from .normalise import Normalise
from .operation import AffineOperation, Geometry, Operation, PixelOperation


class Parameters(NamedTuple):
    """What happens to each of ``n`` images."""

    matrices: np.ndarray  # float32 (n, 3, 4 or 5), see color_map
    values: Dict[str, np.ndarray]  # by the name of an operation: its sample for each image


class Transform:
    """Operations in their order: on pixels, then affine, at last :class:`.normalise.Normalise`.

    Those that are off are left out. ValueError for a list in another order or with the same
    operation twice.
    """

    def __init__(self, operations: Sequence[Any]) -> None:
        others, self.normalise = operations[:-1], operations[-1]
        self.operations: List[Operation] = [one for one in others if not one.off]
        check_order(self.operations, self.normalise)
        self._pixels = [one for one in self.operations if isinstance(one, PixelOperation)]
        self._affine = [one for one in self.operations if isinstance(one, AffineOperation)]
        self._window = getattr(self._pixels[0], "window", None) if self._pixels else None
        self._numbers: Dict[int, int] = {}  # of each purpose: how many numbers an image needs
        for one in self.operations:
            if one.draws:
                purpose, numbers, first = one.draws
                self._numbers[purpose] = max(self._numbers.get(purpose, 0), first + numbers)

    @property
    def size(self) -> int:
        """Height and width of the result, which is a square of a fixed size."""
        height = width = 1
        for one in self._pixels:
            height, width = one.shape(height, width)
        return height

    @property
    def matrix_shape(self) -> Tuple[int, ...]:
        """The shape of an image's matrix: (3, 4) or (3, 5)."""
        return self.sample(0, 0, np.zeros(1, np.int64)).matrices.shape[1:]

    def sample(self, seed: int, epoch: int, keys: Any) -> Parameters:
        """The :class:`Parameters` of the records with these keys (int64 array) in this epoch."""
        numbers = {
            purpose: randomness.uniforms(purpose, seed, epoch, keys, count)
            for purpose, count in self._numbers.items()
        }
        values = {
            one.name: one.sample(numbers[one.draws.purpose][:, slice_of(one.draws)])
            for one in self.operations
            if one.draws
        }
        colors = ColorMap(len(keys))
        for one in self._affine:
            one.add_to(colors, values.get(one.name))
        return Parameters(self.normalise.matrices(colors), values)

    def image(
        self,
        payload: bytes,
        parameters: Parameters,
        i: int,
        out: Optional[np.ndarray] = None,
        scratch: Optional[Scratch] = None,
    ) -> np.ndarray:
        """First stage: the pixel operations on an encoded image; uint8 RGB ``(size, size, 3)``.

        Written into ``out`` if it is given. ValueError if the image is damaged.
        """
        scratch = scratch or Scratch()
        steps = self._steps(parameters, i)
        if self._window:
            value = steps[0][1]
            picture = decode_crop(payload, lambda h, w: self._window(h, w, value), scratch)
        else:
            picture = decode(payload, scratch)
        in_out = len(steps) - 1  # the first step that writes into out: all after it work in place
        while in_out > 0 and steps[in_out][0].in_place:
            in_out -= 1
        for number, (one, value) in enumerate(steps):
            height, width = one.shape(*picture.shape[:2])
            if number < in_out:
                target = scratch.array(one.name, (height, width, 3))
            else:
                target = out = np.empty((height, width, 3), np.uint8) if out is None else out
            one.image(picture, value, target, scratch)
            picture = target
        return picture

    def apply(self, payload: bytes, parameters: Parameters, i: int = 0) -> np.ndarray:
        """Both stages: float32 ``(3, size, size)`` of the ``i``-th image."""
        return apply_on_host(self.image(payload, parameters, i), parameters.matrices[i])

    def window(
        self, height: int, width: int, parameters: Parameters, i: int
    ) -> Tuple[int, int, int, int]:
        """``(y, x, height, width)`` of the part of an image that the ``i``-th result shows, before
        anything else moves it; all of it if no operation asks for a part.
        """
        if not self._window:
            return 0, 0, height, width
        return self._window(height, width, self._steps(parameters, i)[0][1])

    def mask(self, mask: np.ndarray, parameters: Parameters, i: int = 0) -> np.ndarray:
        """A mask (height, width) as the ``i``-th image is moved; UserError names an operation that
        cannot.
        """
        y, x, height, width = self.window(mask.shape[0], mask.shape[1], parameters, i)
        mask = mask[y : y + height, x : x + width]
        for one, value in self._moves(parameters, i):
            mask = one.mask(mask, value)
        return np.ascontiguousarray(mask)

    def boxes(
        self, boxes: np.ndarray, height: int, width: int, parameters: Parameters, i: int = 0
    ) -> np.ndarray:
        """Boxes float (n, 4) in an image of this size as the ``i``-th image is moved.

        Each is left, top, right, bottom in pixels. They are cut off at the result's edges: of one
        that is not in the result nothing is left, its width or height is zero.
        """
        y, x, height, width = self.window(height, width, parameters, i)
        boxes = np.asarray(boxes, np.float64).reshape(-1, 4) - np.tile([x, y], 2)
        for one, value in self._moves(parameters, i):
            boxes = one.boxes(boxes, value, height, width)
            height, width = one.shape(height, width)
        return np.clip(boxes, 0, np.tile([width, height], 2))

    def _steps(self, parameters, i):
        """``[(operation, value)]`` of the pixel operations that change the ``i``-th image."""
        steps = []
        for one in self._pixels:
            value = parameters.values[one.name][i] if one.draws else None
            if one.changes(value):
                steps.append((one, value))
        return steps or [(Copy(), None)]

    def _moves(self, parameters, i):
        """Those of the steps that move the image's pixels."""
        return [step for step in self._steps(parameters, i) if isinstance(step[0], Geometry)]


class Copy(PixelOperation):
    """The image as it is, if no operation changes it."""

    name = "copy"

    def image(self, picture, value, out, scratch):
        np.copyto(out, picture)


def slice_of(draws):
    return slice(draws.first, draws.first + draws.numbers)


def check_order(operations: Sequence[Operation], last: Any) -> None:
    """ValueError, which names the operation, for a list that :class:`Transform` cannot apply."""
    if not isinstance(last, Normalise):
        raise ValueError(f"the last operation has to be Normalise, not {last}")
    affine = None
    for number, one in enumerate(operations):
        if one.name in [other.name for other in operations[:number]]:
            raise ValueError(f"{one.name} is there twice")
        if isinstance(one, AffineOperation):
            affine = one
        elif affine:
            raise ValueError(f"{one.name} works on pixels and so has to be before {affine.name}")
