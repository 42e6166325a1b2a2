"""Saturation, brightness and contrast: each mixes an image with grey, black or its mean grey value.

The coefficients c are uniform in [1 - j, 1 + j], and g = 0.299 R + 0.587 G + 0.114 B is a pixel's
grey value:

- saturation: c x + (1 - c) g
- brightness: c x
- contrast: c x + (1 - c) mean(g)

Without clipping, the three commute. ImageRecordIter does the same, but rounds and clips to 8 bits
after each, in random order.
"""

import dataclasses

import numpy as np

from .. import randomness
from .operation import AffineOperation, Draws


def coefficients(jitter: float, numbers: np.ndarray) -> np.ndarray:
    """float64 (n,), uniform in [1 - jitter, 1 + jitter], from uniform numbers (n, 1)."""
    return 1 + jitter * (2 * numbers[:, 0] - 1)


@dataclasses.dataclass(frozen=True)
class Jitter(AffineOperation):
    """What the three have in common: one coefficient an image."""

    jitter: float

    @property
    def off(self):
        return not self.jitter

    def sample(self, numbers):
        return coefficients(self.jitter, numbers)


class Saturation(Jitter):
    name = "saturation"
    draws = Draws(randomness.AUGMENT, 1, first=42)

    def add_to(self, colors, values):
        colors.saturate(values)


class Brightness(Jitter):
    name = "brightness"
    draws = Draws(randomness.AUGMENT, 1, first=43)

    def add_to(self, colors, values):
        colors.scale(values)


class Contrast(Jitter):
    name = "contrast"
    draws = Draws(randomness.AUGMENT, 1, first=44)

    def add_to(self, colors, values):
        colors.contrast(values)
