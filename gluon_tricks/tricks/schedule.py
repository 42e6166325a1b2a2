"""Learning rate: linear scaling and warmup (section 3.1), cosine decay (section 5.1), the decays
that it is compared with, and warm restarts (SGDR, arXiv 1608.03983).
"""

import math
from dataclasses import dataclass
from typing import Tuple

from .batch_growth import BatchGrowth

# The range of float32's normal numbers: MXNet's operators take a number as float32.
SMALLEST, LARGEST = 2.0**-126, (2 - 2.0**-23) * 2.0**127


def linear_scaling(batch_size, base_lr=0.1):
    """The initial learning rate for ``batch_size`` images in all: 0.1 x b / 256 (section 3.1)."""
    return base_lr * batch_size / 256


@dataclass(frozen=True)
class LearningRate:
    """The learning rate of the update after batch ``step`` (counted from 0): a pure function of the
    step.

    ``peak`` is eta, the rate at the end of the warmup. Batch i of the warmup's m (1 <= i <= m) uses
    i eta / m (section 3.1); ``warmup_from=0`` counts i from 0 as the authors' code does, so that
    the first batch has the rate ``warmup_start``. After the warmup, ``mode`` decides:

    - ``cosine``: eta / 2 (1 + cos(t pi / T)), with t and T counted from the warmup's end (section
      5.1). With ``restarts`` (T_0, T_mult) it is SGDR's: cycle i, from 0, has T = T_0 T_mult^i
      epochs, and t counts the batches from the cycle's beginning;
    - ``step``: eta x ``decay`` for each of ``decay_epochs`` that has begun (section 2.1: 0.1 at 30,
      60, 90);
    - ``exp``: eta x ``decay`` every ``decay_period`` epochs (0.94 every two epochs, section 5.1);
    - ``poly``: eta (1 - t / T)^``power``: 2 in the authors' code, 0.9 in their segmentation;
    - ``constant``: eta.

    ``minimum`` is the rate to which cosine and poly fall: in their formulas, minimum + (eta -
    minimum) takes the place of the factor eta.

    ``counting="updates"`` is the authors' later code (from 2019): n, which counts updates from 1,
    takes the place of i and of the batch, a stage of N updates falls over N - 1, and an epoch
    begins where ImageRecordIter's does, after ceil(epoch x ``images`` / ``global_batch``) updates.

    If the batch grows by less than ``growth`` asks for, the rate falls by the rest.
    """

    peak: float
    num_epochs: int
    steps_per_epoch: int
    mode: str = "cosine"
    warmup_epochs: float = 0
    warmup_start: float = 0.0
    warmup_from: int = 1
    decay: float = 0.1
    decay_epochs: tuple = (30, 60, 90)
    decay_period: int = 2
    counting: str = "steps"
    images: int = 0
    global_batch: int = 1
    power: float = 2
    growth: BatchGrowth = BatchGrowth()
    restarts: Tuple[float, float] = (0, 1)  # T_0 = 0: no restarts
    minimum: float = 0.0

    @property
    def warmup_steps(self):
        """m, the number of batches in the warmup."""
        return int(round(self.warmup_epochs * self.steps_per_epoch))

    @property
    def total_steps(self):
        """Batches in the whole run."""
        return self.num_epochs * self.steps_per_epoch

    def __call__(self, step):
        rate = self._rate(step)
        return min(rate, LARGEST) if rate >= SMALLEST else 0.0

    def _rate(self, step):
        n, i, last = self._count(step)
        if n < self.warmup_steps:
            length = max(1, self.warmup_steps - last)
            return self.warmup_start + i * (self.peak - self.warmup_start) / length
        progress, epoch = self._progress(n - self.warmup_steps, last), n // self.steps_per_epoch
        decayed = self.minimum + (self.peak - self.minimum) * self._decayed(progress, epoch)
        return decayed * self.growth.rate(epoch)

    def _progress(self, t, last):
        """t / T of cosine and poly."""
        length, factor = self.restarts[0] * self.steps_per_epoch, self.restarts[1]
        if length:
            while t >= length:
                t, length = t - length, length * factor
            return t / length
        # After the last step the rate stays where it ended.
        return min(1.0, t / max(1, self.total_steps - self.warmup_steps - last))

    def _count(self, step):
        """(place in the schedule, the warmup's i, 1 if a stage of N falls over N - 1, else 0)."""
        if self.counting == "steps":
            return step, step + self.warmup_from, 0
        if self.counting == "updates":
            epoch, batch = divmod(step, self.steps_per_epoch)
            images = self.images or self.steps_per_epoch * self.global_batch
            n = min(-(-epoch * images // self.global_batch) + batch + 1, self.total_steps - 1)
            return n, n, 1
        raise ValueError(f"unknown counting {self.counting!r}: steps or updates")

    def _decayed(self, progress, epoch):
        if self.mode == "cosine":
            return (1 + math.cos(math.pi * progress)) / 2
        if self.mode == "step":
            return self.decay ** sum(begun <= epoch for begun in self.decay_epochs)
        if self.mode == "exp":
            return self.decay ** (epoch // self.decay_period)
        if self.mode == "poly":
            return (1 - progress) ** self.power
        if self.mode == "constant":
            return 1.0
        raise ValueError(f"unknown mode {self.mode!r}: step, cosine, poly, exp or constant")
