"""LARS: a learning rate for each layer, from the norms of its weights and gradients (You et al.,
arXiv 1708.03888).

    ratio = eta norm(w) / (norm(g) + wd norm(w)),  eta = 0.001
    v = m v + rate ratio (g + wd w)
    w = w - v

Biases, gamma and beta are left out, as in all published results with large batches: their ratio
is 1. (For a ResNet-50 this is worth 0.7 to 2 points, PaddlePaddle #26733.) With ``--no-wd`` they
are not decayed either.

Weights that are all 0 have the ratio eta. The formula would give 0, and they would never move;
MXNet takes 1, which makes their first step a thousand times as long as the next.

``mx.optimizer.LARS`` knows what to leave out by names that Gluon's Trainer does not give it, and
corrects the momentum of only four of an update's arrays when the rate changes.
"""

from typing import Any

import mxnet as mx
import numpy as np

from .compiled import to_device
from .optimizer import ManyArrays, norms


class Lars(ManyArrays):
    """``weights_only``: biases, gamma and beta have the ratio 1."""

    def __init__(
        self, momentum: float = 0.9, eta: float = 0.001, weights_only: bool = True, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.momentum, self.eta, self.weights_only = momentum, eta, weights_only

    def create_state(self, index, weight):
        """-v, initially 0."""
        return mx.nd.zeros_like(weight)

    def update(self, index, weight, grad, state):
        device, scale = weight[0].context, self.rescale_grad
        rates, decays = (
            to_device(np.array(values, "float32"), device)
            for values in (self._get_lrs(index), self._get_wds(index))
        )
        weight_norms = norms(weight)
        ratios = trust_ratios(weight_norms, norms(grad) * scale + decays * weight_norms, self.eta)
        if self.weights_only:
            scaled = np.array([self.is_weight(one) for one in index], "float32")
            scaled = to_device(scaled, device)
            ratios = mx.nd.where(scaled, ratios, mx.nd.ones_like(ratios))
        triples = [array for triple in zip(weight, grad, state) for array in triple]
        mx.nd.preloaded_multi_sgd_mom_update(
            *triples,
            rates * ratios,
            decays,
            momentum=self.momentum,
            rescale_grad=scale,
            num_weights=len(weight),
            out=list(weight),
        )


def trust_ratios(
    weight_norms: mx.nd.NDArray, step_norms: mx.nd.NDArray, eta: float
) -> mx.nd.NDArray:
    """eta norm(w) / norm(step), NDArrays (n,); eta if one of the two is 0."""
    either = (weight_norms * step_norms) == 0
    safe = mx.nd.where(either, mx.nd.ones_like(step_norms), step_norms)
    return eta * mx.nd.where(either, mx.nd.ones_like(safe), weight_norms / safe)
