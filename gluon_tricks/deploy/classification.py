"""The classifiers' part of an export: images to compare on, figures, agreement."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

import numpy as np

from ..tasks.classification import Classification as Task
from . import evaluation, images
from .classifier import Classifier
from .preprocessing import Preprocessing

REAL_IMAGES = 8  # compared in addition to random ones, if there is a file of images


def examples(preprocessing: Preprocessing, record: str) -> List[np.ndarray]:
    """Batches of uint8 (N, H, W, 3) on which an export is compared: random ones, and real ones from
    ``record`` unless it is "".
    """
    size = preprocessing.input_size
    found = [images.random_pixels(count, size, size, seed=count) for count in (3, 1)]
    if record:
        found.append(preprocessing.pixels(images.sample(preprocessing, record, REAL_IMAGES)))
    return found


def calibration_images(preprocessing: Preprocessing, record: str, count: int) -> np.ndarray:
    """float32 (N, 3, H, W): the images from which INT8 derives its ranges."""
    return images.sample(preprocessing, record, count)


def measure(model: Classifier, record: str) -> Dict[str, float]:
    """The figures on all images of a RecordIO file."""
    return evaluation.evaluate(model, record)


def compare_figures(model: Classifier, quantized: Classifier, record: str) -> Tuple[dict, dict]:
    """Figures of the network and of its INT8 variant on all images of a RecordIO file: two dicts.

    The second also has the loss in top-1, and the percentage of images on which both agree.
    """
    models = (model, quantized)
    sums: Any = np.zeros((2, len(Task.sums)))
    agreed, count = 0, 0
    for batch in evaluation.batches(model, record):
        logits = [one.predict(batch.images, batch.keys) for one in models]
        sums += [Task.count_each(each, batch.labels).sum(axis=1) for each in logits]
        agreed += int((logits[0].argmax(axis=1) == logits[1].argmax(axis=1)).sum())
        count += len(batch.labels)
    of_network, of_int8 = (Task.summary(each, count) for each in sums.tolist())
    differences = dict(
        top1_float32=of_network["top1"],
        top1_lost=of_network["top1"] - of_int8["top1"],
        agreement=100 * agreed / count,
    )
    return of_network, dict(of_int8, **differences)
