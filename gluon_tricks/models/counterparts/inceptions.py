"""The names of Inception v3's and GoogLeNet's layers in timm and torchvision."""

from .rules import CONV_NORM, pairs, rules

_STEM = pairs("0 1a_3x3, 1 2a_3x3, 2 2b_3x3, 4 3b_1x1, 5 4a_3x3")
_BLOCKS = ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")
_FIRST_BLOCK = 7
# The branches of each kind of block, in order; ``_pool`` is the one after a pooling.
_BRANCHES = {
    "A": ("1x1", "5x5", "3x3dbl", "_pool"),
    "B": ("3x3", "3x3dbl"),
    "C": ("1x1", "7x7", "7x7dbl", "_pool"),
    "D": ("3x3", "7x7x3"),
}
_KINDS = "AAABCCCCDEE"
# E, whose branches divide: the positions of its convolutions
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
_ALONE = ("A1x1", "B3x3", "C1x1")  # branches with a single convolution, which has no number


def _inception_block(number, place, layer):
    """``place``: the numbers on the path to a convolution in the block."""
    at = int(number) - _FIRST_BLOCK
    kind = _KINDS[at]
    if kind == "E":
        branch = _DIVIDED[place]
    else:
        which, convolution = map(int, place.split("."))
        branch = _BRANCHES[kind][which]
        if branch != "_pool" and kind + branch not in _ALONE:
            branch += f"_{convolution + 1}"
    return f"Mixed_{_BLOCKS[at]}.branch{branch}.{CONV_NORM[layer]}"


inception = rules(
    (r"features\.([01245])\.([01])", lambda n, k: f"Conv2d_{_STEM[n]}.{CONV_NORM[k]}"),
    (r"features\.(\d+)\.(\d[.\d]*)\.([01])", _inception_block),
    ("output", "fc"),
)


def _googlenet_block(block, branch, place, layer):
    """The first branch is one convolution, the others are sequences."""
    inner = "" if branch == "0" else f".{place}"
    return f"inception{block}.branch{int(branch) + 1}{inner}.{CONV_NORM[layer]}"


googlenet = rules(
    (r"(conv[123])\.([01])", lambda conv, k: f"{conv}.{CONV_NORM[k]}"),
    (r"inception(..)\.(\d)\.(\d)\.([01])", _googlenet_block),
    (r"output|head\.2", "fc"),  # one layer under two names
)
