"""What is said of detections: mean average precision as VOC and COCO have it, and of each class.

Images are matched one by one, on any number of workers; the figures need the matches of all of
them, in the order of their records.
"""

from typing import Dict, NamedTuple, Sequence

import numpy as np

from ..data.box_records import Boxes
from . import average_precision as ap
from .matching import Found, Matches, coco_rule, match, together, voc_rule

VOC_THRESHOLD = 0.5  # of IoU


class ImageMatches(NamedTuple):
    """The detections in an image by both rules."""

    voc: Matches
    coco: Matches


def matches_of(found: Found, truth: Boxes, classes: int) -> ImageMatches:
    """Those of one image, whose boxes are in pixels of its record."""
    return ImageMatches(
        match(found, truth, classes, voc_rule, [VOC_THRESHOLD]),
        match(found, truth, classes, coco_rule, ap.COCO_THRESHOLDS.tolist(), ap.COCO_MOST),
    )


class Precision(NamedTuple):
    """Average precision of each class, float64 (classes,), NaN of one without objects."""

    eleven: np.ndarray  # VOC's 11 points
    area: np.ndarray  # VOC's area
    coco: np.ndarray  # COCO's, the mean over its IoU thresholds
    coco50: np.ndarray  # COCO's at an IoU of 0.5, and of 0.75
    coco75: np.ndarray


def precision_of(images: Sequence[ImageMatches], float_steps: bool = False) -> Precision:
    """The Precision over all images. float_steps: the 11 points as GluonCV computes them."""
    voc = together([image.voc for image in images])
    points = ap.eleven_float_points if float_steps else ap.eleven_points
    coco = ap.average_precisions(together([image.coco for image in images]), ap.hundred_points)
    return Precision(
        ap.average_precisions(voc, points)[:, 0],
        ap.average_precisions(voc, ap.area)[:, 0],
        coco.mean(axis=1),
        coco[:, 0],
        coco[:, 5],
    )


def summary(precision: Precision) -> Dict[str, float]:
    """In percent, the mean over the classes that have objects."""
    names = ("map07", "map_area", "coco_ap", "coco_ap50", "coco_ap75")
    return {name: 100 * ap.mean_of(values) for name, values in zip(names, precision)}


def coco_results(key: int, found: Found) -> list:
    """The detections in an image as COCO's result format has them: ``image_id`` is the record's
    key, ``category_id`` the class from 0, and a bbox is left, top, width, height.
    """
    return [
        {
            "image_id": int(key),
            "category_id": int(label),
            "bbox": [left, top, right - left + 1, bottom - top + 1],
            "score": float(score),
        }
        for (left, top, right, bottom), label, score in zip(
            np.asarray(found.corners, np.float64).round(2).tolist(), found.classes, found.scores
        )
        if label >= 0
    ]
