"""The figures of detections: average precision by VOC's and COCO's rules, of each class and their
mean.

Images are matched one by one, on any number of workers; the figures need the matches of all images,
in the order of their records.
"""

from typing import Any, Dict, NamedTuple, Sequence

import numpy as np

from ..data.box_records import Boxes, boxes_of
from ..data.box_rows import recorded_corners
from ..distributed.gathering import gather_rows
from . import average_precision as ap
from .matching import Found, Matches, coco_rule, match, together, voc_rule

VOC_THRESHOLD = 0.5  # of IoU


class ImageMatches(NamedTuple):
    """The matches of one or several images by both rules."""

    voc: Matches
    coco: Matches


def found_in(outputs: Sequence[np.ndarray], label: np.ndarray) -> Found:
    """The detections in an image, at the scale of its record, from a network's classes (k, 1),
    scores (k, 1) and boxes (k, 4), and from the image's label.
    """
    classes, scores, corners = outputs
    there = classes[:, 0] >= 0
    moved = recorded_corners(corners[there].astype(np.float64), label)
    return Found(moved, classes[there, 0].astype(np.int64), scores[there, 0])


def truth_of(label: np.ndarray) -> Boxes:
    """The boxes in an image's label, at the scale of its record."""
    rows = label[1:][label[1:, 4] >= 0].astype(np.float64)
    corners = np.round(recorded_corners(rows[:, :4], label), 2)  # as they are in the record
    return Boxes(corners, rows[:, 4].astype(np.int64), rows[:, 5].astype(np.int64))


def matches_of(found: Found, truth: Boxes, classes: int) -> ImageMatches:
    """The matches of one image. Boxes are in pixels of its record."""
    return ImageMatches(
        match(found, truth, classes, voc_rule, [VOC_THRESHOLD]),
        match(found, truth, classes, coco_rule, ap.COCO_THRESHOLDS.tolist(), ap.COCO_MOST),
    )


def gathered(workers: Any, images: Sequence[ImageMatches], classes: int) -> ImageMatches:
    """The matches of all workers' images on every worker, in the order of their records."""
    nothing = matches_of(
        Found(np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0)), boxes_of([]), classes
    )
    columns = ([image[rule] for image in (nothing, *images)] for rule in range(2))
    return ImageMatches(*(_of_all(workers, together(column)) for column in columns))


def _of_all(workers, matches):
    rows = np.column_stack([matches.classes, matches.scores, matches.outcomes])
    rows = gather_rows(workers, rows.astype(np.float64))
    objects = workers.sum(matches.objects.astype(np.int64))
    return Matches(rows[:, 0].astype(np.int64), rows[:, 1], rows[:, 2:].astype(np.int8), objects)


class Precision(NamedTuple):
    """Average precision of each class, float64 (classes,); NaN for one without objects."""

    eleven: np.ndarray  # VOC's 11 points
    area: np.ndarray  # VOC's area
    coco: np.ndarray  # COCO's, the mean over its IoU thresholds
    coco50: np.ndarray  # COCO's at an IoU of 0.5
    coco75: np.ndarray  # and of 0.75


def precision_of(images: Sequence[ImageMatches], float_steps: bool = False) -> Precision:
    """The Precision over all images. With ``float_steps``, the 11 points are GluonCV's."""
    voc = together([image.voc for image in images])
    points = ap.eleven_float_points if float_steps else ap.eleven_points
    coco = ap.average_precisions(together([image.coco for image in images]), ap.hundred_points)
    return Precision(
        ap.average_precisions(voc, points)[:, 0],
        ap.average_precisions(voc, ap.area)[:, 0],
        coco.mean(axis=1),
        coco[:, 0],  # 0.5 of COCO_THRESHOLDS
        coco[:, 5],  # 0.75
    )


def summary(precision: Precision) -> Dict[str, float]:
    """The figures in percent: means over the classes that have objects."""
    names = ("map07", "map_area", "coco_ap", "coco_ap50", "coco_ap75")
    return {name: 100 * ap.mean_of(values) for name, values in zip(names, precision)}


def coco_results(key: int, found: Found) -> list:
    """The detections in an image in COCO's result format: ``image_id`` is the record's key,
    ``category_id`` the class from 0, and ``bbox`` is left, top, width, height.
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
