"""Boxes as the label of a row in a batch: an array of the same shape for every image.

A label is float32 (1 + most, 6). Its first row is the image's :class:`Extent`; each of the others
is left, top, right, bottom, class, kind (:mod:`.box_records`) of a box, or -1 six times.
"""

from typing import Any, NamedTuple, Tuple

import numpy as np

from ..errors import UserError
from .box_records import Boxes, problem_of_boxes, rows_of, unpack_boxes
from .decode import size_of
from .transforms.transform import Parameters, Transform

COLUMNS = 6


class Extent(NamedTuple):
    """The size of a row's image inside the row's square, and in its record, in pixels."""

    height: float
    width: float
    recorded_height: float
    recorded_width: float


def label_of(
    boxes: Boxes,
    height: int,
    width: int,
    most: int,
    transform: Transform,
    drawn: Parameters,
    i: int,
) -> np.ndarray:
    """The label of the ``i``-th image, of this height and width in its record, moved with it.

    ValueError if there are more than ``most`` boxes.
    """
    if len(boxes) > most:
        raise ValueError(f"has {len(boxes)} boxes, and at most {most} are taken")
    whole = [0, 0, width, height]
    corners = transform.boxes(np.vstack([boxes.corners, whole]), height, width, drawn, i)
    label = np.full((1 + most, COLUMNS), -1, np.float32)
    right, bottom = corners[-1, 2:]
    label[0, :4] = Extent(bottom, right, height, width)
    label[1 : 1 + len(boxes), :4] = corners[:-1]
    label[1 : 1 + len(boxes), 4] = boxes.classes
    label[1 : 1 + len(boxes), 5] = boxes.kinds
    return label


def extent_of(labels: np.ndarray) -> tuple:
    """The whole (height, width) that hold all images of a batch of labels (n, 1 + most, 6)."""
    height, width = np.ceil(labels[:, 0, :2].max(axis=0)).astype(int).tolist()
    return height, width


def recorded_corners(corners: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Boxes (n, 4) of a row's image, scaled to the image in its record."""
    height, width, recorded_height, recorded_width = label[0, :4].tolist()
    scale = [recorded_width / width, recorded_height / height]
    return corners * np.tile(scale, 2)


def most_boxes(labels: np.ndarray) -> int:
    """The largest number of boxes of an image in a batch of labels."""
    return int((labels[:, 1:, 4] >= 0).sum(axis=1).max())


class BoxLabels:
    """The boxes of the images in the RecordFile at ``path``, as the labels of rows: of this many
    ``classes``, and at most ``most`` in an image.

    It is a plain value: a pickle of it gives another process the same labels.
    """

    label_dtype = np.float32

    def __init__(self, path: str, classes: int, most: int) -> None:
        self._path, self._classes, self._most = path, classes, most

    def label_shape(self, size: int) -> Tuple[int, ...]:
        """The shape of a row's label, for images of any size."""
        return 1 + self._most, COLUMNS

    def label(
        self, key: int, label: Any, payload: bytes, transform: Transform, drawn: Parameters, i: int
    ) -> np.ndarray:
        """The label of a record's image and boxes, moved as the ``i``-th image is; UserError names
        a record whose boxes are wrong or too many.
        """
        self.check(key, label)
        height, width = size_of(payload)
        boxes = unpack_boxes(label, height, width)
        return label_of(boxes, height, width, self._most, transform, drawn, i)

    def check(self, key: int, label: Any) -> int:
        """The number of boxes in a record's label; UserError if the label cannot be used."""
        problem = problem_of_boxes(label, self._classes)
        if problem:
            raise UserError(
                f"{self._path}, record {key}: {problem}; --classes is {self._classes}, and "
                "'gluon-tricks prepare detection' makes such records"
            )
        count = len(rows_of(label))
        if count > self._most:
            raise UserError(
                f"{self._path}, record {key}: has {count} boxes, more than --max-boxes {self._most}"
            )
        return count

    def close(self) -> None:
        """There is nothing to close."""
