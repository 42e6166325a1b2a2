"""Momentum with the learning rate outside of the velocity, as in TensorFlow and PyTorch.

    v = m v + g + wd w
    w = w - rate v                          plain momentum
    w = w - rate (g + wd w + m v)           Nesterov's, as in PyTorch

MXNet's sgd and nag keep the rate inside: v = m v + rate (g + wd w), w = w - v. The two are equal
while the rate is constant; after it falls, MXNet keeps the old speed for about 1 / (1 - m) updates.
Nearly all published recipes except MXNet's own have the rate outside.
"""

from typing import Any

import mxnet as mx

from .optimizer import ManyArrays, add, scale_and_add, sgd_step


class Momentum(ManyArrays):
    """``momentum`` is m; ``nesterov`` selects the second form."""

    def __init__(self, momentum: float = 0.9, nesterov: bool = False, **settings: Any) -> None:
        super().__init__(**settings)
        self.momentum, self.nesterov = momentum, nesterov

    def create_state(self, index, weight):
        """v, initially 0."""
        return mx.nd.zeros_like(weight)

    def update(self, index, weight, grad, state):
        rates, decays = self._get_lrs(index), self._get_wds(index)
        scale_and_add(state, self.momentum, grad, self.rescale_grad)
        add(state, decays, weight)
        if self.nesterov:
            sgd_step(weight, grad, rates, decays, self.rescale_grad)
            rates = [rate * self.momentum for rate in rates]
        add(weight, [-rate for rate in rates], state)
