"""Stochastic depth (Huang et al., arXiv 1603.09382): in training, images skip blocks at random.

A block's branch is kept with probability 1 - p and then divided by 1 - p; p grows linearly from 0
in the first block of the network to the given rate in the last.
"""

from mxnet import autograd
from mxnet.gluon.block import HybridBlock

from . import blocks


class DropPath(HybridBlock):
    """x (N, C, H, W), in training multiplied by 0 or 1 / (1 - rate) for each image.

    Graphs made outside training do not contain it.
    """

    rate = 0.0

    def hybrid_forward(self, F, x):
        if self.rate <= 0 or not autograd.is_training():
            return x
        # MXNet's own operator, whose random numbers follow the seed
        return F.Dropout(x, p=self.rate, axes=(1, 2, 3), cudnn_off=True)


def with_drop_path(parts: blocks.Parts) -> blocks.Parts:
    """``parts`` with a :class:`DropPath` at the end of every branch; :func:`spread` sets the
    rates.
    """
    return parts._replace(body=lambda *args: [*parts.body(*args), ("drop_path", DropPath())])


def spread(net: HybridBlock, rate: float) -> None:
    """Let the rates of the network's blocks grow linearly from 0 to ``rate``."""
    found: list = []
    net.apply(lambda block: found.append(block) if isinstance(block, DropPath) else None)
    for number, block in enumerate(found):
        block.rate = rate * number / (len(found) - 1)
