"""A list of operations, put into stages once, and then applied to one image after another.

1. Operations on pixels give an 8-bit RGB image. The first one may ask for a part of the image, and
   then only that is decoded.
2. All affine operations and the normalisation are one matrix for each image, applied on the host
   (float32 ``(3, height, width)``) or for the whole batch on the device (:mod:`.color_map`).
3. What comes after the normalisation changes that image in place, on the host.

Sampling is vectorised over a batch and a pure function of (seed, epoch, record key).
"""

import functools
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from .. import randomness
from ..decode import Scratch, decode, decode_crop
from .color_map import ColorMap, apply_on_host
from .normalise import Normalise
from .operation import AffineOperation, Geometry, NormalisedOperation, Operation, PixelOperation


class Parameters(NamedTuple):
    """What happens to each of ``n`` images."""

    matrices: np.ndarray  # float32 (n, 3, 4 or 5), see color_map
    values: Dict[str, np.ndarray]  # by the name of an operation: its sample for each image


class Transform:
    """Operations in order: on pixels, affine, :class:`.normalise.Normalise`, on what that gives.

    Those that are off are left out. ValueError for a list in another order or with the same
    operation twice.
    """

    def __init__(self, operations: Sequence[Any]) -> None:
        before, self.normalise, after = split(operations)
        self.operations: List[Operation] = [one for one in (*before, *after) if not one.off]
        check_order(self.operations)
        self.on_normalised = [one for one in after if not one.off]
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
        return self._image(
            payload,
            parameters,
            i,
            lambda shape: np.empty(shape, np.uint8) if out is None else out,
            scratch or Scratch(),
        )

    def _image(self, payload, parameters, i, memory, scratch):
        """The first stage, with the result in ``memory(shape)``."""
        steps = self._steps(parameters, i)
        if self._window:
            value = steps[0][1]
            picture = decode_crop(payload, lambda h, w: self._window(h, w, value), scratch)
        else:
            picture = decode(payload, scratch)
        in_out = len(steps) - 1  # the first step that writes into out: all after it work in place
        while in_out > 0 and steps[in_out][0].in_place:
            in_out -= 1
        out = None
        for number, (one, value) in enumerate(steps):
            shape = (*one.shape(*picture.shape[:2]), 3)
            if number < in_out:
                target = scratch.array(one.name, shape)
            else:
                target = out = memory(shape) if out is None else out
            one.image(picture, value, target, scratch)
            picture = target
        return picture

    def apply(
        self,
        payload: bytes,
        parameters: Parameters,
        i: int = 0,
        out: Optional[np.ndarray] = None,
        scratch: Optional[Scratch] = None,
    ) -> np.ndarray:
        """All stages: float32 ``(3, size, size)`` of the ``i``-th image, in ``out`` if given."""
        scratch = scratch or Scratch()
        memory = functools.partial(scratch.array, "image")
        picture = self._image(payload, parameters, i, memory, scratch)
        image = apply_on_host(picture, parameters.matrices[i], out, scratch)
        for one in self.on_normalised:
            one.normalised(image, parameters.values[one.name][i])
        return image

    def words(self, parameters: Parameters, i: int) -> List[str]:
        """What the operations that were drawn do to the ``i``-th image, for a person."""
        values = parameters.values
        said = [one.words(values[one.name][i]) for one in self.operations if one.name in values]
        return [words for words in said if words]

    def placements(self, height: int, width: int, parameters: Parameters, i: int) -> List[str]:
        """Where the operations that were drawn move the ``i``-th image, for a person."""
        values = parameters.values
        drawn = [one for one in self.operations if one.name in values]
        said = [one.placement(height, width, values[one.name][i]) for one in drawn]
        return [words for words in said if words]

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
        """A mask (height, width), moved as the ``i``-th image; UserError names an operation that
        cannot do it.
        """
        y, x, height, width = self.window(mask.shape[0], mask.shape[1], parameters, i)
        mask = mask[y : y + height, x : x + width]
        for one, value in self._moves(parameters, i):
            mask = one.mask(mask, value)
        return np.ascontiguousarray(mask)

    def boxes(
        self, boxes: np.ndarray, height: int, width: int, parameters: Parameters, i: int = 0
    ) -> np.ndarray:
        """Boxes float (n, 4) in an image of this size, moved as the ``i``-th image.

        Each is left, top, right, bottom in pixels. They are clipped to the result: a box outside
        has a width or height of zero.
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
    """Where the numbers of these Draws are among all of their purpose."""
    return slice(draws.first, draws.first + draws.numbers)


def split(operations: Sequence[Any]) -> Tuple[Sequence[Any], Normalise, Sequence[Any]]:
    """What comes before Normalise, Normalise itself, and what comes after it.

    ValueError if it is not there once, or an operation is on the wrong side of it.
    """
    places = [place for place, one in enumerate(operations) if isinstance(one, Normalise)]
    if len(places) != 1:
        raise ValueError(f"a list has Normalise once, not {len(places)} times")
    before, after = operations[: places[0]], operations[places[0] + 1 :]
    for one in before:
        if isinstance(one, NormalisedOperation):
            raise ValueError(f"{one.name} changes normalised images, so it is after Normalise")
    for one in after:
        if not isinstance(one, NormalisedOperation):
            raise ValueError(f"{one.name} has to be before Normalise")
    return before, operations[places[0]], after


def check_order(operations: Sequence[Operation]) -> None:
    """ValueError, which names the operation, for a list that :class:`Transform` cannot apply."""
    affine = None
    for number, one in enumerate(operations):
        if one.name in [other.name for other in operations[:number]]:
            raise ValueError(f"{one.name} is there twice")
        if isinstance(one, AffineOperation):
            affine = one
        elif affine and isinstance(one, PixelOperation):
            raise ValueError(f"{one.name} works on pixels and so has to be before {affine.name}")
