"""Which of an image's detections are right: the rules of PASCAL VOC and of COCO.

Boxes are left, top, right, bottom in pixels, of which right and bottom are the last ones inside
(:mod:`..data.box_records`), so a box is right - left + 1 pixels wide. Both rules go through an
image's detections of a class by falling score (equal scores: in their order) and compare them with
the boxes of that class. What is right in one image does not depend on other images.
"""

from typing import Callable, NamedTuple, Optional, Sequence

import numpy as np

from ..data.box_records import CROWD, ORDINARY, Boxes

RIGHT, WRONG, NOT_COUNTED = 1, 0, -1
# IoU of detections and boxes (n, m), kinds of the boxes (m,), thresholds (t,) -> outcomes (n, t)
Rule = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


class Found(NamedTuple):
    """The detections in an image: ``corners`` (n, 4), ``classes`` int (n,), ``scores`` (n,)."""

    corners: np.ndarray
    classes: np.ndarray
    scores: np.ndarray


class Matches(NamedTuple):
    """The detections in images, by image, class and falling score: ``classes`` int64 (n,),
    ``scores`` float64 (n,), ``outcomes`` int8 (n, thresholds): RIGHT, WRONG or NOT_COUNTED.
    ``objects`` int64 (classes,): the number of boxes that count.
    """

    classes: np.ndarray
    scores: np.ndarray
    outcomes: np.ndarray
    objects: np.ndarray


def iou(corners: np.ndarray, others: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Intersection over union, float64 (n, m), of boxes (n, 4) and (m, 4).

    If one of the ``others`` is a crowd, the intersection is divided by the first box's area, as in
    COCO.
    """
    corners, others = (np.asarray(one, np.float64).reshape(-1, 4) for one in (corners, others))
    first = np.maximum(corners[:, None, :2], others[:, :2])
    last = np.minimum(corners[:, None, 2:], others[:, 2:])
    common = np.maximum(last - first + 1, 0).prod(axis=2)
    area = area_of(corners)[:, None]
    return common / np.where(kinds == CROWD, area, area + area_of(others) - common)


def area_of(corners: np.ndarray) -> np.ndarray:
    """Pixels (n,) in boxes (n, 4)."""
    return (corners[:, 2:] - corners[:, :2] + 1).prod(axis=1)


def voc_rule(ious: np.ndarray, kinds: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """The rule of VOC's development kit: a detection belongs to the box with the highest IoU (the
    first such box).

    It is right if this IoU is at least the threshold and the box has no earlier detection; it is
    not counted if the box is difficult.
    """
    outcomes = np.full((len(ious), len(thresholds)), WRONG, np.int8)
    if not ious.shape[1]:
        return outcomes
    taken = np.zeros((len(thresholds), ious.shape[1]), bool)
    for row, best, outcome in zip(ious, ious.argmax(axis=1), outcomes):
        fits = row[best] >= thresholds
        outcome[fits & ~taken[:, best]] = RIGHT
        if kinds[best] != ORDINARY:
            outcome[fits] = NOT_COUNTED
        taken[:, best] |= fits
    return outcomes


def coco_rule(ious: np.ndarray, kinds: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """COCO's rule: a detection takes the box with the highest IoU (the last such box) among those
    that no earlier one has taken. It is not counted if only a difficult box or a crowd fits. A
    crowd may be taken several times.
    """
    outcomes = np.full((len(ious), len(thresholds)), WRONG, np.int8)
    taken = np.zeros((len(thresholds), ious.shape[1]), bool)
    # A rounded IoU would not reach 1 itself.
    reached = ious[:, None, :] >= np.minimum(thresholds, 1 - 1e-10)[:, None]
    place = np.arange(len(thresholds))
    for row, fits, outcome in zip(ious, reached, outcomes):
        free = fits & ~(taken & (kinds != CROWD))
        for which, result in ((kinds != ORDINARY, NOT_COUNTED), (kinds == ORDINARY, RIGHT)):
            outcome[(free & which).any(axis=1)] = result
        if ious.shape[1]:
            wanted = np.where((outcome == RIGHT)[:, None], kinds == ORDINARY, kinds != ORDINARY)
            value = np.where(free & wanted, row, -1)
            best = value.shape[1] - 1 - value[:, ::-1].argmax(axis=1)
            taken[place, best] |= outcome != WRONG
    return outcomes


def match(
    found: Found,
    truth: Boxes,
    classes: int,
    rule: Rule,
    thresholds: Sequence[float],
    most: Optional[int] = None,
) -> Matches:
    """The Matches of one image. Of each class, only the ``most`` detections with the highest scores
    are considered. Detections with a class below 0 are padding.
    """
    iou_thresholds = np.asarray(thresholds, np.float64)
    ordinary = truth.classes[truth.kinds == ORDINARY]
    places, outcomes = [], []
    for label in np.unique(found.classes[found.classes >= 0]):
        mine = np.flatnonzero(found.classes == label)
        mine = mine[np.argsort(-found.scores[mine], kind="stable")][:most]
        boxes = truth.classes == label
        kinds = truth.kinds[boxes]
        places.append(mine)
        ious = iou(found.corners[mine], truth.corners[boxes], kinds)
        outcomes.append(rule(ious, kinds, iou_thresholds))
    order = np.concatenate(places) if places else np.zeros(0, np.int64)
    return Matches(
        found.classes[order].astype(np.int64),
        found.scores[order].astype(np.float64),
        np.concatenate([np.zeros((0, len(iou_thresholds)), np.int8), *outcomes]),
        np.bincount(ordinary, minlength=classes),
    )


def together(matches: Sequence[Matches]) -> Matches:
    """The Matches of several images as one, in their order."""
    classes, scores, outcomes = (
        np.concatenate([one[column] for one in matches]) for column in range(3)
    )
    return Matches(classes, scores, outcomes, np.sum([one.objects for one in matches], axis=0))
