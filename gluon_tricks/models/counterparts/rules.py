"""Renames parameters by rules: from ours (``layer1.0.bn1.gamma``) to timm's or torchvision's
(``layer1.0.bn1.weight``).

In most of GluonCV's networks, layers are numbers in order of computation, which include activations
and poolings.
"""

import re
from functools import partial
from typing import Callable, Tuple, Union

Rename = Callable[[str], str]
# (pattern of a layer, its name there: a template, or a function of the pattern's groups)
Rule = Tuple[str, Union[str, Callable[..., str]]]

NORM = {"gamma": "weight", "beta": "bias"}  # of a BatchNorm, here and in PyTorch


def rules(*pairs: Rule) -> Rename:
    """The function that renames a parameter by the first rule whose pattern matches the layer's
    whole name.

    It raises KeyError for a layer without a rule.
    """
    return partial(_renamed, pairs=pairs)


def _renamed(name, pairs):
    layer, _, parameter = name.rpartition(".")
    for pattern, made in pairs:
        found = re.fullmatch(pattern, layer)
        if found:
            there = made(*found.groups()) if callable(made) else found.expand(made)
            return f"{there}.{NORM.get(parameter, parameter)}"
    raise KeyError(name)


def pairs(text: str) -> dict:
    """``"a b, c d"`` as {"a": "b", "c": "d"}."""
    return dict(line.split() for line in text.split(","))


CONV_NORM = pairs("0 conv, 1 bn")  # a sequence of two here, named layers there
