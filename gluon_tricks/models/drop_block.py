"""DropBlock (Ghiasi et al., arXiv 1810.12890) as in Assembled-CNN: in training, squares of a
feature map are set to 0.

Let p be the probability of dropping a value, which changes linearly over the training. With squares
of B x B in a map of H x W, each position at which a square fits becomes a centre with probability::

    gamma = scale p H W / B^2 / ((H - B + 1) (W - B + 1))

Each channel has its own squares, which are the same in all images of a device's batch. The kept
values are multiplied by (number of all values / number of kept values).
"""

from typing import Any, NamedTuple, Tuple

import numpy as np
from mxnet import autograd
from mxnet.gluon import nn
from mxnet.gluon.block import HybridBlock

from . import blocks
from .progress import Progress

SIZE = 7
# gamma's scale in the four stages; 0: no DropBlock
SCALES = (0, 0, 0.25, 1)


class DropBlock(HybridBlock):
    """x (N, C, H, W), with zeros in some squares in training.

    rates: p at the start and at the end of the training. A map smaller than the square is dropped
    as a whole. Outside training the layer does nothing, and graphs made there do not contain it.
    """

    def __init__(self, rates: Tuple[float, float], scale: float, progress: Progress):
        super().__init__()
        self._rates, self._scale, self._dtype = rates, scale, "float32"
        progress.join(self)

    def cast(self, dtype):
        # The mask is computed in float32, for its larger sums.
        self._dtype = np.dtype(dtype).name

    def hybrid_forward(self, F, x):
        if not autograd.is_training():
            return x
        first, last = self._rates
        progress = self.progress.value(x)
        image = F.cast(F.slice_axis(x, axis=0, begin=0, end=1), "float32")
        rows, columns = (_centres(F, image, axis) for axis in (2, 3))
        gamma = (first + (last - first) * progress) * self._scale * rows.factor * columns.factor
        centres = F.broadcast_lesser(F.random.uniform_like(image), F.reshape(gamma, (1, 1, 1, 1)))
        centres = F.broadcast_mul(centres, F.reshape(rows.allowed, (1, 1, -1, 1)))
        centres = F.broadcast_mul(centres, F.reshape(columns.allowed, (1, 1, 1, -1)))
        dropped = F.broadcast_mul(_squares(F, centres), _is_training(F, progress))
        kept = 1 - dropped
        share = F.maximum(F.mean(kept, axis=(1, 2, 3), keepdims=True), 1e-8)
        mask = F.cast(F.BlockGrad(F.broadcast_div(kept, share)), self._dtype)
        return F.broadcast_mul(x, mask)


class _Centres(NamedTuple):
    """Along one axis of n values: the allowed places of centres, float32 (n,), 0 or 1; and n / (a
    square's side x the number of these places), float32 (1,).
    """

    allowed: Any
    factor: Any


def _centres(F, image, axis):
    half = SIZE // 2
    place = F.contrib.arange_like(image, axis=axis)
    end = F.max(place)
    first = F.floor(F.minimum(end / 2, half))  # in a short axis the middle
    last = F.broadcast_maximum(end - half, first)
    allowed = F.broadcast_greater_equal(place, first) * F.broadcast_lesser_equal(place, last)
    side = F.minimum(end + 1, SIZE)
    return _Centres(allowed, (end + 1) / (side * (last - first + 1)))


def _squares(F, centres):
    """1 for values in squares around the centres, else 0."""
    half = SIZE // 2
    return F.Pooling(centres, kernel=(SIZE, SIZE), pad=(half, half), pool_type="max")


def _is_training(F, like):
    """0 or 1, (1, 1, 1, 1), determined when the graph runs: in training, Dropout turns 1 into 0 or
    2.
    """
    ones = F.reshape(F.ones_like(like), (1, 1, 1, 1))
    return F.Dropout(ones, p=0.5, cudnn_off=True) != 1


def with_drop_block(
    parts: blocks.Parts, rates: Tuple[float, float], scale: float, progress: Progress
) -> blocks.Parts:
    """``parts`` with a DropBlock after every norm, the shortcut's included, and after selective
    kernels.
    """

    def drop():
        return DropBlock(rates, scale, progress)

    def body(*args):
        layers = parts.body(*args)
        for name in [name for name, _ in layers if name.startswith(("bn", "sk"))]:
            layers = blocks.insert_after(layers, name, (name + "_drop", drop()))
        return layers

    def shortcut(*args):
        layers = parts.shortcut(*args)
        has_norm = any(isinstance(layer, nn.Conv2D) for _, layer in layers)
        return [*layers, ("drop", drop())] if has_norm else layers

    return parts._replace(body=body, shortcut=shortcut)
