"""A repaired version of the DropBlock in GluonCV's ResNeSt (26 layers and more).

:mod:`.drop_block` has Assembled-CNN's, an option of our own networks.
"""

from gluoncv.nn import dropblock
from mxnet import autograd

from ..errors import UserError


class DropBlock(dropblock.DropBlock):
    """Sets squares of 3x3 values to zero in training, the same in all images of a device's batch.

    If the first pass of a compiled network is one of training, GluonCV's also drops values in
    evaluation; and in float16 its count of values overflows. This one uses Dropout, which does
    nothing outside training. Graphs made outside training do not contain it.
    """

    def hybrid_forward(self, F, x):
        if self.drop_prob <= 0 or not autograd.is_training():
            return x
        size, height, width = self.block_size, self.h, self.w
        # The probability of a centre. As in GluonCV, centres may also lie at the border, which the
        # formula does not count: with 0.1, 12 % of the values are dropped from 20x20, and 43 % from
        # 3x3.
        centres = (
            self.drop_prob * height * width / size**2 / ((height - size + 1) * (width - size + 1))
        )
        # MXNet's Dropout, which follows the seed
        dropped = F.Dropout(F.ones((1, self.c, height, width)), p=centres, cudnn_off=True) == 0
        kept = 1 - F.Pooling(
            dropped, pool_type="max", kernel=(size, size), pad=(size // 2, size // 2)
        )
        scaled = F.broadcast_div(kept, F.mean(kept, axis=(1, 2, 3), keepdims=True))
        return F.broadcast_mul(x, F.cast(scaled, self.dtype))


def repair(net, name):
    """Replace GluonCV's DropBlocks by ours. UserError if the images are too small for them."""
    for block in list(net._children.values()):
        repair(block, name)
    for attribute, block in list(vars(net).items()):
        if type(block) is dropblock.DropBlock:
            if min(block.h, block.w) < block.block_size:
                raise UserError(
                    f"--input-size is too small for the DropBlock of {name}: it needs at least 65 "
                    "pixels"
                )
            own = DropBlock(block.drop_prob, block.block_size, block.c, block.h, block.w)
            setattr(net, attribute, own)
