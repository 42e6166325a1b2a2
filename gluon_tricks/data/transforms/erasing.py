"""Covering a part of the normalised image: random erasing (Zhong et al. 2017) and Cutout (DeVries,
Taylor 2017).
"""

import dataclasses
import math
from typing import Tuple

import numpy as np

from .. import randomness
from .operation import Draws, NormalisedOperation

AREA, ASPECT, TRIES = (0.02, 0.33), (0.3, 3.3), 10
NOISE = "noise"


@dataclasses.dataclass(frozen=True)
class RandomErasing(NormalisedOperation):
    """With this ``probability`` a rectangle becomes 0 or, with the ``fill`` noise, normal noise.

    As in torchvision: its share of the image is uniform in AREA and the logarithm of height / width
    in that of ASPECT. The first of TRIES rectangles that is lower and narrower than the image is
    taken.
    """

    probability: float
    fill: str = "zero"

    name = "random erasing"
    draws = Draws(randomness.ERASING, 2 + 4 * TRIES)

    @property
    def off(self):
        return not self.probability

    def normalised(self, image, numbers):
        if numbers[0] < self.probability:
            y, x, height, width = choose_rectangle(*image.shape[1:], numbers[2:].reshape(TRIES, 4))
            part = image[:, y : y + height, x : x + width]
            part[:] = normal_noise(numbers[1], part.shape) if self.fill == NOISE else 0

    def words(self, numbers):
        return "erased" if numbers[0] < self.probability else ""


@dataclasses.dataclass(frozen=True)
class Cutout(NormalisedOperation):
    """A square of ``side`` pixels around a uniform point becomes 0; its part outside is cut off."""

    side: int

    name = "Cutout"
    draws = Draws(randomness.CUTOUT, 2)

    @property
    def off(self):
        return not self.side

    def normalised(self, image, numbers):
        y, x = (int(u * length) - self.side // 2 for u, length in zip(numbers, image.shape[1:]))
        image[:, max(0, y) : max(0, y + self.side), max(0, x) : max(0, x + self.side)] = 0


def choose_rectangle(height: int, width: int, numbers: np.ndarray) -> Tuple[int, int, int, int]:
    """``(y, x, height, width)`` from uniform numbers ``(tries, 4)``; of no size if none fits."""
    for u_area, u_aspect, u_y, u_x in numbers.tolist():
        pixels = height * width * (AREA[0] + (AREA[1] - AREA[0]) * u_area)
        aspect = ASPECT[0] * (ASPECT[1] / ASPECT[0]) ** u_aspect
        h, w = round(math.sqrt(pixels * aspect)), round(math.sqrt(pixels / aspect))
        if h < height and w < width:
            return int(u_y * (height - h + 1)), int(u_x * (width - w + 1)), h, w
    return 0, 0, 0, 0


def normal_noise(number: float, shape: Tuple[int, ...]) -> np.ndarray:
    """Standard normal numbers, float64 of this shape: a function of a number in [0, 1)."""
    # RandomState's streams are frozen by numpy, so they outlive its versions
    seed = int(number * 2**53)
    return np.random.RandomState([seed % 2**32, seed >> 32]).standard_normal(shape)
