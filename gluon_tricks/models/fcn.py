"""FCN with stride 8, the paper's network for segmentation (section 6.2), as GluonCV builds it.

The backbone is any of our networks that can be ``dilated``, so that its last two stages keep the
resolution of the second. A head turns the last stage into logits and an auxiliary head, used only
in training, the third; both outputs are resized to the image's size. Parameters have the names of
GluonCV's FCN, so files can be exchanged in both directions.
"""

import warnings
from functools import partial
from typing import Any, Callable, Optional

from mxnet import autograd
from mxnet.gluon import nn
from mxnet.gluon.block import HybridBlock

# The families that provide backbones.
from . import assemble as assemble
from . import big_little as big_little
from . import blocks, published, registry
from .group_norm import GroupNorm
from .resnet import resnet

DROPOUT = 0.1
# Options of a classifier that a backbone does not have.
OF_CLASSIFIERS = {"dilated", "features_only", "final_drop", "gem", "params"}
# The backbones of GluonCV's published FCNs; the classifiers are in its zoo.
WITH_WIDE_STEM = {"resnet50_v1s": "fcn_resnet50_ade", "resnet101_v1s": "fcn_resnet101_ade"}

# Only training uses the auxiliary head; MXNet warns about it in all other graphs.
warnings.filterwarnings("ignore", message=".*_auxlayer_.* is not used by any computation")


class Head(HybridBlock):
    """Features (N, in_channels, h, w) to logits (N, classes, h, w): a 3x3 convolution to a quarter
    of the channels, and a 1x1 convolution.
    """

    def __init__(self, in_channels: int, classes: int, norm: Callable, prefix: str):
        super().__init__(prefix=prefix)
        width = in_channels // 4
        with self.name_scope():
            self.block = nn.HybridSequential(prefix="")
            self.block.add(blocks.conv(in_channels, width, 3), norm(width), blocks.relu())
            self.block.add(nn.Dropout(DROPOUT), blocks.conv(width, classes, 1, bias=True))

    def hybrid_forward(self, F, x):
        return self.block(x)


class FCN(HybridBlock):
    """Images, float (N, 3, H, W), to logits (N, classes, H, W); in training to a list of these and
    the auxiliary head's.

    Parameters
    ----------
    backbone : HybridBlock
        A network with ``features_only``, with ``stage_outputs`` and ``channels`` as in
        :class:`.resnet.ResNet`. Its layers become layers of this network.
    classes : int
        K, the number of outputs per pixel.
    head_rate : float
        Multiplier of both heads' learning rate (``lr_mult``).
    norm_layer, norm_kwargs : callable, dict
        The replacement of BatchNorm in the heads, and its arguments.
    """

    head_layers = ("head.block.4", "auxlayer.block.4")  # those that depend on the number of classes
    backbone: HybridBlock

    def __init__(
        self,
        backbone: HybridBlock,
        classes: int,
        head_rate: float = 10.0,
        norm_layer: Callable = nn.BatchNorm,
        norm_kwargs: Optional[dict] = None,
        prefix: Optional[str] = None,
    ):
        super().__init__(prefix=prefix)
        # The features, which share their parameters with this network, and into which a
        # classifier's file is loaded. They are not a child, since its name would be part of the
        # parameters' names.
        object.__setattr__(self, "backbone", backbone)
        for name, layer in backbone._children.items():
            self.register_child(layer, name)
        norm = blocks.norm(norm_layer, **(norm_kwargs or {}))
        with self.name_scope():
            self.head = Head(backbone.channels, classes, norm, prefix="head_")
            self.auxlayer = Head(backbone.channels // 2, classes, norm, prefix="auxlayer_")
        for head in (self.head, self.auxlayer):
            head.collect_params().setattr("lr_mult", head_rate)

    def hybrid_forward(self, F, x):
        stages = self.backbone.stage_outputs(x)
        logits = resized(F, self.head(stages["layer4"]), x)
        if not autograd.is_training():
            return logits
        return [logits, resized(F, self.auxlayer(stages["layer3"]), x)]


def resized(F, logits, images):
    """The logits resized bilinearly, with aligned corners, to the size of the images."""
    return F.contrib.BilinearResize2D(logits, like=images, mode="like")


def fcn(
    build: Callable[..., HybridBlock],
    name: str,
    classes: int = 1000,
    head_rate: float = 10.0,
    use_gn: bool = False,
    **options: Any,
) -> FCN:
    """The :class:`FCN` called ``name``, for instance ``fcn_resnet50_v1d``.

    build: makes the backbone. use_gn: use GroupNorm instead of BatchNorm. options: those of the
    backbone.
    """
    options.setdefault("prefix", name + "_")
    if use_gn:
        options["norm_layer"] = GroupNorm
    of_classifier = name[len("fcn_") :]
    backbone = build(of_classifier, dilated=True, features_only=True, **options)
    backbone.made_as = of_classifier, {"use_gn": use_gn, **options}
    own = {key: options[key] for key in ("norm_layer", "norm_kwargs", "prefix") if key in options}
    return FCN(backbone, classes, head_rate, **own)


def register(backbone: str, build: Callable[..., HybridBlock], options: Any, **about: Any) -> None:
    """Register the FCN with the ``backbone`` that ``build`` makes."""
    own = [option for option in options if option not in OF_CLASSIFIERS]
    about = dict(about, input_size=480, for_task="segmentation", options=[*own, "head_rate"])
    if "use_gn" in own:
        about["suffixes"] = {"_gn": {"use_gn": True}}  # as for classifiers
    registry.register("fcn_" + backbone, **about)(partial(fcn, build))


def _published_file(file, name, **_):
    return published.file_called(file)


def _explain(name):
    """Why there is no FCN of this name, if the name is GluonCV's or has a classifier's name in
    it.
    """
    for ours, theirs in WITH_WIDE_STEM.items():
        if name == theirs:
            return f"GluonCV's {theirs} is called fcn_{ours} here"
    backbone = name[len("fcn_") :]
    if name.startswith("fcn_") and backbone in registry.names():
        return (
            f"{name}: the backbone of an FCN has to be a network of this package that can be "
            f"dilated, but {backbone} is not; \"gluon-tricks models 'fcn_*'\" lists them"
        )
    return None


for _name in registry.names(sources=False):
    _network = registry.get(_name)
    if "dilated" in (_network.options or ()):
        register(_name, _network.build, _network.options)
for _name, _file in WITH_WIDE_STEM.items():
    _options = registry.get(_name.replace("v1s", "v1c")).options
    _published = dict(
        published_file=partial(_published_file, _file), load_published=published.load_file
    )
    register(_name, resnet, _options, **_published)
registry.add_source(registry.Source(dict, _explain))
