"""ImageNet-C: the errors of a classifier on corrupted images, and the mean corruption error (mCE).

Hendrycks and Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations, arXiv 1903.12261. With E(c, s) the top-1 error on corruption c at severity s,

    CE(c) = sum_s E(c, s) / sum_s E_AlexNet(c, s),    mCE = mean of CE(c) over 15 corruptions

The data set has folders ``corruption/severity/WordNet id/*.JPEG``. Its images are centre crops of
224 x 224 already, so they are not cropped again.
"""

import dataclasses
import os
import re
from itertools import groupby
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..data.image_files import images_below
from ..data.parallel import Progress, ordered_map
from ..errors import UserError
from ..tasks.classification import Classification as Task
from ..text import printable
from . import images
from .classifier import Classifier


class Level(NamedTuple):
    """A corruption at a severity."""

    corruption: str
    severity: int

    @property
    def path(self) -> str:
        """Its folder within that of the data set."""
        return os.path.join(self.corruption, str(self.severity))


# AlexNet's top-1 error in percent, averaged over the five severities: from the authors' spreadsheet
# (github hendrycks/robustness), as quoted in google-research/augmix, imagenet.py.
ALEXNET = dict(
    gaussian_noise=88.6428,
    shot_noise=89.4468,
    impulse_noise=92.2640,
    defocus_blur=81.9880,
    glass_blur=82.6268,
    motion_blur=78.5948,
    zoom_blur=79.8360,
    snow=86.6816,
    frost=82.6572,
    fog=81.9324,
    brightness=56.4592,
    contrast=85.3204,
    elastic_transform=64.6056,
    pixelate=71.7840,
    jpeg_compression=60.6500,
)
SEVERITIES = (1, 2, 3, 4, 5)
LEVELS = tuple(Level(name, severity) for name in ALEXNET for severity in SEVERITIES)
WORDNET_ID = re.compile(r"n\d{8}")


def evaluate(
    model: Classifier,
    folder: str,
    crop_ratio: Optional[float] = None,
    batch_size: int = 32,
    threads: int = 4,
) -> Dict[str, Any]:
    """The errors of a classifier on all available parts of ImageNet-C, in percent.

    ``crop_ratio``: None leaves the images uncropped; the model's own value would enlarge them and
    cut off their borders.

    Returns a dict: ``errors`` by corruption and severity (None if missing), ``ce`` by corruption
    and ``mce`` (None if anything that they need is missing), ``images``, and ``missing``, the names
    of missing folders and classes. Raises UserError if there are no images, if the model's classes
    cannot be identified by their WordNet ids, or for a broken image.
    """
    preprocessing = model.preprocessing._replace(crop_ratio=crop_ratio or 1.0)
    model = dataclasses.replace(model, preprocessing=preprocessing)
    there = levels_in(folder)
    classes = classes_by_id(model, os.path.join(folder, there[0].path))
    errors: Dict[str, List[Optional[float]]] = {name: [None] * len(SEVERITIES) for name in ALEXNET}
    missing, total = [level.path for level in LEVELS if level not in there], 0
    for level in there:
        path = os.path.join(folder, level.path)
        figures, absent = figures_of(model, path, classes, batch_size, threads)
        if figures["images"]:
            errors[level.corruption][level.severity - 1] = 100 - figures[Task.best]
        missing += [os.path.join(level.path, wordnet_id) for wordnet_id in absent]
        total += int(figures["images"])
    ce = {name: corruption_error(name, found) for name, found in errors.items()}
    mce = None if missing else sum(filter(None, ce.values())) / len(ALEXNET)
    return dict(errors=errors, ce=ce, mce=mce, images=total, missing=missing)


def levels_in(folder: str) -> List[Level]:
    """The levels whose folders exist; UserError if none does."""
    there = [level for level in LEVELS if os.path.isdir(os.path.join(folder, level.path))]
    if not there:
        raise UserError(
            f"{printable(folder)}: has no folder of ImageNet-C, such as {LEVELS[0].path}"
        )
    return there


def corruption_error(name: str, errors: Sequence[Optional[float]]) -> Optional[float]:
    """CE(c) in percent, from the errors in percent at the five severities; None if one is
    missing.
    """
    known = [error for error in errors if error is not None]
    if len(known) < len(SEVERITIES):
        return None
    return 100 * float(np.mean(known)) / ALEXNET[name]


def classes_by_id(model: Classifier, level: str) -> Dict[str, int]:
    """The class of each WordNet id: from the model's labels if they begin with ids, or else from
    the sorted ids in the folder ``level`` if they are as many as the model's classes.
    """
    ids = [(label.split() or [""])[0] for label in model.labels or ()]
    if not ids or not all(map(WORDNET_ID.fullmatch, ids)):
        ids = sorted(name for name in os.listdir(level) if WORDNET_ID.fullmatch(name))
        if len(ids) != model.classes:
            raise UserError(
                f"{printable(level)}: has {len(ids)} classes, but the model has {model.classes}, "
                "without WordNet ids in their labels: give --labels FILE, whose lines begin with "
                "the ids"
            )
    found = {wordnet_id: number for number, wordnet_id in enumerate(ids)}
    if len(found) != len(ids):
        again = next(name for number, name in enumerate(ids) if found[name] != number)
        raise UserError(f"{printable(model.path)}: two of its classes are labelled {again}")
    return found


def figures_of(
    model: Classifier, level: str, classes: Dict[str, int], batch_size: int, threads: int
) -> Tuple[Dict[str, float], List[str]]:
    """(the task's figures on the images of one corruption at one severity, ids without images)."""
    paths = images_below(level).paths
    labels = [_label(path, classes) for path in paths]
    sums, done = np.zeros(len(Task.sums)), 0
    with Progress(level, len(paths)) as progress:
        made = ordered_map(lambda path: images.from_file(model.preprocessing, path), paths, threads)
        for _, group in groupby(enumerate(made), lambda item: item[0] // batch_size):
            batch = [_whole(image) for _, image in group]
            names = paths[done : done + len(batch)]
            logits = model.predict(np.stack(batch), names)
            truth = np.array(labels[done : done + len(batch)])
            sums += Task.count_each(logits, truth).sum(axis=1)
            done += len(batch)
            progress.show(done)
    absent = sorted(set(classes) - {_class_folder(path) for path in paths})
    return Task.summary(sums.tolist(), done), absent


def _class_folder(path):
    return os.path.basename(os.path.dirname(path))


def _label(path, classes):
    if _class_folder(path) not in classes:
        raise UserError(f"{printable(path)}: its folder is not one of the model's classes")
    return classes[_class_folder(path)]


def _whole(image):
    if isinstance(image, Exception):
        raise image
    return image
