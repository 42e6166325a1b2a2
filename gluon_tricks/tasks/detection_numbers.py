"""The random numbers by which a step of Faster-RCNN samples anchors and regions.

They follow from the seed, the step and the record's key, and for an anchor also from its cell. So
neither the size to which a batch is padded nor its other images change the samples.
"""

from typing import Sequence, Tuple

import numpy as np

from ..data.randomness import purpose_of, uniforms

ANCHORS, REGIONS = purpose_of("anchors of a step"), purpose_of("regions of a step")


def numbers_of(
    seed: int, step: int, keys: Sequence[int], anchors: Tuple[int, int, int], regions: int
) -> Tuple[np.ndarray, np.ndarray]:
    """float32 (n, *anchors) and (n, regions), uniform in [0, 1), for the records with these keys.

    ``anchors``: the number around a cell, and the rows and columns of cells in the largest image.
    """
    of_anchors = uniforms(ANCHORS, seed, step, keys, int(np.prod(anchors)))
    of_regions = uniforms(REGIONS, seed, step, keys, regions)
    return below_1(of_anchors).reshape(-1, *anchors), below_1(of_regions)


def below_1(numbers: np.ndarray) -> np.ndarray:
    """float32 of float64 numbers in [0, 1), none of which becomes 1."""
    return np.minimum(numbers.astype(np.float32), np.nextafter(np.float32(1), np.float32(0)))
