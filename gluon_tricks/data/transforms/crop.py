"""Crops: a random part of the image that is resized to the network's input, and the centre."""

import dataclasses
from typing import Optional, Tuple

import numpy as np

from .. import randomness
from .operation import Draws, Geometry

CROP_TRIES = 10


@dataclasses.dataclass(frozen=True)
class RandomResizedCrop(Geometry):
    """A random rectangle (:func:`choose_crop`), resized to ``size`` x ``size``."""

    size: int
    area: Tuple[float, float]
    aspect: Tuple[float, float]
    fallback: str = "square"  # what is cropped if no rectangle fits: square or window

    name = "crop"
    draws = Draws(randomness.AUGMENT, 4 * CROP_TRIES)

    def sample(self, numbers):
        """float64 (n, CROP_TRIES, 4): uniform numbers for area, aspect, y, x of each try."""
        return numbers.reshape(-1, CROP_TRIES, 4)

    def window(self, height, width, numbers):
        side = self.size if self.fallback == "window" else None
        return choose_crop(height, width, numbers, self.area, self.aspect, side)

    def shape(self, height, width):
        return self.size, self.size

    def image(self, picture, value, out, scratch):
        import cv2

        cv2.resize(picture, (self.size, self.size), dst=out)

    def mask(self, mask, value):
        import cv2

        # OpenCV's only nearest interpolation whose pixel centres are those of bilinear
        return cv2.resize(mask, (self.size, self.size), interpolation=cv2.INTER_NEAREST_EXACT)

    def boxes(self, boxes, value, height, width):
        return boxes * np.tile([self.size / width, self.size / height], 2)


@dataclasses.dataclass(frozen=True)
class CentreCrop(Geometry):
    """The ``size`` x ``size`` pixels in the middle, as :func:`centre` says."""

    size: int
    rounded: bool = False

    name = "centre crop"

    def shape(self, height, width):
        return self.size, self.size

    def image(self, picture, value, out, scratch):
        np.copyto(out, self._part(picture))

    def mask(self, mask, value):
        return self._part(mask)

    def boxes(self, boxes, value, height, width):
        return boxes - np.tile([self._start(width), self._start(height)], 2)

    def _part(self, picture):
        y, x = (self._start(length) for length in picture.shape[:2])
        return picture[y : y + self.size, x : x + self.size]

    def _start(self, length):
        return centre(length, self.size, self.rounded)


def choose_crop(
    height: int,
    width: int,
    numbers: np.ndarray,
    area: Tuple[float, float],
    aspect: Tuple[float, float],
    window: Optional[int] = None,
) -> Tuple[int, int, int, int]:
    """``(y, x, height, width)`` of the crop of an image, from uniform numbers ``(tries, 4)``.

    The area is uniform in its range and so is the logarithm of the aspect ratio (width / height): a
    crop is as often wide as tall, which is how ImageRecordIter's crops are distributed too. The
    first rectangle of the tries that lies in the image is taken; if none does (a very long image),
    the largest centred one whose aspect ratio is 1, or as near to 1 as the range allows.
    With ``window``, the size of the network's input, it is ImageRecordIter's: a centred square of
    that size, or the largest in a smaller image.
    """
    for u_area, u_aspect, u_y, u_x in numbers.tolist():
        pixels = height * width * (area[0] + (area[1] - area[0]) * u_area)
        ratio = aspect[0] * (aspect[1] / aspect[0]) ** u_aspect
        h, w = max(1, round((pixels / ratio) ** 0.5)), max(1, round((pixels * ratio) ** 0.5))
        if h <= height and w <= width:
            return int(u_y * (height - h + 1)), int(u_x * (width - w + 1)), h, w
    if window:
        h = w = min(window, height, width)
    else:
        ratio = min(max(1, aspect[0]), aspect[1])
        h, w = min(height, max(1, round(width / ratio))), min(width, max(1, round(height * ratio)))
    return (height - h) // 2, (width - w) // 2, h, w


def centre(length: int, size: int, rounded: bool = False) -> int:
    """The first of the ``size`` pixels in the middle of ``length``; the smaller half is before.

    rounded: as in torchvision: half of the rest is rounded, halves to even.
    """
    return round((length - size) / 2) if rounded else (length - size) // 2
