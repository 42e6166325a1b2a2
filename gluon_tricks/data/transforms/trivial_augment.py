"""TrivialAugment-Wide (Mueller, Hutter 2021): one operation, and its level, drawn uniformly."""

import dataclasses

from .. import randomness
from .magnitudes import BLACK, torchvision_wide, without
from .operation import Draws
from .policy import Policy, coin, table_of

BINS = 31
TABLE = table_of(without(torchvision_wide(), "invert"), range(BINS))


@dataclasses.dataclass(frozen=True)
class TrivialAugment(Policy):
    """One of 14 operations for each image, at one of 31 levels, in torchvision's ranges."""

    name = "TrivialAugment"
    draws = Draws(randomness.AUTO_AUGMENT, 3)
    fill = BLACK

    def sample(self, numbers):
        """float64 (n, 1, 2), see :mod:`.policy`; numbers: which one, level, sign."""
        which, levels, signs = numbers[:, :1], numbers[:, 1:2], numbers[:, 2:]
        chosen = (which * TABLE.shape[1]).astype(int)
        return TABLE[coin(signs), chosen, (levels * BINS).astype(int)]
