"""What an export needs to know of detectors: images to compare on, of several sizes, and what there
is not.
"""

from __future__ import annotations

from typing import Dict, List

import numpy as np

from .. import images
from .detector import Detector
from .evaluation import evaluate, figures
from .preprocessing import ResizedImages

REAL_IMAGES = 3
SCORED = "its detections have scores already: leave the flag out"
LACKS = {
    "softmax": SCORED,
    "fold_bn": "the order of its detections may follow from the last bits of their scores, so that "
    "a graph which rounds otherwise cannot be compared: leave the flag out",
    "safetensors": "timm has no detectors: take --format symbol",
    "int8": "no detector was ever quantised with this package: take --format symbol",
    "onnx": "MXNet's converter has another suppression than MXNet: take --format symbol",
}


def examples(sizes: ResizedImages, record: str) -> List[np.ndarray]:
    """Batches of uint8 (N, H, W, 3), each of another size, to compare an export on: random ones,
    and real ones of ``record``, as large as the network sees them, if it is not "".
    """
    side = sizes.input_size
    shapes = (2, side // 2, side // 2), (1, side // 3 + 1, side // 4 + 1)
    found = [images.random_pixels(*shape, seed=number) for number, shape in enumerate(shapes)]
    if record:
        keys = images.spread_keys(record, REAL_IMAGES)
        for _, _, picture in images.from_records(sizes, record, keys):
            if isinstance(picture, Exception):
                raise picture
            found.append(sizes.resize(picture)[None])
    return found


def measure(model: Detector, record: str) -> Dict[str, float]:
    """The figures on a RecordIO file, for a manifest."""
    return figures(evaluate(model, record))
