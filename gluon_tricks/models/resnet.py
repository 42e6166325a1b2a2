"""ResNet and the paper's three tweaks to it (section 4): one network, three switches, five depths.

======= ============================== =================== ==============================
variant stride of a down-sampling      stem                shortcut of a down-sampling block
        bottleneck
======= ============================== =================== ==============================
v1      in its first 1x1 convolution   one 7x7 convolution 1x1 convolution with stride 2
v1b (B) **in its 3x3 convolution**     one 7x7 convolution 1x1 convolution with stride 2
v1c (C) in its 3x3 convolution         **three of 3x3**    1x1 convolution with stride 2
v1d (D) in its 3x3 convolution         three of 3x3        **2x2 average pooling**, then 1x1
======= ============================== =================== ==============================

A 1x1 convolution with stride 2 ignores three quarters of its input; B and D remove the two of them.
The depths 18 and 34 have no bottlenecks, so B changes nothing there.

Parameters have GluonCV's names, so files can be exchanged in both directions. This brings two
traits of GluonCV's v1 that are not tweaks: its layers are in ``features`` and ``output``, where the
others have ``conv1 ... layer4, fc``, and the 1x1 convolutions of its bottlenecks have biases.
"""

from functools import partial
from typing import Any, Callable, Dict, NamedTuple, Optional, Sequence, Union

from mxnet.gluon import ParameterDict, nn
from mxnet.gluon.block import HybridBlock

from ..errors import UserError
from . import additions, blocks, published
from .blocks import Parts
from .drop_path import spread
from .group_norm import GroupNorm
from .registry import register


class Variant(NamedTuple):
    """The three switches."""

    stride_in_3x3: bool = False
    deep_stem: bool = False
    pooled_shortcut: bool = False
    stem_width: int = 32  # channels of the deep stem's first convolutions


VARIANTS = {
    "v1": Variant(),
    "v1b": Variant(stride_in_3x3=True),
    "v1c": Variant(stride_in_3x3=True, deep_stem=True),
    "v1d": Variant(stride_in_3x3=True, deep_stem=True, pooled_shortcut=True),
    # C with a stem of double width: the backbone of GluonCV's published FCNs
    "v1s": Variant(stride_in_3x3=True, deep_stem=True, stem_width=64),
}
BACKBONES_ONLY = ("v1s",)  # the classifiers are in GluonCV's zoo

# depth: (residual blocks in each of the four stages, whether they are bottlenecks)
DEPTHS = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
    152: ((3, 8, 36, 3), True),
}

STAGES = ["layer1", "layer2", "layer3", "layer4"]
# All layers up to the head in order; GluonCV's v1 has their numbers instead.
TRUNK = ["conv1", "bn1", "relu", "maxpool", *STAGES, "avgpool", "flat", "drop"]


def parts_of(variant: Variant, bottleneck: bool) -> Parts:
    """The :class:`Parts` that the three switches choose."""
    v1 = not variant.stride_in_3x3
    return Parts(
        stem=partial(blocks.deep_stem, width=variant.stem_width)
        if variant.deep_stem
        else blocks.plain_stem,
        body=partial(blocks.bottleneck, stride_in_3x3=variant.stride_in_3x3, bias=v1)
        if bottleneck
        else blocks.basic,
        shortcut=blocks.pooled_shortcut if variant.pooled_shortcut else blocks.plain_shortcut,
        expansion=4 if bottleneck else 1,
        v1_names=v1,
        stem_channels=2 * variant.stem_width,
    )


class ResNet(HybridBlock):
    """Images, float (N, 3, H, W), to logits (N, classes).

    Parameters
    ----------
    depths : tuple of int
        Residual blocks in each of the four stages.
    parts : Parts
        The parts of the network, or a list of four if the stages differ; stem, names and pooling
        are then the first one's.
    classes : int
        Outputs of the last layer.
    last_gamma : bool
        gamma of the last BatchNorm of every residual block starts at 0, so that a block starts as
        its shortcut (section 3.1). This includes depths 18 and 34, where GluonCV's v1b silently
        ignores it.
    dilated : bool
        The last two stages keep the resolution of the second (1/8 of the image) and dilate their
        3x3 convolutions instead, for semantic segmentation (section 6.2).
    final_drop : float
        Dropout before the last layer.
    norm_layer, norm_kwargs : callable, dict
        The replacement of BatchNorm, for instance SyncBatchNorm, and its arguments.
    features_only : bool
        No head; the output is the list of the four stages' outputs, at 1/4, 1/8, 1/16 and 1/32 of
        the image (1/4, 1/8, 1/8, 1/8 if dilated), for detection and segmentation.
    prefix : str
        The prefix of the parameters' long names (``collect_params``). Registered networks have a
        fixed one, so that parameters have the same names in all workers of a run and in the
        exported graph.
    """

    def __init__(
        self,
        depths: Sequence[int],
        parts: Union[Parts, Sequence[Parts]],
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
        parts_of_stage = [parts] * 4 if isinstance(parts, Parts) else parts
        first = parts_of_stage[0]
        self._v1_names = first.v1_names
        norm = blocks.norm(norm_layer, **(norm_kwargs or {}))
        last_norm = partial(norm, gamma_initializer="zeros") if last_gamma else norm
        strides, dilations = ((1, 2, 1, 1), (1, 1, 2, 4)) if dilated else ((1, 2, 2, 2), (1,) * 4)
        with self.name_scope():
            trunk = first.stem(norm)
            channels = first.stem_channels
            for i, name in enumerate(STAGES):
                shape = _StageShape(i + 1, depths[i], channels, 64 * 2**i, strides[i], dilations[i])
                trunk.append((name, _stage(shape, parts_of_stage[i], norm, last_norm)))
                channels = shape.width * first.expansion
            if not features_only:
                trunk += [("avgpool", first.pool()), ("flat", nn.Flatten())]
                trunk += [("drop", nn.Dropout(final_drop))] if final_drop else []
            self._names = [name for name, _ in trunk]
            self.channels = channels  # of the last stage
            if self._v1_names:
                self.features = blocks.sequential(blocks.numbered(trunk, TRUNK), prefix="")
            else:
                blocks.add_layers(self, trunk)
            if not features_only:
                setattr(self, self.head_name, nn.Dense(classes, in_units=channels))

    @property
    def head_name(self) -> str:
        """The name of the last layer, the one that depends on the number of classes."""
        return "output" if self._v1_names else "fc"

    def stage_outputs(self, x: Any) -> Dict[str, Any]:
        """The outputs of the four stages for images, or for their symbol, by the stages' names."""
        return self._run(x)[1]

    def hybrid_forward(self, F, x):
        x, stages = self._run(x)
        return list(stages.values()) if self.features_only else getattr(self, self.head_name)(x)

    def _run(self, x):
        """The output of the last layer before the head, and those of the stages by name."""
        stages = {}
        layers = self.features if self._v1_names else [getattr(self, name) for name in self._names]
        for name, layer in zip(self._names, layers):
            x = layer(x)
            if name in STAGES:
                stages[name] = x
        return x, stages


class _StageShape(NamedTuple):
    """One of the four stages: ``blocks`` residual blocks of inner width ``width``."""

    number: int
    blocks: int
    in_channels: int
    width: int
    stride: int
    dilation: int


def _stage(shape, parts, norm, last_norm):
    """One stage: the first block changes resolution and channels, the others keep them.

    Dilation doubles from stage to stage; the first 3x3 convolution of a stage still has the
    previous stage's.
    """
    channels = shape.width * parts.expansion
    kind = "stage" if parts.v1_names else "layers"
    stage = nn.HybridSequential(prefix=f"{kind}{shape.number}_")
    # in v1 the shortcut is created after the body, in the stage's scope, which determines its long
    # names
    shortcut = None if parts.v1_names else _shortcut(shape, parts, norm)
    with stage.name_scope():
        dilations = (max(1, shape.dilation // 2), shape.dilation)
        body = parts.body(shape.in_channels, shape.width, shape.stride, dilations, norm, last_norm)
        if parts.v1_names:
            shortcut = _shortcut(shape, parts, norm)
        stage.add(parts.residual(body, shortcut, parts.v1_names))
        for _ in range(1, shape.blocks):
            body = parts.body(channels, shape.width, 1, (shape.dilation,) * 2, norm, last_norm)
            stage.add(parts.residual(body, None, parts.v1_names))
    return stage


def _shortcut(shape, parts, norm):
    """The shortcut of a stage's first block; None if it changes no channels."""
    channels = shape.width * parts.expansion
    if channels == shape.in_channels:
        return None
    scope = nn.HybridSequential(prefix="" if parts.v1_names else f"down{shape.number}_")
    with scope.name_scope():
        for name, layer in parts.shortcut(shape.in_channels, channels, shape.stride, norm):
            scope.register_child(layer, name)
    return scope


def resnet(name: str, classes: int = 1000, use_gn: bool = False, **options: Any) -> ResNet:
    """The :class:`ResNet` called ``name``, for instance ``resnet50_v1d``.

    use_gn: use GroupNorm instead of BatchNorm. options: those of the class and of
    :class:`.additions.Additions`.
    """
    depth, variant = name[len("resnet") :].split("_")
    depths, bottleneck = DEPTHS[int(depth)]
    added, options = additions.split(options)
    if added.attention == "sk" and (use_gn or not bottleneck):
        raise UserError(
            f"--attention sk does not apply to {name + '_gn' * use_gn}: it replaces a bottleneck's "
            "3x3 convolution, and has BatchNorm"
        )
    if use_gn:
        options["norm_layer"] = GroupNorm
    options.setdefault("prefix", name + "_")
    parts = additions.stages(parts_of(VARIANTS[variant], bottleneck), added)
    net = ResNet(depths, parts, classes, **options)
    spread(net, added.drop_path)
    return net


def _published_file(name, use_gn=False, **_):
    return published.file_called(name + "_gn" * use_gn)


def _options(name):
    """The options of the network called ``name``."""
    depth, variant = name[len("resnet") :].split("_")
    found = ["last_gamma", "use_gn", "final_drop", "features_only"]
    found += ["norm_layer", "norm_kwargs", "prefix", "params"]  # only from Python
    if VARIANTS[variant].stride_in_3x3:
        found += ["dilated", "attention", "attention_reduction", "anti_alias"]
        found += ["drop_block", "drop_block_from", "drop_path", "gem"]
        found += [] if VARIANTS[variant].pooled_shortcut else ["anti_alias_shortcut"]
    return found


NAMES = [
    f"resnet{depth}_{variant}"
    for variant in VARIANTS
    if variant not in BACKBONES_ONLY
    for depth in DEPTHS
]

for _name in NAMES:
    register(
        _name,
        options=_options(_name),
        suffixes={"_gn": {"use_gn": True}},
        published_file=_published_file,
        load_published=published.load_file,
    )(resnet)
