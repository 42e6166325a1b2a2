"""The DropBlock of GluonCV's ResNeSt, which has it from 26 layers on, repaired.

:mod:`.drop_block` is the one of Assembled-CNN, which our own networks may have.
"""

from gluoncv.nn import dropblock
from mxnet import autograd

from ..errors import UserError


class DropBlock(dropblock.DropBlock):
    """Sets squares of 3x3 values to zero in training, the same ones in all images of a device's
    batch.

    GluonCV's own is in a compiled network when its first pass was one of training, and then also
    drops in evaluation; in float16 the number of its values is too large. This one rests on
    Dropout, which does nothing outside of training. A graph that is made outside of training has
    nothing of it.
    """

    def hybrid_forward(self, F, x):
        if self.drop_prob <= 0 or not autograd.is_training():
            return x
        size, height, width = self.block_size, self.h, self.w
        # The share of squares' centres. As in GluonCV they may lie at the border too, where they
        # were not counted: with 0.1, 12 % of the values are dropped from 20x20, and 43 % from 3x3.
        centres = (
            self.drop_prob * height * width / size**2 / ((height - size + 1) * (width - size + 1))
        )
        # which follows the seed
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
                    f"--input-size is too small for the DropBlock of {name}: it takes 65 pixels or "
                    "more"
                )
            own = DropBlock(block.drop_prob, block.block_size, block.c, block.h, block.w)
            setattr(net, attribute, own)
