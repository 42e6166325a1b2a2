"""Anti-aliased down-sampling (Zhang, arXiv 1904.11486): blur before values are left out, so that
an image that is moved by a pixel gives nearly the same.

In the form of Assembled-CNN: a convolution with stride 2 gets stride 1, and after its ReLU the blur
has the stride.
"""

from mxnet.gluon.block import HybridBlock

from ..errors import UserError
from . import blocks

SIZES = range(2, 8)


class BlurPool(HybridBlock):
    """Every ``stride``-th value of x (N, C, H, W) after a binomial filter of ``size`` x ``size``.

    The filter of size 3 is [1, 2, 1] x [1, 2, 1] / 16, that of size n what n - 1 means of two
    neighbours make of a single 1. So poolings compute it, without weights. The border is reflected,
    (size - 1) // 2 values wide before the image and size // 2 after it, so that there are
    ceil(H / stride) rows, as a strided convolution or a pooled shortcut gives.
    """

    def __init__(self, size: int, stride: int):
        super().__init__()
        if size not in SIZES:
            raise UserError(f"--anti-alias {size} is none of 2 to 7")
        self._size, self._stride = size, stride

    def hybrid_forward(self, F, x):
        border = ((self._size - 1) // 2, self._size // 2)
        x = F.pad(x, mode="reflect", pad_width=(0,) * 4 + border * 2)
        for stride in [1] * (self._size - 2) + [self._stride]:
            x = F.Pooling(x, kernel=(2, 2), stride=(stride, stride), pool_type="avg")
        return x


def with_blur(parts: blocks.Parts, size: int, shortcut: bool = False) -> blocks.Parts:
    """``parts`` with a blur in every block with stride: after the ReLU that follows the convolution
    with the stride, and with ``shortcut`` before the shortcut's convolution, too.
    """

    def body(in_channels, width, stride, *args):
        layers = parts.body(in_channels, width, 1, *args)
        names = [name for name, _ in layers]
        last = next(name for name in ("sk", "relu2", "relu1") if name in names)
        blur = [("blur", BlurPool(size, stride))] if stride > 1 else []
        return blocks.insert_after(layers, last, *blur)

    def blurred_shortcut(in_channels, channels, stride, norm):
        layers = parts.shortcut(in_channels, channels, 1, norm)
        return [("blur", BlurPool(size, stride)), *layers] if stride > 1 else layers

    return parts._replace(body=body, shortcut=blurred_shortcut if shortcut else parts.shortcut)
