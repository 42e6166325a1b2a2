"""Masks, which give every pixel of an image its class: a RecordIO file next to that of the images.

The images of ``train.rec`` have their masks in ``train.mask.rec``, under the same keys. A mask is a
grey PNG of 8 bits, of the size of its image, whose values are the classes 0, 1, ... of
``labels.txt``, or :data:`IGNORED`. The label in the records of both files is 0.
"""

import os
from typing import Iterator, Tuple

import numpy as np

from . import png
from .decode import check_size

IGNORED = 255  # a pixel that is not counted, neither in the loss nor in a figure
MOST_CLASSES = 255
ENDING = ".mask.rec"


def mask_path_of(path: str) -> str:
    """The file of the masks that belong to the images of ``path``."""
    return os.path.splitext(path)[0] + ENDING


def image_path_of(mask_path: str) -> str:
    """The file of the images that belong to the masks of ``mask_path``."""
    return mask_path[: -len(ENDING)] + ".rec"


def is_mask_path(path: str) -> bool:
    """Is this the name of a file of masks?"""
    return path.endswith(ENDING)


def decode_mask(payload: bytes) -> np.ndarray:
    """uint8 ``(height, width)``: the grey value of each pixel of a PNG or, if it has a palette, the
    number of its colour there.

    ValueError if it is damaged, or no PNG with at most 8 bits in one number a pixel.
    """
    import cv2

    if payload[:8] != png.SIGNATURE:
        raise ValueError("is no PNG; masks are PNGs, which keep every pixel")
    data = bytearray()
    for kind, content in png.chunks(payload):
        if kind == b"IHDR":
            width, height, bits, colour, *methods = png.HEADER.unpack(content)
            _refuse_form(bits, colour)
            check_size(height, width, payload)
        elif kind == b"IDAT":
            data += content
    # Named grey, the numbers of a palette's colours are not replaced by the colours.
    header = png.HEADER.pack(width, height, bits, png.GREY, *methods)
    parts = (b"IHDR", header), (b"IDAT", data), (b"IEND", b"")
    grey = png.SIGNATURE + b"".join(png.chunk(kind, content) for kind, content in parts)
    mask = cv2.imdecode(np.frombuffer(grey, np.uint8), cv2.IMREAD_UNCHANGED)
    if mask is None or mask.shape != (height, width):
        raise ValueError(f"damaged: OpenCV cannot decode it ({len(payload)} bytes)")
    # Decoders stretch fewer bits to the range from 0 to 255.
    return mask if bits == 8 else mask // (255 // (2**bits - 1))


def _refuse_form(bits, colour):
    if colour not in (png.GREY, png.PALETTE):
        raise ValueError("is a colour PNG; a mask has one number a pixel: grey, or with a palette")
    if bits > 8:
        raise ValueError(f"has {bits} bits a pixel; a mask has at most 8")


def first_strange(mask: np.ndarray, classes: int) -> str:
    """Where a mask first has a value that is neither one of the classes nor :data:`IGNORED`, in
    words; "" if nowhere.
    """
    return first_where((mask >= classes) & (mask != IGNORED), mask)


def first_where(wrong: np.ndarray, mask: np.ndarray) -> str:
    """The first of the pixels that are wrong, in words; "" if none is."""
    if not wrong.any():
        return ""
    row, column = np.unravel_index(int(wrong.argmax()), wrong.shape)
    return f"the pixel in row {row}, column {column} has the value {mask[row, column]}"


def other_keys(mask_keys: np.ndarray, keys: np.ndarray) -> Iterator[Tuple[int, str]]:
    """Each key that only one of the two files has, and what is wrong."""
    for key in np.setdiff1d(keys, mask_keys).tolist():
        yield key, "the image has no mask"
    for key in np.setdiff1d(mask_keys, keys).tolist():
        yield key, "the mask has no image"
