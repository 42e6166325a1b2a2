"""The names of MobileNets' and ShuffleNet v2's layers in timm and torchvision."""

from .rules import pairs, rules

# torchvision puts a convolution, its BatchNorm and its activation into a separate sequence.
_BOTTLENECK = pairs("0 0.0, 1 0.1, 3 1.0, 4 1.1, 6 2, 7 3")
_WITHOUT_EXPANSION = pairs("0 0.0, 1 0.1, 3 1, 4 2")  # the first block


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

# The numbers of consecutive blocks with the same resolution and width, by timm's count.
_GROUPS_V2 = (1, 2, 3, 4, 3, 3, 1)
_GROUPS_V3 = (1, 2, 3, 4, 2, 3)
_FIRST_BLOCK = 3  # by our numbers; convolution, BatchNorm and activation come before it
_UNIT_V2 = pairs("0 conv_pw, 1 bn1, 3 conv_dw, 4 bn2, 6 conv_pwl, 7 bn3")
_FIRST_UNIT_V2 = pairs("0 conv_dw, 1 bn1, 3 conv_pw, 4 bn2")
_UNIT_V3 = pairs(
    "expand.conv conv_pw, expand.bn bn1, conv1.conv conv_dw, conv1.bn bn2, "
    "se.conv1 se.conv_reduce, se.conv2 se.conv_expand, conv2.conv conv_pwl, conv2.bn bn3"
)
_FIRST_UNIT_V3 = pairs("conv1.conv conv_dw, conv1.bn bn1, conv2.conv conv_pw, conv2.bn bn2")


def _unit(groups, first_unit, unit):
    """The rule's function for timm's blocks, of which the first does not expand."""
    places = [(group, place) for group, count in enumerate(groups) for place in range(count)]

    def renamed(number, layer):
        group, place = places[int(number) - _FIRST_BLOCK]
        return f"blocks.{group}.{place}.{(unit if group else first_unit)[layer]}"

    return renamed


mobilenet_v2_timm = rules(
    (r"features\.0", "conv_stem"),
    (r"features\.1", "bn1"),
    (r"features\.(\d+)\.out\.(\d)", _unit(_GROUPS_V2, _FIRST_UNIT_V2, _UNIT_V2)),
    (r"features\.20", "conv_head"),
    (r"features\.21", "bn2"),
    (r"output\.0", "classifier"),
)

mobilenet_v3_large = rules(
    (r"features\.0", "conv_stem"),
    (r"features\.1", "bn1"),
    (r"features\.(\d+)\.(\w+\.\w+)", _unit(_GROUPS_V3, _FIRST_UNIT_V3, _UNIT_V3)),
    (r"features\.18", "blocks.6.0.conv"),
    (r"features\.19", "blocks.6.0.bn1"),
    (r"features\.22", "conv_head"),
    (r"output\.0", "classifier"),
)

# The index, in a branch's sequence, at which each of our units of convolution and BatchNorm begins.
_BEGINS = {"1": (0, 2), "2": (0, 3, 5)}


def _branch(stage, block, branch, unit, layer):
    place = _BEGINS[branch][int(unit)] + int(layer)
    return f"stage{stage}.{block}.branch{branch}.{place}"


shufflenet_v2 = rules(
    (r"features\.0\.([01])", r"conv1.\1"),
    (r"features\.(\d)\.(\d)\.branch(\d)_conv\.(\d)\.([01])", _branch),
    (r"features\.5\.([01])", r"conv5.\1"),
    ("output", "fc"),
)
