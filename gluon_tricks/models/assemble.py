"""Assemble-ResNet (Lee et al., arXiv 2001.06268): Big-Little Net with a 1x1 convolution in every
branch's first shortcut, selective kernels and anti-aliased strides. The paper trains it with
DropBlock (``drop_block``), mixup, AutoAugment and distillation.
"""

from typing import Any

from .big_little import BigLittle, big_little
from .registry import register

# the Big-Little network that it is based on, alpha and beta
NETWORKS = {"assemble_resnet50": ("blresnet50", 2, 4), "assemble_resnet152": ("blresnet152", 1, 2)}
OPTIONS = ["last_gamma", "dilated", "final_drop", "features_only"]
OPTIONS += ["drop_block", "drop_block_from", "gem"]
OPTIONS += ["norm_layer", "norm_kwargs", "prefix", "params"]  # only from Python


@register(*NETWORKS, options=OPTIONS)
def assemble(name: str, classes: int = 1000, **options: Any) -> BigLittle:
    """The network called ``name``."""
    base, alpha, beta = NETWORKS[name]
    parts = dict(bl_alpha=alpha, bl_beta=beta, bl_projection=True, attention="sk", anti_alias=3)
    return big_little(base, classes, **{"prefix": name + "_", **parts, **options})
