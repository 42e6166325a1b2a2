"""What an export needs to know of networks for segmentation: images to compare on, of several
sizes, and images to calibrate INT8 with.
"""

from __future__ import annotations

from typing import List

import numpy as np

from .. import images
from ..preprocessing import Preprocessing
from .preprocessing import WholeImages

REAL_IMAGES = 3


def examples(sizes: WholeImages, record: str) -> List[np.ndarray]:
    """Batches of uint8 (N, H, W, 3), each of another size, to compare an export on: random ones,
    and real ones of ``record`` if it is not "", none larger than a crop of training.
    """
    side = sizes.input_size
    shapes = (2, side // 2, side // 2), (1, side // 3 + 1, side // 4 + 1)
    found = [images.random_pixels(*shape, seed=number) for number, shape in enumerate(shapes)]
    if record:
        keys = images.spread_keys(record, REAL_IMAGES)
        for _, _, picture in images.from_records(sizes, record, keys):
            if isinstance(picture, Exception):
                raise picture
            found.append(np.ascontiguousarray(picture[None, :side, :side]))
    return found


def calibration_images(sizes: WholeImages, record: str, count: int) -> np.ndarray:
    """float32 (N, 3, H, W): the centre crops of images spread over a file."""
    crops = Preprocessing(sizes.input_size, 1.0, sizes.rgb_mean, sizes.rgb_std)
    return images.sample(crops, record, count)
