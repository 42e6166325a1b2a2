"""Masks, which give every pixel of an image its class: a RecordIO file next to that of the images.

The images of ``train.rec`` have their masks in ``train.mask.rec``, under the same keys. A mask is a
grey PNG of 8 bits, of the size of its image, whose values are the classes 0, 1, ... of
``labels.txt``, or :data:`IGNORED`. The label in the records of both files is 0.
"""

import os
from typing import Iterator, Tuple

import numpy as np

IGNORED = 255  # a pixel that is not counted, neither in the loss nor in a figure
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
