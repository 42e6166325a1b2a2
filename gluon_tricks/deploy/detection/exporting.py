"""What an export needs to know of detectors: images to compare on, of several sizes, and what there
is not.
"""

from __future__ import annotations

from typing import Dict, List, Tuple

import numpy as np

from .. import images
from .detector import Detector
from .evaluation import evaluate, figures
from .preprocessing import ResizedImages

NEAR = 0.01, 1.0  # score and pixels: detections farther from each other are others
SCORED = "its detections have scores already: leave the flag out"
LACKS = {
    "softmax": SCORED,
    "safetensors": "timm has no detectors: take --format symbol or onnx",
    "int8": "MXNet quantises the coordinates of boxes, too: take --format symbol or onnx",
}


def examples(sizes: ResizedImages, record: str) -> List[np.ndarray]:
    """Images of several sizes to compare an export on, real ones as large as the network sees
    them.
    """
    return images.of_several_sizes(sizes, record, sizes.resize)


def difference(outputs: List[np.ndarray], references: List[np.ndarray]) -> Tuple[float, float]:
    """As of :func:`gluon_tricks.deploy.compare.difference`, of detections (N, most, 6) whose last
    bits may differ, so that two of nearly the same score may change places.

    Each is compared with the nearest of its class. One in 50 may have none, as a score or an IoU
    may be above a threshold in one and below it in the other; more make both infinite.
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
    """(distances (k, 5) of scores and corners of pairs of a class, detections without another)."""
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
