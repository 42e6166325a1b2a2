"""The exact average precision of a detector on images with boxes, each counted once."""

from __future__ import annotations

import contextlib
from typing import Dict, Iterator, List, NamedTuple, Tuple

import numpy as np

from ...data.box_records import Boxes, unpack_boxes
from ...data.box_rows import BoxLabels
from ...data.decode import decode
from ...data.records import RecordError, RecordFile
from ...errors import UserError
from ...tasks.detection_figures import Precision, coco_results, matches_of, precision_of, summary
from .detector import Detector

MOST = 1 << 20  # boxes of an image: no limit in practice


class Evaluated(NamedTuple):
    """The results of a detector on the images of a file."""

    precision: Precision
    objects: np.ndarray  # int64 (classes,): objects that count
    images: int
    results: List[dict]  # the detections in COCO's result format


def evaluate(model: Detector, record: str, index: str = "", float_steps: bool = False) -> Evaluated:
    """Evaluate a detector on a RecordIO file; ``float_steps``: the 11 points as GluonCV computes
    them.

    Raises UserError naming a record that is broken or without boxes of these classes, or if no box
    counts.
    """
    matches, results = [], []
    for key, picture, truth in scenes(record, index, model.classes):
        found = model.detect(picture, f"record {key}")
        matches.append(matches_of(found, truth, model.classes))
        results += coco_results(key, found)
    objects = np.sum([one.voc.objects for one in matches], axis=0)
    if not np.any(objects):
        raise UserError(f"{record}: all its boxes are difficult or crowds")
    return Evaluated(precision_of(matches, float_steps), objects, len(matches), results)


def scenes(record: str, index: str, classes: int) -> Iterator[Tuple[int, np.ndarray, Boxes]]:
    """Yield key, picture, uint8 (H, W, 3), and boxes of each image of a RecordIO file."""
    with RecordFile(record, index or None) as file, contextlib.closing(
        BoxLabels(record, classes, MOST)
    ) as boxes:
        for position, key in enumerate(file.keys.tolist()):
            label, payload = file.read(position)
            boxes.check(key, label)
            try:
                picture = decode(payload)
            except ValueError as error:
                raise RecordError(record, key, f"cannot be decoded: {error}") from None
            yield key, picture, unpack_boxes(label, *picture.shape[:2])


def figures(evaluated: Evaluated) -> Dict[str, float]:
    """The means over the classes with objects, in percent, and the number of images."""
    return dict(summary(evaluated.precision), images=evaluated.images)
