"""ResNet and the paper's three tweaks of it (section 4): one network, three switches, five depths.

======= ============================== =================== =============================================
variant stride of a down-sampling      stem                shortcut of a down-sampling block
        bottleneck
======= ============================== =================== =============================================
v1      in its first 1x1 convolution   one 7x7 convolution 1x1 convolution with stride 2
v1b (B) **in its 3x3 convolution**     one 7x7 convolution 1x1 convolution with stride 2
v1c (C) in its 3x3 convolution         **three of 3x3**    1x1 convolution with stride 2
v1d (D) in its 3x3 convolution         three of 3x3        **2x2 average pooling**, then 1x1 with stride 1
======= ============================== =================== =============================================

A 1x1 convolution with stride 2 never looks at three quarters of its input; B and D take the two
away. The depths 18 and 34 have no bottleneck, so that B changes nothing there.

Parameters carry GluonCV's names: a file written here loads there, and the reverse. Two marks of
GluonCV's v1 come with that and are no tweak: its layers stand in ``features`` and ``output`` where
the others have ``conv1 ... layer4, fc``, and the 1x1 convolutions of its bottlenecks have biases.
"""

from typing import NamedTuple

from mxnet.gluon import nn
from mxnet.gluon.block import HybridBlock

from ..errors import UserError


class Variant(NamedTuple):
    """The three switches."""

    stride_in_3x3: bool = False
    deep_stem: bool = False
    pooled_shortcut: bool = False


VARIANTS = {
    "v1": Variant(),
    "v1b": Variant(stride_in_3x3=True),
    "v1c": Variant(stride_in_3x3=True, deep_stem=True),
    "v1d": Variant(stride_in_3x3=True, deep_stem=True, pooled_shortcut=True),
}

# depth: (residual blocks in each of the four stages, are they bottlenecks)
DEPTHS = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
    152: ((3, 8, 36, 3), True),
}

# A network's layers up to the head, by the names that GluonCV's v1b gives them (v1 numbers them).
TRUNK = [
    "conv1",
    "bn1",
    "relu",
    "maxpool",
    "layer1",
    "layer2",
    "layer3",
    "layer4",
    "avgpool",
    "flat",
    "drop",
]

NAMES = [f"resnet{depth}_{variant}" for variant in VARIANTS for depth in DEPTHS]


def resnet(name, **options):
    """The :class:`ResNet` called ``name``, for instance ``resnet50_v1d``; ``options`` are that
    class's.
    """
    depth, variant = name[len("resnet") :].split("_")
    options.setdefault("prefix", name + "_")
    return ResNet(int(depth), VARIANTS[variant], **options)


class ResNet(HybridBlock):
    """Images, float (N, 3, H, W), to logits (N, classes).

    depth: 18, 34, 50, 101 or 152. variant: a :class:`Variant`, the three switches. last_gamma:
    gamma of the last BatchNorm of every residual block starts at 0, so that a block starts as
        its shortcut (section 3.1); at depths 18 and 34 too, where GluonCV's v1b ignores it in
        silence.
    dilated: the last two stages keep the resolution of the second (1/8 of the image) and dilate
    their 3x3
        convolutions instead, as semantic segmentation wants it (section 6.2). Not for v1.
    final_drop: dropout before the last layer. norm_layer, norm_kwargs: what stands in for
    BatchNorm, for instance SyncBatchNorm. features_only: no head; the result is the list of the
    four stages' outputs, at 1/4, 1/8, 1/16 and 1/32 of
        the image (1/4, 1/8, 1/8, 1/8 if dilated), for detection and segmentation.
    prefix: of the parameters' long names (``collect_params``). :func:`resnet` gives a fixed one, so
    that all
        workers of a run and the exported graph name a parameter alike.
    """

    def __init__(
        self,
        depth,
        variant,
        classes=1000,
        last_gamma=False,
        dilated=False,
        final_drop=0.0,
        norm_layer=nn.BatchNorm,
        norm_kwargs=None,
        features_only=False,
        prefix=None,
        params=None,
    ):
        super().__init__(prefix=prefix, params=params)
        if depth not in DEPTHS:
            raise UserError(f"no ResNet of depth {depth}: take one of {sorted(DEPTHS)}")
        self.variant = variant
        self.features_only = features_only
        self._v1_names = not variant.stride_in_3x3
        if dilated and self._v1_names:
            raise UserError("dilated does not apply to ResNet v1: take v1b, v1c or v1d")
        self._zero_gamma = {"gamma_initializer": "zeros"} if last_gamma else {}
        self._norm_layer = norm_layer
        self._norm_kwargs = dict(norm_kwargs or {})

        blocks, bottleneck = DEPTHS[depth]
        expansion, body = (4, self._bottleneck) if bottleneck else (1, self._basic)
        strides, dilations = (
            ((1, 2, 1, 1), (1, 1, 2, 4)) if dilated else ((1, 2, 2, 2), (1, 1, 1, 1))
        )
        with self.name_scope():
            trunk = self._stem()
            in_channels = 64
            for i in range(4):
                width = 64 * 2**i
                stage = (
                    i + 1,
                    blocks[i],
                    body,
                    in_channels,
                    width,
                    width * expansion,
                    strides[i],
                    dilations[i],
                )
                trunk.append(self._stage(*stage))
                in_channels = width * expansion
            if not features_only:
                trunk += [nn.GlobalAvgPool2D(), nn.Flatten()]
                trunk += [nn.Dropout(final_drop)] if final_drop else []
            if self._v1_names:
                self.features = sequential(trunk, prefix="")
            else:
                self._trunk = TRUNK[: len(trunk)]
                for name, layer in zip(self._trunk, trunk):
                    setattr(self, name, layer)
            if not features_only:
                setattr(self, self.head_name, nn.Dense(classes, in_units=in_channels))

    @property
    def head_name(self):
        """The name of the last layer, the one that depends on the number of classes."""
        return "output" if self._v1_names else "fc"

    def hybrid_forward(self, F, x):
        layers = self.features if self._v1_names else [getattr(self, name) for name in self._trunk]
        stages = []
        for name, layer in zip(TRUNK, layers):
            x = layer(x)
            if name.startswith("layer"):
                stages.append(x)
        return stages if self.features_only else getattr(self, self.head_name)(x)

    # The stem: a quarter of the image's resolution, 64 channels.

    def _stem(self):
        # C: three convolutions which together look as far as the one of 7x7
        if self.variant.deep_stem:
            convolutions = [
                conv(3, 32, 3, stride=2),
                self._norm(32),
                nn.Activation("relu"),
                conv(32, 32, 3),
                self._norm(32),
                nn.Activation("relu"),
                conv(32, 64, 3),
            ]
            first = sequential(convolutions, prefix="conv1")
        else:
            first = conv(3, 64, 7, stride=2)
        return [first, self._norm(64), nn.Activation("relu"), nn.MaxPool2D(3, strides=2, padding=1)]

    # The four stages of residual blocks.

    def _stage(self, number, blocks, body, in_channels, width, channels, stride, dilation):
        """The first block changes resolution and channels, the others keep them.

        Dilation doubles from stage to stage; the first 3x3 convolution of a stage still has the one
        before.
        """
        changes = in_channels != channels
        shortcut = None
        if changes and not self._v1_names:  # where it is made decides how its parameters are called
            shortcut = self._shortcut(in_channels, channels, stride, prefix=f"down{number}_")
        stage = nn.HybridSequential(
            prefix=("stage{}_" if self._v1_names else "layers{}_").format(number)
        )
        with stage.name_scope():
            layers = body(in_channels, width, stride, max(1, dilation // 2), dilation)
            if changes and self._v1_names:
                shortcut = self._shortcut(in_channels, channels, stride, prefix="")
            stage.add(Residual(layers, shortcut, self._v1_names))
            for _ in range(1, blocks):
                stage.add(
                    Residual(body(channels, width, 1, dilation, dilation), None, self._v1_names)
                )
        return stage

    def _bottleneck(self, in_channels, width, stride, dilation, _):
        # B: the 3x3 convolution has the stride, and so every input is looked at.
        first, second = (1, stride) if self.variant.stride_in_3x3 else (stride, 1)
        bias = self._v1_names
        return [
            conv(in_channels, width, 1, first, bias=bias),
            self._norm(width),
            nn.Activation("relu"),
            conv(width, width, 3, second, dilation),
            self._norm(width),
            nn.Activation("relu"),
            conv(width, 4 * width, 1, bias=bias),
            self._norm(4 * width, **self._zero_gamma),
        ]

    def _basic(self, in_channels, width, stride, dilation, second_dilation):
        return [
            conv(in_channels, width, 3, stride, dilation),
            self._norm(width),
            nn.Activation("relu"),
            conv(width, width, 3, 1, second_dilation),
            self._norm(width, **self._zero_gamma),
        ]

    def _shortcut(self, in_channels, channels, stride, prefix):
        shortcut = nn.HybridSequential(prefix=prefix)
        with shortcut.name_scope():
            if self.variant.pooled_shortcut:  # D: the mean of four pixels instead of one of them
                shortcut.add(
                    nn.AvgPool2D(stride, strides=stride, ceil_mode=True, count_include_pad=False)
                )
                stride = 1
            shortcut.add(conv(in_channels, channels, 1, stride))
            shortcut.add(self._norm(channels))
        return shortcut

    def _norm(self, channels, **kwargs):
        return self._norm_layer(in_channels=channels, **{**self._norm_kwargs, **kwargs})


class Residual(HybridBlock):
    """relu(body(x) + shortcut(x)); the shortcut is x itself where ``downsample`` is None.

    layers: the body's, in order, the last without an activation. Under v1's names they stand in
    ``body``, else they are ``conv1, bn1, relu1, conv2, ...`` of the block.
    """

    def __init__(self, layers, downsample, v1_names):
        super().__init__(prefix="" if v1_names else None)
        if v1_names:
            self.body = sequential(layers, prefix="")
            self._body = ["body"]
            self.last_relu = None
        else:
            names = [kind + str(i) for i in (1, 2, 3) for kind in ("conv", "bn", "relu")]
            self._body = names[: len(layers)]
            for name, layer in zip(self._body, layers):
                setattr(self, name, layer)
            self.last_relu = nn.Activation("relu")
        self.downsample = downsample

    def hybrid_forward(self, F, x):
        y = x
        for name in self._body:
            y = getattr(self, name)(y)
        if self.downsample is not None:
            x = self.downsample(x)
        y = y + x
        return F.Activation(y, act_type="relu") if self.last_relu is None else self.last_relu(y)


def conv(in_channels, channels, kernel, stride=1, dilation=1, bias=False):
    """A convolution whose output has the input's resolution divided by ``stride``."""
    padding = dilation * (kernel // 2)
    return nn.Conv2D(
        channels, kernel, stride, padding, dilation, use_bias=bias, in_channels=in_channels
    )


def sequential(layers, prefix):
    block = nn.HybridSequential(prefix=prefix)
    block.add(*layers)
    return block
