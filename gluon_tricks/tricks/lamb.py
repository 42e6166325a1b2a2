"""LAMB: Adam's direction, with a rate for each layer from the norms of its weights and of that
direction (You et al., arXiv 1904.00962).

    m = beta1 m + (1 - beta1) g                 v = beta2 v + (1 - beta2) g^2
    u = m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon) + wd w
    w = w - rate norm(w) / norm(u) u

The ratio of the norms is 1 if one of them is 0. Biases, gamma and beta have the ratio 1 too, as in
timm, which made the recipes A1 to A3; in the paper and in ``mx.optimizer.LAMB`` they do not. timm
also clips the gradient's norm to 1 first: see :mod:`.clipping`.

Under float16, t also counts dropped updates. For some steps only the device knows whether one was
dropped, and t must not depend on when the host reads that.
"""

from typing import Any

import mxnet as mx

from .optimizer import ManyArrays


class Lamb(ManyArrays):
    """``weights_only``: biases, gamma and beta have the ratio 1."""

    counts_dropped = True  # see above; training/update.py asks for it

    def __init__(
        self,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-6,
        weights_only: bool = True,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.weights_only = weights_only

    def create_state(self, index, weight):
        """m and v, initially 0."""
        return mx.nd.zeros_like(weight), mx.nd.zeros_like(weight)

    def update(self, index, weight, grad, state):
        for each in zip(index, weight, grad, state):
            self._update_one(*each)

    def _update_one(self, index, weight, gradient, state):
        direction = mx.nd.lamb_update_phase1(
            weight,
            gradient,
            *state,
            beta1=self.beta1,
            beta2=self.beta2,
            epsilon=self.epsilon,
            t=self._index_update_count[index],
            bias_correction=True,
            wd=self._get_wd(index),
            rescale_grad=self.rescale_grad,
        )
        is_scaled = self.is_weight(index) or not self.weights_only
        # A norm of 0 stands for the ratio 1.
        norm = weight.norm() if is_scaled else mx.nd.zeros(1, ctx=weight.context)
        mx.nd.lamb_update_phase2(
            weight, direction, norm, direction.norm(), lr=self._get_lr(index), out=weight
        )
