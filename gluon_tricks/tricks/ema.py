"""An exponential moving average of the weights: after every s updates

    average = d average + (1 - d) weights

The weights of n averagings ago have the share (1 - d) d^n, and the last log 2 / -log d averagings
make up half. BatchNorm's running statistics are averaged in the same way: those of the current
weights would not fit the average.
"""

import math
from typing import Sequence

import mxnet as mx

from .compiled import cast
from .optimizer import MOST_ARRAYS, sgd_step


def follow(
    averages: Sequence[mx.nd.NDArray], values: Sequence[mx.nd.NDArray], decay: float
) -> None:
    """Let each float32 NDArray of ``averages`` follow the NDArray at its place in ``values``."""
    for start in range(0, len(averages), MOST_ARRAYS):
        stop = start + MOST_ARRAYS
        _follow(averages[start:stop], values[start:stop], decay)


def _follow(averages, values, decay):
    values = [cast(value, "float32") for value in values]
    if decay:
        # a - (1 - d) (a - w), which leaves an average that equals the weights unchanged
        n = len(averages)
        sgd_step(averages, values, [1 - decay] * n, [1.0] * n, -1.0)
    else:
        for average, value in zip(averages, values):
            mx.nd.identity(value, out=average)


def half_life(decay: float, every: int = 1) -> float:
    """The number of last updates that have half of the average."""
    return every * math.log(2) / -math.log(decay)
