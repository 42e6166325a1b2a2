"""Translates arrays from our names to those of timm and torchvision, and back."""

import re
from typing import Any, Dict, Mapping

import numpy as np

from ...errors import UserError
from ...text import printable
from . import lookup
from .table import Counterpart, Identity

NAMED = 3  # arrays in a message


def to_theirs(counterpart: Counterpart, ours: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
    """Arrays by our names -> by theirs, in our order, with the biases that ours lack."""
    found: Dict[str, np.ndarray] = {}
    for name, array in ours.items():
        theirs = counterpart.rename(name)
        layer, _, parameter = theirs.rpartition(".")
        if parameter == "weight":
            array = array.reshape(_shape_there(counterpart, layer, array.shape))
        found[theirs] = array
        if re.fullmatch(counterpart.biases, layer):
            found[layer + ".bias"] = np.zeros(len(array), array.dtype)
    return found


def _shape_there(counterpart, layer, shape):
    for pattern, rest in counterpart.shapes.items():
        if re.fullmatch(pattern, layer):
            return (shape[0], *rest)
    return shape


def to_ours(
    identity: Identity, parameters: Mapping[str, Any], theirs: Mapping[str, np.ndarray], source: str
) -> Dict[str, np.ndarray]:
    """Arrays by the names of timm or torchvision -> by ours.

    Parameters
    ----------
    identity : Identity
        The network.
    parameters : dict
        Its parameters, by our names.
    theirs : dict
        The arrays of a file.
    source : str
        The name of the file in errors.

    Raises UserError naming arrays that are missing, unknown or not floating-point, or a bias that
    ours lacks and that is not zero. Shapes are not compared.
    """
    counterpart = _of_names(lookup.of(identity), parameters, theirs)
    renamed = {name: counterpart.rename(name) for name in parameters}
    wanted = set(renamed.values())
    unknown = [
        name
        for name in theirs
        if name not in wanted and not re.fullmatch(counterpart.passed_over, name)
    ]
    biases = [name for name in unknown if _is_bias(counterpart, name)]
    missing = [name for name in dict.fromkeys(renamed.values()) if name not in theirs]
    surplus = [name for name in unknown if name not in biases]
    if missing or surplus:
        raise UserError(_misfit(source, counterpart, missing, surplus))
    for name in renamed.values():
        if theirs[name].dtype.kind != "f":
            raise UserError(
                f"{printable(source)}: {name} is {theirs[name].dtype}; floating-point numbers are "
                "needed; quantised weights are not supported"
            )
    for name in biases:
        if np.any(theirs[name]):
            raise UserError(
                f"{printable(source)}: {name} is not zero, but {identity} has no such bias"
            )
    return {name: _like(parameters[name].shape, theirs[other]) for name, other in renamed.items()}


def _of_names(candidates, parameters, theirs):
    """The counterpart that has the most names in common with the file."""
    return max(candidates, key=lambda one: sum(one.rename(name) in theirs for name in parameters))


def _is_bias(counterpart, name):
    layer, _, parameter = name.rpartition(".")
    return parameter == "bias" and re.fullmatch(counterpart.biases, layer) is not None


def _like(shape, array):
    """The array of a dense layer in the shape of a convolution, or the reverse, if ours is one."""
    if {array.ndim, len(shape)} != {2, 4}:
        return array
    if array.ndim == 2:
        return array.reshape(*array.shape, 1, 1)
    return array.reshape(len(array), -1)


def _misfit(source, counterpart, missing, surplus):
    reasons = []
    if missing:
        reasons.append(f"it has no {_brief(missing)}")
    if surplus:
        reasons.append(f"{counterpart.architecture} has no {_brief(surplus)}")
    there = f"{counterpart.library}'s {counterpart.architecture}"
    return f"{printable(source)} is not a file of {there}: {'; '.join(reasons)}"


def _brief(names):
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return printable(", ".join(names[:NAMED])) + more
