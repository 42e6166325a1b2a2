"""The counterpart of a network, or the reason why it has none."""

import re
from typing import Optional, Sequence, Tuple

from ...errors import UserError
from ...text import printable
from .table import LIBRARIES, TABLE, Counterpart, Identity

# (pattern of our network in words or of their architecture; why it has no counterpart); the first
# match counts
DIFFERENT: Sequence[Tuple[str, str]] = (
    (
        r"(se_)?resnet(50|101|152)_v1\b.*",
        "its bottlenecks have biases, and the stride in the first 1x1 convolution",
    ),
    (
        r"se_resnet(18|34)_v1|resnet(18|34)\w* with attention se|seresnet(18|34)",
        "timm's attention has at least 8 channels",
    ),
    (r"legacy_seresne\w+", "its first pooling has no border"),
    (r"senet154", "its first pooling has a border; GluonCV's is timm's legacy_senet154"),
    (r"resnet(18|34)_v1c.*", "timm has this network only with 50 and more layers"),
    (r"resnet\w+_v1[cd] with attention se", "timm has it only as seresnet152d"),
    (
        r"resnet\w+ with anti_alias.*|(se)?resnetaa\w+|resnetblur\w+|densenetblur\w+",
        "timm's also blurs or averages in the stem, where ours has a strided max pooling",
    ),
    (
        r"resnet\w+ with attention sk.*|skresne\w+",
        "one of timm's two branches has a dilated kernel; ours are halves of one 3x3 convolution",
    ),
    (r"resnet\w+ with (.* )?gem .*", "neither library has this pooling"),
    (r".* with (.* )?bn_eps .*", "theirs has the network's own epsilon"),
    (r".* with (.* )?dilated .*", "its last stages are dilated: convert the plain network"),
    (r"resnet\w+ with use_gn.*|resnet101_v1b_gn", "timm has it only as resnet50_gn"),
    (r"(se_)?resnet\d+_v2|resnetv2_\w+", "GluonCV's begins with a BatchNorm of the image"),
    (r"resnet\d+_v1[bd]_0\.\d+", "its widths are what GluonCV's pruning left"),
    (r"mobilenet(0|1)\.\d+|mobilenetv1_\w+", "timm's clips its activations at 6"),
    (
        r"mobilenetv2_0\.\d+|mobilenetv2_0\d+",
        "timm and torchvision round its widths to multiples of 8",
    ),
    (
        r"mobilenetv3_small\w*|mobilenet_v3_small",
        "GluonCV's second-to-last layer has 1,280 channels, theirs has 1,024",
    ),
    (
        r"mobilenet_v3_large",
        "torchvision's BatchNorm has an epsilon of 0.001, GluonCV's of 0.00001",
    ),
    (r"darknet53", "timm's leaky ReLU has a slope of 0.01, GluonCV's of 0.1"),
    (
        r"xception\w*",
        "all of timm's blocks begin with a ReLU, and its BatchNorm has an epsilon of 0.001",
    ),
    (r"dla34", "GluonCV's last layer has 1,008 inputs, timm's has 512"),
)


def find(identity: Identity, library: Optional[str] = None) -> Counterpart:
    """The counterpart of a network in a library (default: timm, or else torchvision).

    Raises UserError with the reason if there is none.
    """
    there = [name for name in LIBRARIES if (identity, name) in TABLE]
    if not there:
        reason = _why_not(str(identity)) or "docs/convert.md lists the networks that have one"
        raise UserError(f"{identity} has no counterpart in timm or torchvision: {reason}")
    if library and library not in there:
        raise UserError(
            f"{library} has no {identity}, but {there[0]} does: use --to {there[0]} and a "
            ".safetensors file"
        )
    return TABLE[identity, library or there[0]]


def of(identity: Identity) -> Sequence[Counterpart]:
    """All counterparts of a network; UserError if there are none."""
    find(identity)
    return [TABLE[identity, name] for name in LIBRARIES if (identity, name) in TABLE]


def identities_of(architecture: str) -> Sequence[Identity]:
    """All our networks that compute what their ``architecture`` does."""
    name = _without_tag(architecture)
    found = (identity for (identity, _), theirs in TABLE.items() if theirs.architecture == name)
    return list(dict.fromkeys(found))


def identity_of(architecture: str) -> Identity:
    """Our network that computes what their ``architecture`` does; UserError if there is none."""
    found = identities_of(architecture)
    if found:
        return found[0]
    reason = _why_not(_without_tag(architecture)) or "docs/convert.md lists those that have one"
    raise UserError(f"{printable(architecture)} has no counterpart here: {reason}")


def _without_tag(architecture):
    return architecture.split(".", 1)[0]  # of the weights


def _why_not(name):
    return next((why for pattern, why in DIFFERENT if re.fullmatch(pattern, name)), None)
