"""RandAugment (Cubuk et al. 2019): some operations, drawn uniformly, all at the same level."""

import dataclasses
import functools
from typing import Tuple

import numpy as np

from .. import randomness
from .magnitudes import BLACK, timm, torchvision_narrow, without
from .operation import Draws
from .policy import Policy, coin, samples, table_of

BINS = 31  # torchvision's levels are 0 to 30
NUMBERS = 5  # of each operation: which one, done or not, sign, two for the level
TORCHVISION, TIMM = "torchvision", "timm"


@dataclasses.dataclass(frozen=True)
class RandAugment(Policy):
    """``operations`` of them for each image, drawn with replacement.

    ``form`` torchvision: of 14, at ``level`` 0 to 30. timm: of 15, at a level of 0 to 10 that is
    normal around ``level`` with standard deviation ``deviation``, each done with probability 0.5,
    with the colour ``mean`` outside the image. (timm's interpolation is bilinear or bicubic; the
    nearest pixel is taken here.)
    """

    operations: int
    level: float
    form: str
    size: int
    deviation: float = 0.0
    mean: Tuple[float, float, float] = (0.0, 0.0, 0.0)

    name = "RandAugment"

    @property
    def draws(self):
        return Draws(randomness.AUTO_AUGMENT, NUMBERS * self.operations)

    @property
    def fill(self):
        return tuple(map(round, self.mean)) if self.form == TIMM else BLACK

    def sample(self, numbers):
        """float64 (n, operations, 2), see :mod:`.policy`."""
        numbers = numbers.reshape(len(numbers), self.operations, NUMBERS)
        which, done, signs = np.moveaxis(numbers[..., :3], -1, 0)
        if self.form == TORCHVISION:
            table = torchvisions(self.level, self.size)
            return table[coin(signs), (which * table.shape[1]).astype(int), 0]
        space, spread = timm(self.size), self.deviation * randomness.normals(numbers[..., 3:])
        chosen, levels = (which * len(space)).astype(int), (self.level + spread).clip(0, 10)
        return samples(space, chosen, levels, 1 - 2 * coin(signs), done < 0.5)


@functools.lru_cache(maxsize=None)
def torchvisions(level: float, size: int) -> np.ndarray:
    """The samples of the 14 operations, see :func:`.policy.table_of`."""
    return table_of(without(torchvision_narrow(BINS, size), "invert"), [level])
