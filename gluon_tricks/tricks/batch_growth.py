"""Batch growth: a larger batch instead of a smaller learning rate (Smith et al., "Don't Decay the
Learning Rate, Increase the Batch Size", arXiv 1711.00489).

The noise of training has the scale g = rate (N / B - 1), about rate N / B, with N training images
and B of them in an update. Dividing the rate by q or multiplying B by q changes g alike; the larger
batch needs q times fewer updates.

The batch grows by gradient accumulation: an update uses the mean gradient of k steps, each a batch
of the size that the run began with. So the step stays the clock of the run, which counts images,
and memory stays as it is; BatchNorm sees the parts of a step as before.
"""

import math
from dataclasses import dataclass
from typing import Tuple


@dataclass(frozen=True)
class BatchGrowth:
    """``factors``: (epoch, q) pairs, g being divided by q from the epoch on. An update has at most
    ``most`` steps; what is left of the q's divides the rate.
    """

    factors: Tuple[Tuple[int, float], ...] = ()
    most: float = math.inf

    def quotient(self, epoch: int) -> float:
        """By what the noise scale is divided in ``epoch``."""
        return math.prod(q for begin, q in self.factors if begin <= epoch)

    def steps(self, epoch: int) -> int:
        """k, the steps of an update: as the quotient, but whole, and at most ``most``."""
        return int(min(self.quotient(epoch), self.most))

    def rate(self, epoch: int) -> float:
        """The factor of the rate, k / quotient: 1 where the batch grows by all of it."""
        return self.steps(epoch) / self.quotient(epoch)
