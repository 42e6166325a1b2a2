"""Squeeze-and-excitation (Hu et al., arXiv 1709.01507): the channels of a block's output are
weighted by a function of all channels.
"""

from mxnet.gluon.block import HybridBlock

from ..errors import UserError
from . import blocks

REDUCTION = 16


class SqueezeExcite(HybridBlock):
    """x times a weight in (0, 1) for each channel, computed from the channels' means.

    x: (N, channels, H, W). reduction: the ratio of ``channels`` to those between the two 1x1
    convolutions; 0: 16. bias: whether these convolutions have biases, as in the paper;
    Assembled-CNN's do not.
    """

    def __init__(self, channels: int, reduction: int = 0, bias: bool = False):
        super().__init__()
        reduction = reduction or REDUCTION
        if reduction > channels:
            raise UserError(
                f"--attention-reduction {reduction} is more than a block's {channels} channels"
            )
        with self.name_scope():
            self.squeeze = blocks.conv(channels, channels // reduction, 1, bias=bias)
            self.excite = blocks.conv(channels // reduction, channels, 1, bias=bias)

    def hybrid_forward(self, F, x):
        means = F.Pooling(x, kernel=(1, 1), global_pool=True, pool_type="avg")
        hidden = F.Activation(self.squeeze(means), act_type="relu")
        return F.broadcast_mul(x, F.sigmoid(self.excite(hidden)))


def with_se(parts: blocks.Parts, reduction: int = 0, bias: bool = False) -> blocks.Parts:
    """``parts`` with squeeze-and-excitation after the last norm of every block."""

    def body(in_channels, width, *args):
        layers = parts.body(in_channels, width, *args)
        return [*layers, ("se", SqueezeExcite(parts.expansion * width, reduction, bias))]

    return parts._replace(body=body)
