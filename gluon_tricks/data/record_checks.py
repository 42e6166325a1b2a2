"""Checks of what the records of images, and those of masks, hold."""

import contextlib

import numpy as np

from ..config import MOST_CLASSES_OF_MASKS
from ..errors import UserError
from . import mask_files
from .box_records import is_box_label, problem_of_boxes
from .class_names import names_next_to
from .decode import decode, decode_mask, size_of
from .labels import class_of
from .recordio import RecordError
from .records import RecordFile


class ImageCheck(contextlib.AbstractContextManager):
    """Checks that an image decodes, and that its label is one of the classes (None: any) or holds
    boxes inside the image, each of one of the classes (None: those of labels.txt).
    """

    def __init__(self, path, classes):
        self._classes, self._box_classes = classes, classes_of(path, classes)

    def __call__(self, key, label, payload):
        """What is wrong with a record, or None."""
        try:
            decode(payload)
        except ValueError as error:
            return str(error)
        if is_box_label(label):
            return problem_of_boxes(label, self._box_classes)
        return problem_of_label(label, self._classes)

    def of_keys(self, offsets):
        """``[(key, problem)]`` of the keys in an index ``{offset: key}``: images may have any."""
        return []

    def __exit__(self, *error):
        pass


def classes_of(path, classes):
    """``classes`` or, if that is None, the number of names in the labels.txt next to a file; None
    if there is none.
    """
    if classes is None:
        with contextlib.suppress(UserError):  # problem_of_names reports it
            names = names_next_to(path)
            return None if names is None else len(names)
    return classes


def problem_of_names(path):
    """What is wrong with the labels.txt next to a file, or None."""
    try:
        names_next_to(path)
    except UserError as error:
        return str(error)
    return None


def problem_of_label(label, classes):
    """What is wrong with a record's label, or None."""
    if not np.all(np.isfinite(label)):
        return f"its label is {label}"
    if classes is not None:
        try:
            class_of(label, classes)
        except ValueError as error:
            return str(error)
    return None


class MaskCheck(contextlib.AbstractContextManager):
    """Checks that a mask fits the image with its key and has only the classes (None: those of
    labels.txt).
    """

    def __init__(self, path, classes):
        self._images = RecordFile(mask_files.image_path_of(path))
        self._position_of = {key: place for place, key in enumerate(self._images.keys.tolist())}
        classes = classes_of(path, classes)
        self._classes = MOST_CLASSES_OF_MASKS if classes is None else classes

    def __call__(self, key, label, payload):
        """What is wrong with a record, or None."""
        try:
            mask = decode_mask(payload)
        except ValueError as error:
            return str(error)
        strange = mask_files.first_strange(mask, self._classes)
        if strange:
            return f"{strange}, and there are {self._classes} classes"
        return self._problem_of_size(key, mask.shape)

    def _problem_of_size(self, key, shape):
        if key not in self._position_of:
            return None  # of_keys reports it
        try:
            height, width = size_of(self._images.read(self._position_of[key])[1])
        except (RecordError, ValueError) as error:
            return f"its image is damaged: {error}"
        if shape == (height, width):
            return None
        return f"has {shape[1]} x {shape[0]} pixels, and its image has {width} x {height}"

    def of_keys(self, offsets):
        """``[(key, problem)]`` of the keys in an index ``{offset: key}`` that the images do not
        have, and of those that only they have.
        """
        keys = np.fromiter(offsets.values(), dtype=np.int64, count=len(offsets))
        return list(mask_files.other_keys(keys, self._images.keys))

    def __exit__(self, *error):
        self._images.close()
