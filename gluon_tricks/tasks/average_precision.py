"""Average precision of detections, as PASCAL VOC and COCO define it.

The detections of a class in all images are ranked by falling score (equal scores: in the order of
the images). The first k of them have a precision, right / (right + wrong), and a recall, right /
objects. Average precision is the mean over recalls of the best precision at that recall or above.
"""

from typing import Callable, Sequence, Union

import numpy as np

from .matching import RIGHT, WRONG, Matches

COCO_THRESHOLDS = np.linspace(0.5, 0.95, 10)  # of IoU; COCO's AP is the mean over them
COCO_RECALLS = np.linspace(0, 1, 101)
COCO_MOST = 100  # detections of an image and class that COCO considers
# Right and wrong ones among the first 1, 2, ... detections, and the number of objects -> AP
Curve = Callable[[np.ndarray, np.ndarray, int], float]


def eleven_points(right: np.ndarray, wrong: np.ndarray, objects: int) -> float:
    """VOC's until 2009: the mean over the recalls 0, 0.1, ... 1, which are compared exactly."""
    best = best_precision(right, wrong)
    return sum(at_least(best, 10 * right >= step * objects) for step in range(11)) / 11


def eleven_float_points(right: np.ndarray, wrong: np.ndarray, objects: int) -> float:
    """The same as in GluonCV and py-faster-rcnn: a recall of exactly 0.3, 0.6 or 0.7 misses its
    point, because np.arange puts that slightly higher.
    """
    best, recall = best_precision(right, wrong), right / objects
    return sum(at_least(best, recall >= step) / 11 for step in np.arange(0.0, 1.1, 0.1))


def area(right: np.ndarray, wrong: np.ndarray, objects: int) -> float:
    """VOC's since 2010: the area under the best precision as a function of recall."""
    gained = np.diff(right, prepend=0)
    return float((gained * best_precision(right, wrong)).sum() / objects)


def hundred_points(right: np.ndarray, wrong: np.ndarray, objects: int) -> float:
    """COCO's: the mean over the recalls 0, 0.01, ... 1 in float64, as in pycocotools."""
    first = np.searchsorted(right / objects, COCO_RECALLS, side="left")
    best = np.append(best_precision(right, wrong), 0)
    return float(best[first].mean())


def best_precision(right: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """The highest precision of at least the first 1, 2, ... detections; 0 if none counts."""
    precision = right / np.maximum(right + wrong, 1)
    return np.maximum.accumulate(precision[::-1])[::-1]


def at_least(best: np.ndarray, reached: np.ndarray) -> float:
    """The best precision where a recall is first reached; 0 if it never is."""
    return float(best[reached.argmax()]) if reached.any() else 0.0


def average_precisions(matches: Matches, curve: Curve) -> np.ndarray:
    """AP of each class and IoU threshold, float64 (classes, thresholds); NaN for a class without
    objects.
    """
    order = np.argsort(-matches.scores, kind="stable")
    classes, outcomes = matches.classes[order], matches.outcomes[order]
    result = np.full((len(matches.objects), outcomes.shape[1]), np.nan)
    for label in np.flatnonzero(matches.objects):
        mine, objects = outcomes[classes == label], int(matches.objects[label])
        right, wrong = (np.cumsum(mine == what, axis=0) for what in (RIGHT, WRONG))
        result[label] = [curve(right[:, t], wrong[:, t], objects) for t in range(mine.shape[1])]
    return result


def mean_of(values: Union[Sequence[float], np.ndarray]) -> float:
    """The mean of the values that are not NaN, as of classes with objects; NaN if all are."""
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    return float(known.mean()) if known.size else float("nan")
