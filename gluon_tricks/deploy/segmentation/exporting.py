"""The segmentation networks' part of an export: images of several sizes to compare on, and images
for the calibration of INT8.
"""

from __future__ import annotations

from typing import List

import numpy as np

from .. import images
from ..preprocessing import Preprocessing
from .preprocessing import WholeImages


def examples(sizes: WholeImages, record: str) -> List[np.ndarray]:
    """Images of several sizes on which an export is compared; real ones are at most as large as
    training's crops.
    """
    side = sizes.input_size

    def cropped(picture):
        return np.ascontiguousarray(picture[:side, :side])

    return images.of_several_sizes(sizes, record, cropped)


def calibration_images(sizes: WholeImages, record: str, count: int) -> np.ndarray:
    """float32 (N, 3, H, W): the centre crops of images spread over a file."""
    crops = Preprocessing(sizes.input_size, 1.0, sizes.rgb_mean, sizes.rgb_std)
    return images.sample(crops, record, count)
