"""Images with masks: two splits, which become two files with the same keys."""

import numpy as np

from ...config import MOST_CLASSES_OF_MASKS
from ...errors import UserError
from ..class_names import LABELS
from ..decode import size_of
from ..mask_files import IGNORED, first_where
from . import images
from .images import encode_png
from .mask_numbers import numbers_in
from .split import Split


class Values:
    """What the values in a data set's masks mean: ``first`` is class 0, and pixels with a value of
    ``ignored`` are not counted.
    """

    def __init__(self, classes, first=0, ignored=(IGNORED,)):
        if not 0 < classes <= min(MOST_CLASSES_OF_MASKS, 256 - first):
            raise UserError(
                f"{classes} classes from the value {first} on: masks have values up to 255, "
                f"and are stored with at most {MOST_CLASSES_OF_MASKS} classes"
            )
        values = np.arange(256)
        self._class_of = (values - first).astype(np.uint8)
        self._class_of[list(ignored)] = IGNORED
        self._strange = (values < first) | (values >= first + classes)
        self._strange[list(ignored)] = False
        self._meaning = f"classes are {first} to {first + classes - 1} ({LABELS})"

    def stored(self, data):
        """``(PNG of classes and IGNORED, what was done)`` of an encoded mask; ValueError if it is
        damaged or has a value without meaning.
        """
        mask = numbers_in(data)
        wrong = first_where(self._strange[mask], mask)
        if wrong:
            raise ValueError(f"{wrong}; {self._meaning}")
        return encode_png(self._class_of[mask]), "png"


def mask_split(name):
    """The name of the split of the masks that belong to a split of images."""
    return name + ".mask"


def read_pairs(name, pictures, masks, values, args):
    """``{name: Split of images, mask_split(name): Split of their masks}``.

    pictures, masks: each ``(names, read, size)`` as of :class:`Split`, in the same order.
    """
    image_names, read_image, image_size = pictures
    mask_names, read_mask, mask_size = masks

    def read_fitting(position):
        data = read_mask(position)
        height, width = size_of(data)
        expected = images.upright_size(read_image(position))
        if (height, width) != expected:
            raise ValueError(
                f"has {width} x {height} pixels, and its image {image_names[position]} has "
                f"{expected[1]} x {expected[0]}"
            )
        return data

    return {
        name: Split(
            image_names, None, read_image, lambda data: images.stored_form(data, args), image_size
        ),
        mask_split(name): Split(mask_names, None, read_fitting, values.stored, mask_size),
    }
