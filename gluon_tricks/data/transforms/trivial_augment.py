"""TrivialAugment-Wide (Mueller, Hutter 2021): one operation, and its level, drawn uniformly."""

import dataclasses

import numpy as np

from .. import randomness
from .magnitudes import BLACK, torchvision_wide, without
from .operation import Draws
from .policy import Policy, samples, sign_of

BINS = 31


@dataclasses.dataclass(frozen=True)
class TrivialAugment(Policy):
    """One of 14 operations for each image, at one of 31 levels, in torchvision's ranges."""

    name = "TrivialAugment"
    draws = Draws(randomness.AUTO_AUGMENT, 3)
    fill = BLACK

    def sample(self, numbers):
        """float64 (n, 1, 2), see :mod:`.policy`; numbers: which one, level, sign."""
        space = without(torchvision_wide(), "invert")
        chosen = (numbers[:, :1] * len(space)).astype(int)
        levels = np.floor(numbers[:, 1:2] * BINS)
        return samples(space, chosen, levels, sign_of(numbers[:, 2:3]))
