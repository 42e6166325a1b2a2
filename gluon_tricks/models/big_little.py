"""Big-Little Net (Chen et al., arXiv 1807.03848): most blocks work at half the resolution, and a
few narrow ones in parallel at the full one.

Each of the first three stages adds up a big branch of n - 1 bottlenecks at half the resolution,
whose values are repeated 2x2, and a little one of max(1, n // beta - 1) bottlenecks with 1 / alpha
of the channels; one more bottleneck fuses the sum. The stem has two branches of the same kind.
Layers, names and order are those of IBM's code; Assembled-CNN's differs in the shortcuts
(``bl_projection``).
"""

from functools import partial
from typing import Any, Callable, Dict, NamedTuple, Optional, Sequence, Tuple

from mxnet.gluon import ParameterDict, nn
from mxnet.gluon.block import HybridBlock

from ..errors import UserError
from . import additions, blocks
from .progress import Progress
from .registry import register
from .resnet import STAGES
from .se import with_se

# depth: bottlenecks in each of the four stages; the last stage has no branches
DEPTHS = {50: (3, 4, 6, 3), 101: (4, 8, 18, 3), 152: (5, 12, 30, 3)}
# The four stages' strides, and the dilations of 3x3 convolutions in the first block and in the
# others. If dilated, all stages after the first keep 1/8 of the image's resolution instead of 1/16
# and 1/32.
STRIDES, DILATIONS = (2, 2, 1, 2), ((1, 1),) * 4
STRIDES_DILATED, DILATIONS_DILATED = (2, 1, 1, 1), ((1, 1), (1, 1), (2, 2), (2, 4))


class Shape(NamedTuple):
    """The options of Big-Little networks, those of :func:`.registry.get_model`."""

    bl_alpha: int = 2  # the big branch has this many times the little one's channels
    bl_beta: int = 4  # and about this many times its blocks
    # A 1x1 convolution in the first shortcut of every branch, even if the number of channels stays,
    # as in Assembled-CNN; else only if it changes.
    bl_projection: bool = False


def shortcut(
    in_channels: int, channels: int, stride: int, norm: Callable, always_project: bool = False
) -> blocks.Layers:
    """A 3x3 average pooling if there is a stride, then a 1x1 convolution if the channels change."""
    layers: blocks.Layers = []
    if stride > 1:
        layers.append(("pool", nn.AvgPool2D(3, strides=stride, padding=1)))
    if in_channels != channels or always_project:
        layers.append(("conv", blocks.conv(in_channels, channels, 1)))
        layers.append(("bn", norm(channels)))
    return layers


def grouped(groups: int, base_width: int) -> Callable[..., blocks.Layers]:
    """The factory of ResNeXt's bottlenecks: groups of ``base_width / 64`` of their width."""

    def body(in_channels, width, *args):
        inner = width * base_width // 64 * groups
        return blocks.bottleneck(in_channels, width, *args, inner=inner, groups=groups)

    return body


class Sum(blocks.Residual):
    """body(x) + shortcut(x), without a ReLU: the last block of a big branch."""

    def activate(self, F, x):
        return x


class Branches(HybridBlock):
    """fusion(relu(big(x) + little(x))); the three blocks are set as attributes.

    doubled: whether the big branch has half the little one's resolution, rounded up, and its values
    are repeated 2x2.
    """

    big: HybridBlock
    little: HybridBlock
    fusion: HybridBlock

    def __init__(self, doubled: bool, prefix: str):
        super().__init__(prefix=prefix)
        self._doubled = doubled

    def hybrid_forward(self, F, x):
        big, little = self.big(x), self.little(x)
        if self._doubled:
            big = F.UpSampling(big, scale=2, sample_type="nearest")
            big = F.slice_like(big, little, axes=(2, 3))
        return self.fusion(F.Activation(big + little, act_type="relu"))


def stem(norm: Callable, alpha: int) -> blocks.Layers:
    """64 channels at a quarter of the resolution, from a convolution and two branches."""
    branches, narrow = Branches(doubled=False, prefix="stem_"), 64 // alpha
    first = [("conv1", blocks.conv(3, 64, 7, 2)), ("bn1", norm(64)), ("relu", blocks.relu())]
    with branches.name_scope():
        branches.big = blocks.sequential([("conv", blocks.conv(64, 64, 3, 2)), ("bn", norm(64))])
        little = [("conv1", blocks.conv(64, narrow, 3)), ("bn1", norm(narrow))]
        little += [("relu1", blocks.relu()), ("conv2", blocks.conv(narrow, narrow, 3, 2))]
        little += [("bn2", norm(narrow)), ("relu2", blocks.relu())]
        little += [("conv3", blocks.conv(narrow, 64, 1)), ("bn3", norm(64))]
        branches.little = blocks.sequential(little)
        fusion = [("conv", blocks.conv(64, 64, 1)), ("bn", norm(64)), ("relu", blocks.relu())]
        branches.fusion = blocks.sequential(fusion)
    return [*first, ("stem", branches)]


class Group(NamedTuple):
    """``length`` residual blocks in a row; the first changes resolution and channels.

    dilations: of the first block and of the others.
    """

    prefix: str
    length: int
    in_channels: int
    width: int
    stride: int = 1
    ends_in_sum: bool = False
    dilations: Tuple[int, int] = (1, 1)

    def build(self, parts: blocks.Parts, norm: Callable, last_norm: Callable) -> HybridBlock:
        """The blocks, each built from ``parts``."""
        made, channels = nn.HybridSequential(prefix=self.prefix), self.width * parts.expansion
        with made.name_scope():
            for number in range(self.length):
                in_channels, stride = (channels, 1) if number else (self.in_channels, self.stride)
                dilations = (self.dilations[min(number, 1)],) * 2
                body = parts.body(in_channels, self.width, stride, dilations, norm, last_norm)
                skip = [] if number else parts.shortcut(in_channels, channels, stride, norm)
                is_sum = self.ends_in_sum and number == self.length - 1
                residual = Sum if is_sum else parts.residual
                made.add(residual(body, blocks.sequential(skip) if skip else None))
        return made


class BigLittle(HybridBlock):
    """Images, float (N, 3, H, W), to logits (N, classes).

    Parameters
    ----------
    depths : sequence of int
        Bottlenecks in each of the four stages: of the big branch and the fusion together.
    big, little : sequence of Parts
        The parts of each stage's blocks; the last stage has only ``big`` ones.
    shape : Shape
        alpha, beta.
    classes, last_gamma, dilated, final_drop, norm_layer, norm_kwargs, features_only, prefix, params
        As in :class:`.resnet.ResNet`, except that the features begin with the stem's. A dilated
        network is not in the papers: it has no strides after the second stage and in the last, and
        a big branch still has half its stage's resolution.
    """

    def __init__(
        self,
        depths: Sequence[int],
        big: Sequence[blocks.Parts],
        little: Sequence[blocks.Parts],
        shape: Shape = Shape(),
        classes: int = 1000,
        last_gamma: bool = False,
        dilated: bool = False,
        final_drop: float = 0.0,
        norm_layer: Callable = nn.BatchNorm,
        norm_kwargs: Optional[dict] = None,
        features_only: bool = False,
        prefix: Optional[str] = None,
        params: Optional[ParameterDict] = None,
    ):
        super().__init__(prefix=prefix, params=params)
        self.features_only = features_only
        norm = blocks.norm(norm_layer, **(norm_kwargs or {}))
        last_norm = partial(norm, gamma_initializer="zeros") if last_gamma else norm
        strides = STRIDES_DILATED if dilated else STRIDES
        dilations = DILATIONS_DILATED if dilated else DILATIONS
        with self.name_scope():
            trunk = big[0].stem(norm)
            channels = 64
            for i, name in enumerate(STAGES[:3]):
                shape_of_stage = (depths[i], channels, 64 * 2**i, strides[i], dilations[i])
                stage = _Stage(name + "_", *shape_of_stage)
                trunk.append((name, stage.build(big[i], little[i], shape, norm, last_norm)))
                channels = stage.width * big[i].expansion
            last = Group("layer4_", depths[3], channels, 512, strides[3], dilations=dilations[3])
            trunk += [("layer4", last.build(big[3], norm, last_norm))]
            self.channels = 512 * big[3].expansion  # of the last stage
            if not features_only:
                trunk += [("avgpool", big[3].pool()), ("flat", nn.Flatten())]
                trunk += [("drop", nn.Dropout(final_drop))] if final_drop else []
            self._names = blocks.add_layers(self, trunk)
            if not features_only:
                self.fc = nn.Dense(classes, in_units=self.channels)

    head_name = "fc"  # the last layer, the one that depends on the number of classes

    def stage_outputs(self, x: Any) -> Dict[str, Any]:
        """The outputs of stem and stages for images, or for their symbol, by name."""
        return self._run(x)[1]

    def hybrid_forward(self, F, x):
        x, stages = self._run(x)
        return list(stages.values()) if self.features_only else self.fc(x)

    def _run(self, x):
        outputs = {}
        for name in self._names:
            x = getattr(self, name)(x)
            if name in ("stem", *STAGES):
                outputs[name] = x
        return x, outputs


class _Stage(NamedTuple):
    """One of the first three: ``length`` bottlenecks of big branch and fusion together."""

    prefix: str
    length: int
    in_channels: int
    width: int
    stride: int
    dilations: Tuple[int, int]

    def build(self, big, little, shape, norm, last_norm):
        channels, narrow = self.width * big.expansion, self.width // shape.bl_alpha
        few = max(1, self.length // shape.bl_beta - 1)
        branches = Branches(doubled=True, prefix=self.prefix)
        with branches.name_scope():
            size = self.in_channels, self.width
            group = Group("big_", self.length - 1, *size, 2, True, self.dilations)
            branches.big = group.build(big, norm, last_norm)
            group = Group("little_", few, self.in_channels, narrow, dilations=self.dilations)
            branches.little = group.build(little, norm, last_norm)
            with branches.little.name_scope():
                wider = blocks.conv(narrow * big.expansion, channels, 1)
                branches.little.register_child(wider, "conv")
                branches.little.register_child(norm(channels), "bn")
            size = channels, self.width, self.stride
            group = Group("fusion_", 1, *size, dilations=self.dilations)
            branches.fusion = group.build(big, norm, last_norm)
        return branches


class Variant(NamedTuple):
    """A named network; ``groups`` and ``base_width`` of the 3x3 convolutions are as in ResNeXt's
    names.
    """

    depth: int
    groups: int = 1
    base_width: int = 64
    attention: bool = False  # squeeze-and-excitation

    def parts(self, shape: Shape, is_little: bool) -> blocks.Parts:
        """The parts of one branch's blocks."""
        body: Callable[..., blocks.Layers] = blocks.bottleneck
        if self.groups > 1:
            alpha = shape.bl_alpha if is_little else 1
            groups, base_width = self.groups // alpha, self.base_width * alpha
            body = grouped(groups, base_width)
        parts = blocks.Parts(
            stem=partial(stem, alpha=shape.bl_alpha),
            body=body,
            shortcut=partial(shortcut, always_project=shape.bl_projection),
            expansion=4,
        )
        return with_se(parts, bias=True) if self.attention else parts


VARIANTS = {
    "blresnet50": Variant(50),
    "blresnet101": Variant(101),
    "blresnet152": Variant(152),
    "blresnext50_32x4d": Variant(50, 32, 4),
    "blresnext101_32x4d": Variant(101, 32, 4),
    "blresnext101_64x4d": Variant(101, 64, 4),
    "blseresnext50_32x4d": Variant(50, 32, 4, attention=True),
    "blseresnext101_32x4d": Variant(101, 32, 4, attention=True),
}


def big_little(name: str, classes: int = 1000, **options: Any) -> BigLittle:
    """The :class:`BigLittle` called ``name``.

    options: those of the class, of :class:`Shape` and of :class:`.additions.Additions`.
    """
    variant = VARIANTS[name]
    shape = Shape(**{key: options.pop(key) for key in Shape._fields if key in options})
    divided = variant.groups if variant.groups > 1 else 64
    if divided % shape.bl_alpha:
        raise UserError(f"--bl-alpha {shape.bl_alpha} has to divide {divided} in {name}")
    added, options = additions.split(options)
    progress = Progress()
    big, little = (
        additions.stages(variant.parts(shape, is_little), added, progress)
        for is_little in (False, True)
    )
    options.setdefault("prefix", name + "_")
    return BigLittle(DEPTHS[variant.depth], big, little, shape, classes, **options)


OPTIONS = ["last_gamma", "dilated", "final_drop", "features_only", *Shape._fields]
OPTIONS += ["anti_alias", "drop_block", "drop_block_from", "gem"]
OPTIONS += ["norm_layer", "norm_kwargs", "prefix", "params"]  # only from Python

for _name, _variant in VARIANTS.items():
    attention = ["attention", "attention_reduction"] if _variant.groups == 1 else []
    register(_name, options=OPTIONS + attention)(big_little)
