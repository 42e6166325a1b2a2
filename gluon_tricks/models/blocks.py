"""The parts of residual networks: small factories, each of which returns named layers.

A factory returns pairs (name, layer) in order of computation. A network finds its layers by these
names, never by position, so a layer can be inserted (a blur before a strided convolution, an
attention after the last norm, DropBlock after each norm) without renaming the parameters of the
others: take the pairs, insert one, and pass the result on. An inserted layer with parameters should
be a block with its own name scope, so that the numbers in its neighbours' long names do not change.

The names are those that GluonCV gives these layers.
"""

from typing import Any, Callable, List, NamedTuple, Optional, Sequence, Tuple

from mxnet.gluon import nn
from mxnet.gluon.block import HybridBlock

Layers = List[Tuple[str, HybridBlock]]

# The names of a block's layers in order; GluonCV's ResNet v1 has their numbers instead.
BODY = [kind + number for number in "123" for kind in ("conv", "bn", "relu")]


def conv(
    in_channels: int,
    channels: int,
    kernel: int,
    stride: int = 1,
    dilation: int = 1,
    bias: bool = False,
    groups: int = 1,
) -> nn.Conv2D:
    """A convolution whose output has the input's resolution divided by ``stride``."""
    padding = dilation * (kernel // 2)
    return nn.Conv2D(
        channels, kernel, stride, padding, dilation, groups, use_bias=bias, in_channels=in_channels
    )


def norm(layer: Callable = nn.BatchNorm, **options: Any) -> Callable:
    """``norm(layer, ...)(channels)`` is a normalisation of that many channels.

    layer: BatchNorm or a replacement, such as SyncBatchNorm or :class:`.group_norm.GroupNorm`.
    options: its arguments, which those of each call override.
    """
    return lambda channels, **more: layer(in_channels=channels, **{**options, **more})


def relu() -> nn.Activation:
    """max(x, 0)."""
    return nn.Activation("relu")


def plain_stem(norm: Callable) -> Layers:
    """A 7x7 convolution and a pooling: 64 channels at a quarter of the image's resolution."""
    return _stem(conv(3, 64, 7, stride=2), norm)


def deep_stem(norm: Callable, width: int = 32) -> Layers:
    """Three 3x3 convolutions in place of the 7x7 one (ResNet-C), with ``width``, ``width`` and
    2 ``width`` channels.
    """
    layers = [conv(3, width, 3, stride=2), norm(width), relu()]
    layers += [conv(width, width, 3), norm(width), relu(), conv(width, 2 * width, 3)]
    return _stem(sequential(_by_number(layers), prefix="conv1"), norm, 2 * width)


def _stem(first, norm, channels=64):
    pool = nn.MaxPool2D(3, strides=2, padding=1)
    return [("conv1", first), ("bn1", norm(channels)), ("relu", relu()), ("maxpool", pool)]


def bottleneck(
    in_channels: int,
    width: int,
    stride: int,
    dilations: Sequence[int],
    norm: Callable,
    last_norm: Callable,
    stride_in_3x3: bool = True,
    bias: bool = False,
    inner: int = 0,
    groups: int = 1,
) -> Layers:
    """1x1, 3x3 and 1x1 convolution to ``4 * width`` channels.

    dilations: of the first 3x3 convolution in the block, which is the only one here, and of a
        second. stride_in_3x3: ResNet-B, which uses every input. bias: of the 1x1 convolutions.
        inner, groups: channels (0: ``width``) and groups of the 3x3 convolution, for ResNeXt.
    """
    first, second = (1, stride) if stride_in_3x3 else (stride, 1)
    inner = inner or width
    return [
        ("conv1", conv(in_channels, inner, 1, first, bias=bias)),
        ("bn1", norm(inner)),
        ("relu1", relu()),
        ("conv2", conv(inner, inner, 3, second, dilations[0], groups=groups)),
        ("bn2", norm(inner)),
        ("relu2", relu()),
        ("conv3", conv(inner, 4 * width, 1, bias=bias)),
        ("bn3", last_norm(4 * width)),
    ]


def basic(
    in_channels: int,
    width: int,
    stride: int,
    dilations: Sequence[int],
    norm: Callable,
    last_norm: Callable,
) -> Layers:
    """Two 3x3 convolutions to ``width`` channels."""
    return [
        ("conv1", conv(in_channels, width, 3, stride, dilations[0])),
        ("bn1", norm(width)),
        ("relu1", relu()),
        ("conv2", conv(width, width, 3, 1, dilations[1])),
        ("bn2", last_norm(width)),
    ]


def plain_shortcut(in_channels: int, channels: int, stride: int, norm: Callable) -> Layers:
    """A 1x1 convolution with the block's stride."""
    return _by_number([conv(in_channels, channels, 1, stride), norm(channels)])


def pooled_shortcut(in_channels: int, channels: int, stride: int, norm: Callable) -> Layers:
    """The mean of four pixels instead of one of the four, then a 1x1 convolution (ResNet-D)."""
    pool = nn.AvgPool2D(stride, strides=stride, ceil_mode=True, count_include_pad=False)
    return _by_number([pool, conv(in_channels, channels, 1), norm(channels)])


class Residual(HybridBlock):
    """relu(body(x) + shortcut(x)).

    Parameters
    ----------
    body : list of (name, layer)
        The last layer has no activation.
    shortcut : HybridBlock, optional
        None: the identity.
    v1_names : bool
        The body's layers are numbers in a block ``body``, and the last ReLU is not a layer, as in
        GluonCV's ResNet v1; else they are attributes of this block.

    A block that combines the two differently overrides ``hybrid_forward``.
    """

    def __init__(
        self, body: Layers, shortcut: Optional[HybridBlock] = None, v1_names: bool = False
    ):
        super().__init__(prefix="" if v1_names else None)
        if v1_names:
            self.body = sequential(numbered(body, BODY), prefix="")
            self._body = ["body"]
        else:
            self._body = add_layers(self, body)
        self.last_relu = None if v1_names else relu()
        self.downsample = shortcut

    def branch(self, x):
        """The body's output for x."""
        for name in self._body:
            x = getattr(self, name)(x)
        return x

    def skip(self, x):
        """The shortcut's output for x."""
        return x if self.downsample is None else self.downsample(x)

    def activate(self, F, x):
        """The last ReLU."""
        return F.Activation(x, act_type="relu") if self.last_relu is None else self.last_relu(x)

    def hybrid_forward(self, F, x):
        return self.activate(F, self.branch(x) + self.skip(x))


class Parts(NamedTuple):
    """The factories that make up a residual network; this module's show their arguments.

    A network of the family replaces some of them. The additions of later papers are functions from
    Parts to Parts, listed in :mod:`.additions`.
    """

    stem: Callable[..., Layers]
    body: Callable[..., Layers]
    shortcut: Callable[..., Layers]
    expansion: int  # output channels of a block, as a multiple of its width
    v1_names: bool = False  # GluonCV's names for v1, else those for v1b, v1c and v1d
    residual: Callable[..., HybridBlock] = Residual
    pool: Callable[[], HybridBlock] = nn.GlobalAvgPool2D  # before the head
    stem_channels: int = 64


def insert_after(layers: Layers, name: str, *new: Tuple[str, HybridBlock]) -> Layers:
    """The layers with ``new`` ones inserted after the one called ``name``."""
    place = [each for each, _ in layers].index(name) + 1
    return [*layers[:place], *new, *layers[place:]]


def add_layers(block: HybridBlock, layers: Layers) -> List[str]:
    """Make layers attributes of ``block``; returns their names."""
    for name, layer in layers:
        setattr(block, name, layer)
    return [name for name, _ in layers]


def sequential(layers: Layers, prefix: Optional[str] = None) -> nn.HybridSequential:
    """The layers in a row, under their names instead of numbers."""
    block = nn.HybridSequential(prefix=prefix)
    for name, layer in layers:
        block.register_child(layer, name)
    return block


def numbered(layers: Layers, order: Sequence[str]) -> Layers:
    """Layers named by their index in ``order``; a layer that is not in it keeps its name."""
    return [(str(order.index(name)) if name in order else name, layer) for name, layer in layers]


def _by_number(layers):
    return [(str(number), layer) for number, layer in enumerate(layers)]
