"""Boxes as the label of a row in a batch: an array of one shape, whatever an image holds.

A label is float32 (1 + most, 6). Its first row is the image's :class:`Extent`; each of the others
is left, top, right, bottom, class, kind (:mod:`.box_records`) of a box, or -1 six times.
"""

from typing import NamedTuple

import numpy as np

from .box_records import Boxes
from .transforms.transform import Parameters, Transform

COLUMNS = 6


class Extent(NamedTuple):
    """How much of a row's square its image takes, in pixels, and its height and width in the
    record.
    """

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
    """The label of the ``i``-th image, of this height and width in its record, moved as the image.

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
    """(height, width) that hold the images of a batch of labels (n, 1 + most, 6), whole numbers."""
    height, width = np.ceil(labels[:, 0, :2].max(axis=0)).astype(int).tolist()
    return height, width


def recorded_corners(corners: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Boxes (n, 4) in a row's image as they are in that of its record, at the record's scale."""
    height, width, recorded_height, recorded_width = label[0, :4].tolist()
    scale = [recorded_width / width, recorded_height / height]
    return corners * np.tile(scale, 2)
