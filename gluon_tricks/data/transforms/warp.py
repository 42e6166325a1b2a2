"""Shear, translate and rotate: the operations of AutoAugment and its successors that move pixels.

Each is a matrix (a, b, c, d, e, f): the result's point (x, y) shows the point (a x + b y + c,
d x + e y + f) of the image. Images are moved exactly as Pillow's ``Image.transform`` does with the
nearest pixel: the centre of each pixel is mapped in fixed-point numbers with 16 fractional bits,
and what comes from outside the image gets the fill colour.
"""

import math
from typing import Any, Callable, Dict, Optional, Sequence, Tuple

import numpy as np

from ..decode import Scratch

Matrix = Tuple[float, float, float, float, float, float]
ONE = 1 << 16  # in fixed-point numbers


def shear_x(amount: float, height: int, width: int) -> Matrix:
    """Pixels move left by ``amount`` for each pixel that they are below the top."""
    return 1, amount, 0, 0, 1, 0


def shear_y(amount: float, height: int, width: int) -> Matrix:
    """Pixels move up by ``amount`` for each pixel that they are right of the left edge."""
    return 1, 0, 0, amount, 1, 0


def translate_x(pixels: float, height: int, width: int) -> Matrix:
    """Move left."""
    return 1, 0, pixels, 0, 1, 0


def translate_y(pixels: float, height: int, width: int) -> Matrix:
    """Move up."""
    return 1, 0, 0, 0, 1, pixels


def rotate(degrees: float, height: int, width: int) -> Matrix:
    """Turn counter-clockwise about the middle; Pillow rounds sine and cosine to 15 digits."""
    angle = -math.radians(degrees % 360)
    cos, sin = round(math.cos(angle), 15), round(math.sin(angle), 15)
    x, y = width / 2, height / 2
    return cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y


WARPS: Dict[str, Callable[[float, int, int], Matrix]] = dict(
    shear_x=shear_x,
    shear_y=shear_y,
    translate_x=translate_x,
    translate_y=translate_y,
    rotate=rotate,
)


def warp(
    picture: np.ndarray,
    matrix: Matrix,
    fill: Sequence[int],
    out: np.ndarray,
    scratch: Optional[Scratch] = None,
) -> None:
    """Move the pixels of an image uint8 (height, width, 3), or of a mask (height, width), each side
    below 2^14, into ``out``, which may be the picture itself.
    """
    moved = (scratch or Scratch()).array("moved", picture.shape, picture.dtype)
    if not translate(picture, matrix, fill, moved):
        remap(picture, matrix, fill, moved)
    np.copyto(out, moved)


def translate(picture: np.ndarray, matrix: Matrix, fill: Sequence[int], out: np.ndarray) -> bool:
    """Translate an image if the matrix does nothing else and some pixels stay inside: a tenth of
    the work. Returns whether it did.
    """
    import cv2

    height, width = picture.shape[:2]
    x, y = math.floor(matrix[2] + 0.5), math.floor(matrix[5] + 0.5)
    if (matrix[:2] + matrix[3:5]) != (1, 0, 0, 1) or abs(x) >= width or abs(y) >= height:
        return False
    stays = picture[max(0, y) : height + min(0, y), max(0, x) : width + min(0, x)]
    edges = max(0, -y), max(0, y), max(0, -x), max(0, x)
    cv2.copyMakeBorder(stays, *edges, cv2.BORDER_CONSTANT, dst=out, value=fill)
    return True


def remap(picture: np.ndarray, matrix: Matrix, fill: Sequence[int], out: np.ndarray) -> None:
    """Take each pixel from where the matrix says."""
    import cv2

    height, width = picture.shape[:2]
    # OpenCV wants pairs of int16, x and y: the upper halves of fixed-point numbers. Two of those
    # make one int32, whose lower half comes first.
    x, y = fixed(*matrix[:3], height, width), fixed(*matrix[3:], height, width)
    places = (y & -ONE) | (x.view(np.uint32) >> 16).view(np.int32)
    places = places.view(np.int16).reshape(height, width, 2)
    nearest, edge = cv2.INTER_NEAREST, cv2.BORDER_CONSTANT
    no_fractions: Any = None
    cv2.remap(picture, places, no_fractions, nearest, dst=out, borderMode=edge, borderValue=fill)


def fixed(a: float, b: float, c: float, height: int, width: int) -> np.ndarray:
    """a x + b y + c of the pixels' centres in fixed-point numbers, int32 (height, width)."""
    a, b, c = (math.floor(value * ONE + 0.5) for value in (a, b, c + a * 0.5 + b * 0.5))
    along = np.arange(width, dtype=np.int32) * a
    return along + (np.arange(height, dtype=np.int32) * b + c)[:, None]


def warp_boxes(boxes: np.ndarray, matrix: Matrix) -> np.ndarray:
    """Boxes float (n, 4), left, top, right, bottom: those that enclose the moved corners."""
    a, b, c, d, e, f = matrix
    back = np.linalg.inv([[a, b], [d, e]])
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    moved: Any = (corners - [c, f]) @ back.T
    return np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1)
