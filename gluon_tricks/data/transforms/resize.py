"""Evaluation's resizing: the shorter edge gets a given length, the longer one follows.

:func:`shorter_edge`, :func:`resized_shape` and :func:`.crop.centre` are the whole of evaluation's
geometry.
"""

import dataclasses
import math
from typing import Tuple

import numpy as np

from .operation import Geometry

# How evaluation resizes: bilinear without antialiasing, as the authors did, or as Pillow does.
OPENCV = "opencv"
INTERPOLATIONS = (OPENCV, "bilinear", "bicubic")

LONGEST = 16  # times its width; longer images are cut before they are resized


@dataclasses.dataclass(frozen=True)
class ResizeShorterEdge(Geometry):
    """Bilinear, to a shorter edge of ``length`` pixels.

    An image that is longer than LONGEST times its width is first cut to its middle part: the centre
    crop shows no more of it, and the whole, resized, could take gigabytes.
    """

    length: int

    name = "resize"

    def shape(self, height, width):
        y, x = cut_of(height, width)
        return resized_shape(height - 2 * y, width - 2 * x, self.length)

    def image(self, picture, value, out, scratch):
        import cv2

        cv2.resize(middle(picture), out.shape[1::-1], dst=out)

    def mask(self, mask, value):
        import cv2

        height, width = self.shape(*mask.shape[:2])
        return cv2.resize(middle(mask), (width, height), interpolation=cv2.INTER_NEAREST_EXACT)

    def boxes(self, boxes, value, height, width):
        y, x = cut_of(height, width)
        new_height, new_width = self.shape(height, width)
        scale = [new_width / (width - 2 * x), new_height / (height - 2 * y)]
        return (boxes - np.tile([x, y], 2)) * np.tile(scale, 2)


@dataclasses.dataclass(frozen=True)
class PillowResize(ResizeShorterEdge):
    """As Pillow resizes, and with it torchvision and timm: a filter as wide as the reduction.

    interpolation: "bilinear" or "bicubic".
    """

    interpolation: str = "bicubic"

    def image(self, picture, value, out, scratch):
        from PIL import Image

        method = getattr(Image.Resampling, self.interpolation.upper())
        np.copyto(out, Image.fromarray(middle(picture)).resize(out.shape[1::-1], method))


def shorter_edge(size: int, ratio: float, interpolation: str = OPENCV) -> int:
    """The shorter edge before the centre crop of ``size``, rounded up as in the authors' code; with
    Pillow's interpolation rounded down, as in timm.
    """
    return math.ceil(size / ratio) if interpolation == OPENCV else math.floor(size / ratio)


def resized_shape(height: int, width: int, short: int) -> Tuple[int, int]:
    """``(height, width)`` with the shorter edge ``short`` and the longer one in proportion, rounded
    down.
    """
    if height <= width:
        return short, max(short, width * short // height)
    return max(short, height * short // width), short


def cut_of(height: int, width: int) -> Tuple[int, int]:
    """How many rows and columns are cut off at each end of a very long image."""
    y, x = (max(0, a - LONGEST * b) // 2 for a, b in ((height, width), (width, height)))
    return y, x


def middle(picture: np.ndarray) -> np.ndarray:
    """The image without what :func:`cut_of` cuts off."""
    height, width = picture.shape[:2]
    y, x = cut_of(height, width)
    return picture[y : height - y, x : width - x]
