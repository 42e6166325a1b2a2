"""The boxes of annotations, checked and turned into labels of records."""

import sys
from typing import Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from ...errors import UserError
from ...text import counted, printable
from ..box_records import DIFFICULT, boxes_of, pack_boxes, rows_of
from . import images

HOW = ("refuse", "clip", "drop")  # what to do with a box that is not entirely inside its image
OVERHANG = 0.01  # pixels outside the image that a program's rounding may cause
SHOWN = 20  # boxes that are named one by one


class Box(NamedTuple):
    """A box of an annotation; ``corners`` are left, top, right, bottom in pixels; right and bottom
    are the last ones inside (:mod:`..box_records`).
    """

    name: str  # of its class
    corners: Tuple[float, float, float, float]
    kind: int


class Annotation(NamedTuple):
    """An image's size and the boxes in it."""

    source: str  # what messages call it
    height: int
    width: int
    boxes: Sequence[Box]


def add_bad_boxes(parser):
    parser.add_argument(
        "--bad-boxes",
        choices=HOW,
        default=HOW[0],
        help="what to do with boxes that reach out of their image, or have no area: refuse the "
        "data (default), clip them to the image and drop those without area, or drop them; they "
        "are named in each case",
    )


def labels_of(
    annotations: Sequence[Annotation], classes: Sequence[str], how: str
) -> List[np.ndarray]:
    """The record's label for each annotation. Boxes that are not entirely inside their image are
    named, and treated as ``how`` of :data:`HOW` says. UserError if they are refused, or a class is
    not one of ``classes``.
    """
    refuse_unknown(annotations, classes)
    number_of = {name: number for number, name in enumerate(classes)}
    labels, bad = [], []
    for annotation in annotations:
        rows = []
        for place, box in enumerate(annotation.boxes):
            problem = problem_of(box.corners, annotation)
            if problem:
                bad.append(f"{annotation.source}: box {place} ({box.name}) {problem}")
            corners = clipped(box.corners, annotation)
            if corners and not (problem and how == "drop"):
                rows.append((*corners, number_of[box.name], box.kind))
        labels.append(pack_boxes(boxes_of(rows), annotation.height, annotation.width))
    say(bad, how)
    return labels


def refuse_unknown(annotations, classes):
    """UserError that names the unknown classes."""
    known, unknown = set(classes), {}
    for annotation in annotations:
        for box in annotation.boxes:
            if box.name not in known:
                unknown.setdefault(box.name, annotation.source)
    if unknown:
        first = next(iter(unknown.values()))
        raise UserError(
            f"{first}: {', '.join(sorted(unknown))}: no such class; there are {', '.join(classes)}"
        )


def problem_of(corners, annotation):
    """Why a box is not entirely inside its image, or ""."""
    left, top, right, bottom = corners
    reach = f"reaches from {left:g}, {top:g} to {right:g}, {bottom:g}"
    if not np.isfinite(corners).all():
        return f"{reach}, which are not all numbers"
    if right <= left or bottom <= top:
        return f"{reach}, which is no area"
    last = annotation.width - 1 + OVERHANG, annotation.height - 1 + OVERHANG
    if min(left, top) < -OVERHANG or right > last[0] or bottom > last[1]:
        return f"{reach}, outside the {annotation.width} x {annotation.height} pixels"
    return ""


def clipped(corners, annotation):
    """The part of a box that is inside its image, or None if that has no area."""
    last = [annotation.width - 1, annotation.height - 1] * 2
    left, top, right, bottom = np.clip(corners, 0, last).tolist()
    # a comparison with NaN is false
    return (left, top, right, bottom) if right > left and bottom > top else None


def say(bad, how):
    """Name the bad boxes; UserError if they are refused."""
    if not bad:
        return
    if how == "refuse":
        raise UserError(
            f"{bad[0]}; {counted(len(bad), 'box')} not entirely inside the image: --bad-boxes clip "
            "cuts them, --bad-boxes drop leaves them out"
        )
    for line in bad[:SHOWN]:
        print(printable(line), file=sys.stderr)
    more = f", of which {len(bad) - SHOWN} are not shown" if len(bad) > SHOWN else ""
    print(f"--bad-boxes {how}: {counted(len(bad), 'box')}{more}", file=sys.stderr)


def counts(labels: Sequence[np.ndarray], classes: int) -> Dict[str, object]:
    """Counts of the boxes in the labels, by class and kind."""
    rows = np.concatenate([rows_of(label) for label in labels]) if labels else np.zeros((0, 6))
    return {
        "boxes": len(rows),
        "difficult": int((rows[:, 5] == DIFFICULT).sum()),
        "without_boxes": sum(not len(rows_of(label)) for label in labels),
        "per_class": np.bincount(rows[:, 0].astype(np.int64), minlength=classes).tolist(),
    }


def refuse_size(data: bytes, annotation: Annotation) -> None:
    """ValueError if an encoded image has another size than its annotation says."""
    height, width = images.upright_size(data)
    if (height, width) != (annotation.height, annotation.width):
        raise ValueError(
            f"has {width} x {height} pixels, and its annotation says "
            f"{annotation.width} x {annotation.height}"
        )
