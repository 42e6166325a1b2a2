"""FCN with stride 8, the paper's network for segmentation (section 6.2), as GluonCV builds it.

The backbone is a ResNet whose last two stages keep the resolution of the second (``dilated``). A
head turns the last stage into logits, an auxiliary one the third, of which training alone makes
use; both are resized to the image's size. Parameters carry the names of GluonCV's FCN: a file
written here loads there, and the reverse.
"""

import warnings
from typing import Any, Callable, Optional

from mxnet import autograd
from mxnet.gluon import nn
from mxnet.gluon.block import HybridBlock

from . import blocks
from .registry import register
from .resnet import DEPTHS, VARIANTS, ResNet, resnet

DROPOUT = 0.1

# Only training computes with the auxiliary head, and MXNet says of all else that it is not used.
warnings.filterwarnings("ignore", message=".*_auxlayer_.* is not used by any computation")


class Head(HybridBlock):
    """Features (N, in_channels, h, w) to logits (N, classes, h, w): a 3x3 convolution to a quarter
    of the channels, and one of 1x1.
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
    those of the auxiliary head.

    Parameters
    ----------
    backbone : ResNet
        One that yields features only. Its layers become layers of this network.
    channels : int
        Of its last stage; the third has half as many.
    classes : int
        K, the outputs for each pixel.
    head_rate : float
        Factor on the learning rate of both heads (``lr_mult``).
    norm_layer, norm_kwargs : callable, dict
        What replaces BatchNorm in the heads, and its arguments.
    """

    def __init__(
        self,
        backbone: ResNet,
        channels: int,
        classes: int,
        head_rate: float = 10.0,
        norm_layer: Callable = nn.BatchNorm,
        norm_kwargs: Optional[dict] = None,
        prefix: Optional[str] = None,
    ):
        super().__init__(prefix=prefix)
        self._stage_outputs = backbone.stage_outputs
        for name, layer in backbone._children.items():
            self.register_child(layer, name)
        norm = blocks.norm(norm_layer, **(norm_kwargs or {}))
        with self.name_scope():
            self.head = Head(channels, classes, norm, prefix="head_")
            self.auxlayer = Head(channels // 2, classes, norm, prefix="auxlayer_")
        for head in (self.head, self.auxlayer):
            head.collect_params().setattr("lr_mult", head_rate)

    @property
    def backbone(self) -> ResNet:
        """The features, which share their parameters with this network: what a classifier's file is
        loaded into.
        """
        return self._stage_outputs.__self__

    def hybrid_forward(self, F, x):
        stages = self._stage_outputs(x)
        logits = self._resized(F, self.head(stages["layer4"]), x)
        if not autograd.is_training():
            return logits
        return [logits, self._resized(F, self.auxlayer(stages["layer3"]), x)]

    @staticmethod
    def _resized(F, logits, images):
        """Bilinear with aligned corners, to the size of the images, whatever it is."""
        return F.contrib.BilinearResize2D(logits, like=images, mode="like")


def fcn(name: str, classes: int = 1000, head_rate: float = 10.0, **options: Any) -> FCN:
    """The :class:`FCN` called ``name``, for instance ``fcn_resnet50_v1d``.

    options: ``norm_layer`` and ``norm_kwargs``, and those of the backbone.
    """
    base = name[len("fcn_") :]
    depth = base[len("resnet") :].split("_")[0]
    options.setdefault("prefix", name + "_")
    backbone = resnet(base, dilated=True, features_only=True, **options)
    own = {key: options[key] for key in ("norm_layer", "norm_kwargs", "prefix") if key in options}
    return FCN(backbone, 2048 if DEPTHS[int(depth)][1] else 512, classes, head_rate, **own)


def _options(variant):
    found = ["last_gamma", "head_rate", "attention", "anti_alias", "drop_block", "drop_block_from"]
    found += ["drop_path", "norm_layer", "norm_kwargs", "prefix"]
    return found + ([] if VARIANTS[variant].pooled_shortcut else ["anti_alias_shortcut"])


for _variant in VARIANTS:
    if VARIANTS[_variant].stride_in_3x3:  # v1 cannot be dilated
        register(
            *(f"fcn_resnet{depth}_{_variant}" for depth in DEPTHS),
            options=_options(_variant),
            input_size=480,
            for_task="segmentation",
        )(fcn)
