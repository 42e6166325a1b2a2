"""What the optimizers here have in common: they update many arrays at once and compute in float32.

Gluon's Trainer hands an optimizer lists of arrays. Sums of two lists are one call of MXNet's fused
SGD, which computes x - rate (scale y + decay x) for each pair; a call for each array would cost
more than the sums themselves.
"""

from typing import Any, Sequence

import mxnet as mx
import numpy as np

from .weight_decay import decayed

Arrays = Sequence[mx.nd.NDArray]
MOST_ARRAYS = 45  # in one call; MXNet has room for 60


class ManyArrays(mx.optimizer.Optimizer):
    """An optimizer whose ``update`` gets lists of at most MOST_ARRAYS indices, float32 weights,
    float32 gradients and states.

    With ``multi_precision``, the weights are the float32 master copies of float16 weights, which
    then get the rounded values.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.aggregate_num = MOST_ARRAYS

    def update_multi_precision(self, index, weight, grad, state):
        self._update_count(index)
        if not self.multi_precision or weight[0].dtype != np.float16:
            return self.update(index, weight, grad, state)
        masters, states = zip(*state)
        self.update(index, masters, [gradient.astype("float32") for gradient in grad], states)
        for master, rounded in zip(masters, weight):
            mx.nd.cast(master, dtype="float16", out=rounded)

    def is_weight(self, index: int) -> bool:
        """Whether a parameter is the weight of a convolution or dense layer."""
        return decayed(self.param_dict[index].name)


def scale_and_add(arrays: Arrays, factor: float, others: Arrays, share: float) -> None:
    """x = factor x + share y for each pair of two lists of NDArrays."""
    n = len(arrays)
    sgd_step(arrays, others, [-1.0] * n, [factor - 1] * n, share)


def add(arrays: Arrays, shares: Sequence[float], others: Arrays) -> None:
    """x += share y for each pair of two lists of NDArrays, with a share for each."""
    sgd_step(arrays, others, [-share for share in shares], [0.0] * len(arrays))


def sgd_step(
    weights: Arrays,
    gradients: Arrays,
    rates: Sequence[float],
    decays: Sequence[float],
    scale: float = 1.0,
) -> None:
    """w -= rate (scale g + decay w) for each pair, with a rate and a decay for each."""
    pairs = [array for pair in zip(weights, gradients) for array in pair]
    about: dict = dict(lrs=rates, wds=decays, rescale_grad=scale, num_weights=len(weights))
    mx.nd.multi_sgd_update(*pairs, **about, out=list(weights))


def norms(arrays: Arrays) -> mx.nd.NDArray:
    """The Euclidean norm of each: NDArray (n,)."""
    return mx.nd.multi_sum_sq(*arrays, num_arrays=len(arrays)).sqrt()
