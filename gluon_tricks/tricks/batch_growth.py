"""Batch growth: a larger batch instead of a smaller learning rate (Smith et al., "Don't Decay the
Learning Rate, Increase the Batch Size", arXiv 1711.00489).

The noise of training has the scale g = rate (N / B - 1), about rate N / B, for N training images
and B of them in an update. Dividing the rate by q and multiplying B by q change g alike; the larger
batch needs q times fewer updates.

The batch grows by gradient accumulation: an update uses the mean gradient of k steps, each with a
batch of the initial size. So the step, which counts images, remains the clock of the run, memory
use does not grow, and BatchNorm sees the same parts of a step as before.
"""

import math
from dataclasses import dataclass
from typing import Tuple


@dataclass(frozen=True)
class BatchGrowth:
    """``factors``: (epoch, q) pairs; from that epoch on, g is divided by q. An update has at most
    ``most`` steps; the rest of the division falls to the rate.
    """

    factors: Tuple[Tuple[int, float], ...] = ()
    most: float = math.inf

    def quotient(self, epoch: int) -> float:
        """The number by which the noise scale is divided in ``epoch``."""
        return math.prod(q for begin, q in self.factors if begin <= epoch)

    def steps(self, epoch: int) -> int:
        """k, the steps of an update: the quotient, rounded down, but at most ``most``."""
        return int(min(self.quotient(epoch), self.most))

    def rate(self, epoch: int) -> float:
        """The factor of the rate, k / quotient: 1 if the batch grows by the whole quotient."""
        return self.steps(epoch) / self.quotient(epoch)
