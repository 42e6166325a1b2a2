"""MobileNet V1 (Howard et al., arXiv 1704.04861), GluonCV's, with the additions of Assembled-CNN
(arXiv 2001.06268, version 2, Table 9): squeeze-and-excitation and DropBlock.

Assembled-CNN's code has no MobileNet, so both are placed as in its ResNets. A block is a depthwise
3x3 and a 1x1 convolution, each with norm and ReLU. DropBlock follows every norm of the blocks at
1/16 and 1/32 of the image's resolution, squeeze-and-excitation a block's last norm.
"""

from typing import Any, Iterator, Tuple

import mxnet as mx
from mxnet.gluon.block import HybridBlock

from ..errors import UserError
from . import additions, blocks, published
from .additions import Additions
from .drop_block import SCALES, DropBlock
from .progress import Progress
from .registry import register
from .se import SqueezeExcite

NAMES = ["mobilenet1.0", "mobilenet0.75", "mobilenet0.5", "mobilenet0.25"]
OPTIONS = ["attention", "attention_reduction", "drop_block", "drop_block_from"]
OPTIONS += ["norm_layer", "norm_kwargs", "prefix", "params"]  # only from Python


@register(
    *NAMES,
    options=OPTIONS,
    published_file=published.file_called,
    load_published=published.load_file,
)
def mobilenet(name: str, classes: int = 1000, **options: Any) -> HybridBlock:
    """The network called ``name``, whose number is its width multiplier.

    options: those of GluonCV's class, and of :class:`.additions.Additions` those in OPTIONS.
    """
    from gluoncv.model_zoo.mobilenet import MobileNet  # slow: it takes a second

    added, options = additions.split(options)
    if added.attention not in ("none", "se"):
        raise UserError(f"--attention {added.attention} does not apply to {name}: it has only se")
    net = MobileNet(float(name[len("mobilenet") :]), classes=classes, **options)
    with net.name_scope():
        layers = list(_with(list(net.features._children.items()), added))
    net.features = blocks.sequential(layers, prefix="")
    # GluonCV's layers infer their shapes from the first image, which fails with DropBlock, because
    # a graph of evaluation lacks its parameter.
    with mx.autograd.train_mode():
        net.infer_shape(mx.nd.zeros((1, 3, 32, 32)))
    net.hybridize(False)  # drops the graph of training
    return net


def _with(layers: blocks.Layers, added: Additions) -> Iterator[Tuple[str, HybridBlock]]:
    """The layers up to the head, which keep their names, with the additions between them."""
    trunk, pooling = layers[:-2], layers[-2:]
    progress, stride = Progress(), 1
    for conv, norm, relu in zip(trunk[::3], trunk[1::3], trunk[2::3]):
        stride *= conv[1]._kwargs["stride"][0]
        yield from (conv, norm, *_after_norm(norm[0], conv[1], stride, added, progress), relu)
    yield from pooling


def _after_norm(name, conv, stride, added, progress):
    """The additions after the norm called ``name``, which follows a convolution at 1/stride of the
    image's resolution.
    """
    new = []
    scale = dict(zip((4, 8, 16, 32), SCALES)).get(stride, 0)
    if added.drop_block and scale:
        rates = added.drop_block_from, added.drop_block
        new.append((name + "_drop", DropBlock(rates, scale, progress)))
    if added.attention == "se" and conv._kwargs["kernel"] == (1, 1):
        new.append((name + "_se", SqueezeExcite(conv._channels, added.attention_reduction)))
    return new
