"""Scale the hue, as the paper says: h -> c h, modulo 360 degrees, c uniform in [1 - j, 1 + j]."""

import dataclasses

import numpy as np

from .. import randomness
from .jitter import coefficients
from .operation import Draws, PixelOperation


@dataclasses.dataclass(frozen=True)
class Hue(PixelOperation):
    """Multiply the hue (0 to 360 degrees); saturation and value of HSV stay.

    Not affine in RGB, so it cannot be in the matrix. In float32: 8-bit HSV knows just 180 or 256
    hues.
    """

    jitter: float

    name = "hue"
    draws = Draws(randomness.AUGMENT, 1, first=41)
    in_place = True

    @property
    def off(self):
        return not self.jitter

    def sample(self, numbers):
        return coefficients(self.jitter, numbers)

    def changes(self, coefficient):
        return coefficient != 1

    def image(self, picture, coefficient, out, scratch):
        import cv2

        color = scratch.array("color", picture.shape, np.float32)
        changed = scratch.array("changed", picture.shape, np.float32)
        np.copyto(color, picture)
        cv2.cvtColor(color, cv2.COLOR_RGB2HSV, dst=changed)
        cv2.transform(changed, np.diag([coefficient, 1, 1]).astype(np.float32), dst=color)
        cv2.cvtColor(color, cv2.COLOR_HSV2RGB, dst=changed)  # takes the hue modulo 360
        cv2.convertScaleAbs(changed, dst=out)  # rounds
