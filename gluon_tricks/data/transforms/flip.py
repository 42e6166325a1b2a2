"""Mirror left and right."""

import dataclasses

import numpy as np

from .. import randomness
from .operation import Draws, Geometry


@dataclasses.dataclass(frozen=True)
class Flip(Geometry):
    """Mirror an image with this probability."""

    probability: float

    name = "flip"
    draws = Draws(randomness.AUGMENT, 1, first=40)

    @property
    def off(self):
        return not self.probability

    def sample(self, numbers):
        """bool (n,)"""
        return numbers[:, 0] < self.probability

    def changes(self, flipped):
        return flipped

    def image(self, picture, flipped, out, scratch):
        import cv2

        cv2.flip(picture, 1, dst=out)

    def mask(self, mask, flipped):
        return mask[:, ::-1]

    def boxes(self, boxes, flipped, height, width):
        left, top, right, bottom = boxes.T
        return np.stack([width - right, top, width - left, bottom], axis=1)
