"""The confusion matrix of a segmentation's pixels, and the figures that follow from it.

A row is a class in the masks, a column a predicted class, and an entry a number of pixels. Pixels
without a class are left out. The figures are those of
:meth:`.segmentation.Segmentation.summary`, which training reports.
"""

from __future__ import annotations

from typing import Dict, NamedTuple, Union

import numpy as np

from .segmentation import NONE, intersection_over_union


def confusion_matrix(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """int64 (classes, classes): the pixels of each pair of classes.

    Parameters
    ----------
    truth : integers, of any shape
        The masks: classes, or 255 for a pixel that does not count.
    predicted : integers of that shape
        Classes; the values at pixels that do not count are ignored.

    Raises ValueError for any other class or shape.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"masks of shape {truth.shape}, predictions of {predicted.shape}")
    counted = truth != NONE
    rows, columns = (each[counted].astype(np.int64) for each in (truth, predicted))
    for each in (rows, columns):
        if each.size and not 0 <= each.min() <= each.max() < classes:
            raise ValueError(f"a class that is not below {classes}")
    return np.bincount(rows * classes + columns, minlength=classes**2).reshape(classes, classes)


class ClassFigures(NamedTuple):
    """The figures of each class, arrays (classes,)."""

    labelled: np.ndarray  # int64: its pixels in the masks
    predicted: np.ndarray  # int64: the pixels that were predicted as it
    iou: np.ndarray  # in percent; 0 for a class that occurs in neither
    accuracy: np.ndarray  # in percent: the share of its pixels that was found; 0 if it has none

    @property
    def occurs(self) -> np.ndarray:
        """bool: whether the class has any pixel, in the masks or among the predictions."""
        return self.labelled + self.predicted > 0


def of_classes(matrix: np.ndarray) -> ClassFigures:
    """The figures of each class."""
    found, labelled, predicted = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    iou = intersection_over_union(found, predicted, labelled)
    accuracy = found / np.maximum(labelled, 1)
    return ClassFigures(labelled, predicted, 100 * iou, 100 * accuracy)


def summary(matrix: np.ndarray) -> Dict[str, Union[float, int]]:
    """The figures of all classes, in percent.

    ``accuracy``: of the pixels. ``miou``: the mean of the classes' intersection over union, in
    which a class that occurs nowhere counts as 0. ``miou_occurring``: the mean over the
    ``classes_occurring`` classes that do occur. ``class_accuracy``: the mean accuracy of the
    classes in the masks. ``pixels``: how many were counted; without any, the figures are 0.
    """
    each, pixels = of_classes(matrix), int(matrix.sum())
    return dict(
        accuracy=100 * float(matrix.trace()) / max(1, pixels),
        miou=float(each.iou.mean()),
        miou_occurring=_mean(each.iou[each.occurs]),
        class_accuracy=_mean(each.accuracy[each.labelled > 0]),
        classes_occurring=int(each.occurs.sum()),
        pixels=pixels,
    )


def _mean(values):
    return float(values.mean()) if values.size else 0.0
