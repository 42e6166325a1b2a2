"""Anti-aliased downsampling (Zhang, arXiv 1904.11486): a blur before the subsampling, so that an
image shifted by a pixel gives nearly the same output.

As in Assembled-CNN, a convolution with stride 2 gets stride 1, and the blur after its ReLU has the
stride.
"""

from mxnet.gluon.block import HybridBlock

from ..errors import UserError
from . import blocks

SIZES = range(2, 8)


class BlurPool(HybridBlock):
    """Every ``stride``-th value of x (N, C, H, W) after a binomial filter of ``size`` x ``size``.

    The filter of size 3 is [1, 2, 1] x [1, 2, 1] / 16; size n is n - 1 successive averages of two
    neighbours, so poolings compute it without weights. The border is reflected, (size - 1) // 2
    values wide before the image and size // 2 after it, which gives ceil(H / stride) rows, like a
    strided convolution or a pooled shortcut.
    """

    def __init__(self, size: int, stride: int):
        super().__init__()
        if size not in SIZES:
            raise UserError(f"--anti-alias {size}: has to be from 2 to 7")
        self._size, self._stride = size, stride

    def hybrid_forward(self, F, x):
        border = ((self._size - 1) // 2, self._size // 2)
        x = F.pad(x, mode="reflect", pad_width=(0,) * 4 + border * 2)
        for stride in [1] * (self._size - 2) + [self._stride]:
            x = F.Pooling(x, kernel=(2, 2), stride=(stride, stride), pool_type="avg")
        return x


def with_blur(parts: blocks.Parts, size: int, shortcut: bool = False) -> blocks.Parts:
    """``parts`` with a blur in every strided block: after the ReLU of the strided convolution and,
    with ``shortcut``, also before the shortcut's convolution.
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
