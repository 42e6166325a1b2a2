"""What timm and torchvision call the parameters of our networks, family by family.

Each is a function from a name in our file (``layer1.0.bn1.gamma``) to theirs
(``layer1.0.bn1.weight``). GluonCV's networks mostly have numbers for layers, in the order in which
they compute, activations and poolings included.
"""

import re
from functools import partial
from typing import Callable, Sequence, Tuple

Rename = Callable[[str], str]

NORM = {"gamma": "weight", "beta": "bias"}


def _parts(name):
    """The layer's name and that of its parameter, which PyTorch's BatchNorm calls otherwise."""
    layer, _, parameter = name.rpartition(".")
    return layer, NORM.get(parameter, parameter)


def _by_rules(name, rules):
    """The name with the layer changed by the first rule (pattern, replacement) that matches all of
    it.

    A replacement is a template or a function of the groups. KeyError for a layer without a rule.
    """
    layer, parameter = _parts(name)
    for pattern, replacement in rules:
        found = re.fullmatch(pattern, layer)
        if found:
            made = replacement(*found.groups()) if callable(replacement) else None
            return f"{made or found.expand(replacement)}.{parameter}"
    raise KeyError(name)


def rules(*pairs: Tuple[str, object]) -> Rename:
    """The function that follows these rules."""
    return partial(_by_rules, rules=pairs)


# conv1 ... layer4, fc are torchvision's own names, of which GluonCV's v1b has them. Ours alone is
# the attention.
resnet = rules(
    (r"(.*)\.se\.squeeze", r"\1.se.fc1"), (r"(.*)\.se\.excite", r"\1.se.fc2"), (r"(.*)", r"\1")
)

_BODY = {"0": "conv1", "1": "bn1", "3": "conv2", "4": "bn2", "6": "conv3", "7": "bn3"}


def _stage(number, first=4):
    return f"layer{int(number) - first + 1}"


resnext = rules(
    ("features.0", "conv1"),
    ("features.1", "bn1"),
    (r"features\.(\d)\.(\d+)\.body\.(\d)", lambda s, b, k: f"{_stage(s)}.{b}.{_BODY[k]}"),
    (r"features\.(\d)\.(\d+)\.se\.0", lambda s, b: f"{_stage(s)}.{b}.se.fc1"),
    (r"features\.(\d)\.(\d+)\.se\.2", lambda s, b: f"{_stage(s)}.{b}.se.fc2"),
    (r"features\.(\d)\.(\d+)\.(downsample\.\d)", lambda s, b, k: f"{_stage(s)}.{b}.{k}"),
    ("output", "fc"),
)

_DENSE = {"0": "norm1", "2": "conv1", "3": "norm2", "5": "conv2"}
_TRANSITION = {"0": "norm", "2": "conv"}


def _dense_layer(stage, layer, part):
    return f"features.denseblock{int(stage) // 2 - 1}.denselayer{int(layer) + 1}.{_DENSE[part]}"


# 4, 6, 8, 10 are the dense blocks, 5, 7, 9 the transitions between them.
densenet = rules(
    (r"features\.0", "features.conv0"),
    (r"features\.1", "features.norm0"),
    (r"features\.11", "features.norm5"),
    (r"features\.(\d+)\.(\d+)\.1\.(\d)", _dense_layer),
    (
        r"features\.(\d)\.(\d)",
        lambda s, k: f"features.transition{int(s) // 2 - 1}.{_TRANSITION[k]}",
    ),
    ("output", "classifier"),
)


def vgg(depth: int, batch_norm: bool) -> Rename:
    """Of torchvision's VGG: its layers have our numbers, but the last three, which are dense."""
    first = (3 if batch_norm else 2) * (depth - 3) + 5  # 5 poolings
    return rules(
        (rf"features\.{first}", "classifier.0"),
        (rf"features\.{first + 2}", "classifier.3"),
        ("output", "classifier.6"),
        ("(.*)", r"\1"),
    )


squeezenet = rules(
    (r"(features\.\d+)\.0\.0", r"\1.squeeze"),
    (r"(features\.\d+)\.1\.0\.0", r"\1.expand1x1"),
    (r"(features\.\d+)\.1\.1\.0", r"\1.expand3x3"),
    (r"output\.0", "classifier.1"),
    (r"(features\.0)", r"\1"),
)

_STEM = {"0": "1a_3x3", "1": "2a_3x3", "2": "2b_3x3", "4": "3b_1x1", "5": "4a_3x3"}
_BLOCKS = ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")
_FIRST_BLOCK = 7
# The branches of each kind of block in their order; the last is the one after a pooling.
_BRANCHES = {
    "A": ("1x1", "5x5", "3x3dbl", "_pool"),
    "B": ("3x3", "3x3dbl"),
    "C": ("1x1", "7x7", "7x7dbl", "_pool"),
    "D": ("3x3", "7x7x3"),
}
_KINDS = "AAABCCCCDEE"
# of E, whose branches divide: the places of its convolutions
_DIVIDED = {
    "0.0": "1x1",
    "1.0.0": "3x3_1",
    "1.1.0.0": "3x3_2a",
    "1.1.1.0": "3x3_2b",
    "2.0.0": "3x3dbl_1",
    "2.0.1": "3x3dbl_2",
    "2.1.0.0": "3x3dbl_3a",
    "2.1.1.0": "3x3dbl_3b",
    "3.1": "_pool",
}
_ALONE = ("A1x1", "B3x3", "C1x1")  # branches of one convolution, which has no number


def _inception_block(number, place, layer):
    """``place``: the numbers that lead to a convolution in the block."""
    at = int(number) - _FIRST_BLOCK
    kind = _KINDS[at]
    if kind == "E":
        branch = _DIVIDED[place]
    else:
        which, convolution = map(int, place.split("."))
        branch = _BRANCHES[kind][which]
        if branch != "_pool" and kind + branch not in _ALONE:
            branch += f"_{convolution + 1}"
    return f"Mixed_{_BLOCKS[at]}.branch{branch}.{_CONV_NORM[layer]}"


_CONV_NORM = {"0": "conv", "1": "bn"}

inception = rules(
    (r"features\.([01245])\.([01])", lambda n, k: f"Conv2d_{_STEM[n]}.{_CONV_NORM[k]}"),
    (r"features\.(\d+)\.(\d[.\d]*)\.([01])", _inception_block),
    ("output", "fc"),
)


# Of our 0 conv, 1 norm, 3 conv, 4 norm, 6 conv, 7 norm: torchvision puts those with an activation
# into a sequence of their own.
_BOTTLENECK = {"0": "0.0", "1": "0.1", "3": "1.0", "4": "1.1", "6": "2", "7": "3"}
_WITHOUT_EXPANSION = {"0": "0.0", "1": "0.1", "3": "1", "4": "2"}


def _inverted(number, layer):
    names = _WITHOUT_EXPANSION if number == "3" else _BOTTLENECK
    return f"features.{int(number) - 2}.conv.{names[layer]}"


mobilenet_v2 = rules(
    (r"features\.([01])", r"features.0.\1"),
    (r"features\.(\d+)\.out\.(\d)", _inverted),
    (r"features\.20", "features.18.0"),
    (r"features\.21", "features.18.1"),
    (r"output\.0", "classifier.1"),
)

# How many blocks of MobileNetV3 large have a resolution and a width in common, in timm's count.
_GROUPS = (1, 2, 3, 4, 2, 3)
_UNIT = {
    "expand.conv": "conv_pw",
    "expand.bn": "bn1",
    "conv1.conv": "conv_dw",
    "conv1.bn": "bn2",
    "se.conv1": "se.conv_reduce",
    "se.conv2": "se.conv_expand",
    "conv2.conv": "conv_pwl",
    "conv2.bn": "bn3",
}
# the first block, which does not expand
_FIRST_UNIT = {
    "conv1.conv": "conv_dw",
    "conv1.bn": "bn1",
    "conv2.conv": "conv_pw",
    "conv2.bn": "bn2",
}


def _group(number, groups: Sequence[int]):
    """(group, place in it) of a block."""
    for group, count in enumerate(groups):
        if number < count:
            return group, number
        number -= count
    raise KeyError(number)


def _unit(number, layer):
    group, place = _group(int(number) - 3, _GROUPS)
    names = _UNIT if group else _FIRST_UNIT
    return f"blocks.{group}.{place}.{names[layer]}"


mobilenet_v3_large = rules(
    (r"features\.0", "conv_stem"),
    (r"features\.1", "bn1"),
    (r"features\.(\d+)\.((?:expand|conv1|conv2|se)\.\w+)", _unit),
    (r"features\.18", "blocks.6.0.conv"),
    (r"features\.19", "blocks.6.0.bn1"),
    (r"features\.22", "conv_head"),
    (r"output\.0", "classifier"),
)
