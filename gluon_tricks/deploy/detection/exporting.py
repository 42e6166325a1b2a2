"""The detectors' part of an export: images of several sizes to compare on, and what is not
supported.
"""

from __future__ import annotations

from typing import Dict, List, Tuple

import numpy as np

from .. import images
from .detector import Detector
from .evaluation import evaluate, figures
from .preprocessing import ResizedImages

NEAR = 0.01, 1.0  # score and pixels: detections farther apart are different ones
SCORED = "its detections have scores already: leave the flag out"
LACKS = {
    "softmax": SCORED,
    "safetensors": "timm has no detectors: use --format symbol or onnx",
    "int8": "MXNet would quantise the coordinates of boxes, too: use --format symbol or onnx",
}


def examples(sizes: ResizedImages, record: str) -> List[np.ndarray]:
    """Images of several sizes on which an export is compared; real ones are resized for the
    network.
    """
    return images.of_several_sizes(sizes, record, sizes.resize)


def difference(outputs: List[np.ndarray], references: List[np.ndarray]) -> Tuple[float, float]:
    """Like :func:`gluon_tricks.deploy.compare.difference`, for detections (N, most, 6), of which
    two with nearly the same score may change places.

    Each detection is compared with the nearest one of its class. One in 50 may have none, since a
    score or an IoU may be just above a threshold in one and below it in the other; with more, both
    results are infinite.
    """
    largest = share = 0.0
    alone = count = 0
    for found, expected in zip(sum(map(list, outputs), []), sum(map(list, references), [])):
        if not (np.isfinite(found).all() and np.isfinite(expected).all()):
            return float("inf"), float("inf")
        scale = np.append(1.0, np.full(4, np.abs(expected[:, 2:]).max(initial=1)))
        distances, single = _distances(found, expected)
        largest = max(largest, float(distances.max(initial=0)))
        share = max(share, float((distances / scale).max(initial=0)))
        alone, count = alone + single, count + int((expected[:, 0] >= 0).sum())
    return (largest, share) if alone <= count / 50 else (float("inf"), float("inf"))


def _distances(found, expected):
    """(distances (k, 5) of scores and corners of matched pairs, number of unmatched detections)."""
    found, expected = (rows[rows[:, 0] >= 0].astype(np.float64) for rows in (found, expected))
    free, pairs = np.ones(len(found), bool), []
    for row in expected:
        apart = np.abs(found - row)
        near = free & (apart[:, 0] == 0) & (apart[:, 1] < NEAR[0])
        near &= (apart[:, 2:] < NEAR[1]).all(axis=1)
        if near.any():
            place = int(np.where(near, apart.sum(axis=1), np.inf).argmin())
            free[place] = False
            pairs.append(apart[place, 1:])
    single = max(len(found), len(expected)) - len(pairs)
    return np.reshape(pairs, (-1, 5)), single


def measure(model: Detector, record: str) -> Dict[str, float]:
    """The figures on a RecordIO file, for a manifest."""
    return figures(evaluate(model, record))
