"""Boxes as the labels of image records, in the form of MXNet's own tools (im2rec's --pack-label).

A label is a row of float32::

    A, B, the rest of a header of A numbers | class, left, top, right, bottom, ... up to B | ...

with A >= 2 and B >= 5. Positions are fractions of the image's width and height. Ours have
A = 4 and B = 6: the header ends with the image's width and height, and the sixth number of a box is
:data:`ORDINARY`, :data:`DIFFICULT` or :data:`CROWD`. A row whose class is below 0 is no box; an
image without boxes has one row of -1, as MXNet's readers want at least one and pad with -1.

Right and bottom are the last column and row inside, counted from 0, as in GluonCV's data sets:
VOC's numbers less one.
"""

from typing import Any, NamedTuple, Optional

import numpy as np

HEADER, ROW = 4, 6
FEWEST_HEADER, FEWEST_ROW = 2, 5
ORDINARY, DIFFICULT, CROWD = 0, 1, 2
SLACK = 1e-5  # of the width or height: what rounding to float32 or to decimals may add


class Boxes(NamedTuple):
    """The boxes of an image: ``corners`` float64 (n, 4), left, top, right, bottom in pixels;
    ``classes`` and ``kinds`` (:data:`ORDINARY`, ...) int64 (n,).
    """

    corners: np.ndarray
    classes: np.ndarray
    kinds: np.ndarray

    def __len__(self) -> int:
        return len(self.corners)


def boxes_of(rows: Any) -> Boxes:
    """The Boxes of rows (n, 6): left, top, right, bottom, class, kind."""
    rows = np.asarray(rows, np.float64).reshape(-1, 6)
    return Boxes(rows[:, :4], rows[:, 4].astype(np.int64), rows[:, 5].astype(np.int64))


def pack_boxes(boxes: Boxes, height: int, width: int) -> np.ndarray:
    """The label, float32 (4 + 6 n,), of an image of this size."""
    rows = np.full((max(1, len(boxes)), ROW), -1.0)
    if len(boxes):
        rows[:, 0], rows[:, 5] = boxes.classes, boxes.kinds
        rows[:, 1:5] = boxes.corners / [width, height, width, height]
    return np.concatenate([[HEADER, ROW, width, height], rows.ravel()]).astype(np.float32)


def is_box_label(label: Any) -> bool:
    """Whether a record's label begins as that of an image with boxes.

    One class for an image does not, nor do several as zeros and ones.
    """
    if np.ndim(label) == 0 or len(label) < FEWEST_HEADER:
        return False
    header, row = label[:2]
    return bool(
        FEWEST_HEADER <= header < 2**24
        and FEWEST_ROW <= row < 2**24
        and header == int(header)
        and row == int(row)
    )


def rows_of(label: np.ndarray) -> np.ndarray:
    """The rows, float32 (n, B), of a label, without those that are no boxes; ValueError if it is
    not a label of boxes.
    """
    if not is_box_label(label):
        raise ValueError("its label is not one of boxes (as im2rec --pack-label makes them)")
    header, row = int(label[0]), int(label[1])
    if len(label) < header or (len(label) - header) % row:
        raise ValueError(
            f"its label of {len(label)} numbers is not a header of {header} and boxes of {row}"
        )
    rows = np.asarray(label[header:], np.float32).reshape(-1, row)
    return rows[~(rows[:, 0] < 0)]


def unpack_boxes(label: np.ndarray, height: int, width: int) -> Boxes:
    """The Boxes of an image of this size; ValueError if it is not a label of boxes.

    Positions are rounded to hundredths of a pixel, so whole numbers stay whole.
    """
    rows = rows_of(label).astype(np.float64)
    corners = np.round(rows[:, 1:5] * [width, height, width, height], 2)
    kinds = rows[:, 5] if rows.shape[1] > FEWEST_ROW else np.zeros(len(rows))
    return Boxes(corners, rows[:, 0].astype(np.int64), kinds.astype(np.int64))


def problem_of_boxes(label: np.ndarray, classes: Optional[int]) -> Optional[str]:
    """What is wrong with a label of boxes (``classes`` None: they may be any), or None."""
    try:
        rows = rows_of(label)
    except ValueError as error:
        return str(error)
    for number, row in enumerate(rows):
        problem = problem_of_row(row, classes)
        if problem:
            return f"box {number} {problem}"
    return None


def problem_of_row(row: np.ndarray, classes: Optional[int]) -> Optional[str]:
    """What is wrong with one box of a label, or None."""
    label, left, top, right, bottom = row[:5].tolist()
    if not np.isfinite(row).all():
        return f"has a number that is not finite: {', '.join(f'{one:g}' for one in row)}"
    if label != int(label) or (classes is not None and label >= classes):
        many = "whole" if classes is None else f"one of {classes}"
        return f"has the class {label:g}, which is not {many}"
    if right <= left or bottom <= top:
        return f"has no area: it reaches from {left:g}, {top:g} to {right:g}, {bottom:g}"
    if min(left, top) < -SLACK or max(right, bottom) > 1 + SLACK:
        reach = f"from {left:g}, {top:g} to {right:g}, {bottom:g}"
        return f"is not inside the image: it reaches {reach} of its width and height"
    return None
