"""Loads parameters from a file into a network: ours, GluonCV's, an exported graph's, timm's or
torchvision's (:mod:`.foreign`); all of them, or an error.

A file holds named arrays. ``save_parameters`` names a parameter by its path in the network
(``layer1.0.conv1.weight``), ``export`` by its own name (``arg:resnet50_v1d_layers1_conv0_weight``).
"""

import functools
import os
from typing import Any, Dict, List, Optional

import mxnet as mx
import numpy as np
from mxnet.gluon.block import HybridBlock

from ..config import Config
from ..errors import UserError
from ..text import printable
from . import foreign, ndarray_file, registry


class ParameterError(UserError):
    """A parameter file that is damaged, or does not belong to the network."""


def load_parameters(
    net: HybridBlock, path: str, new_head: bool = False, ctx: Optional[Any] = None
) -> List[str]:
    """Set the parameters of ``net`` from a file; return the names of those that were not set.

    A network with ``features_only`` takes the file of the whole network. Arrays of another dtype
    are cast.

    Parameters
    ----------
    net : HybridBlock
        Initialised (its parameters stay on their devices), or not (they are created on ``ctx``, by
        default the CPU).
    path : str
        The parameter file: MXNet's, a safetensors file with timm's or torchvision's names, or a
        folder in the layout of timm's hub.
    new_head : bool
        If the file's last layer has another number of classes, keep the network's last layer, and
        return the names of its parameters; without ``new_head`` such a file is an error. A last
        layer of the right size is always loaded.
    ctx : Context
        The device for the parameters of a network that is not initialised.

    Raises
    ------
    ParameterError
        Naming the file, the parameter and the shapes, or the parameter that is not finite; ``net``
        is then unchanged.
    """
    return assign(net, read_for(net, path), path, new_head, ctx)


def read_for(net, path):
    """The arrays of a parameter file for ``net``, by the names of its parameters, or by the graph's
    names in a file of an exported graph.
    """
    return foreign.read(net, path) if foreign.is_foreign(path) else read(path)


def read(path: str) -> Dict[str, mx.nd.NDArray]:
    """The arrays in a parameter file, as a dict of name to NDArray."""
    arrays = read_arrays(path)
    if not isinstance(arrays, dict) or not arrays:
        raise ParameterError(f"{path} holds no named parameters")
    return arrays


def read_arrays(path):
    """The result of :func:`.ndarray_file.read`, with every error turned into a ParameterError that
    names the file.
    """
    if not os.path.exists(path):
        raise ParameterError(f"parameter file {path} does not exist")
    if os.path.isdir(path):
        raise ParameterError(f"{path} is a folder, not a parameter file (.params)")
    try:
        return ndarray_file.read(path)
    except OSError as error:
        raise ParameterError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ParameterError(
            f"{path} ({os.path.getsize(path):,} bytes) is not a complete MXNet parameter file: "
            f"{error}. It is damaged, incomplete or of another kind; copy or download it again"
        ) from None


def check_finite(arrays, source):
    """Raise ParameterError naming the first of the arrays (a dict) that contains NaN or infinity.

    Outputs would not show all of them: MXNet's relu turns NaN into 0.
    """
    name = first_not_finite(arrays)
    if name is not None:
        raise ParameterError(
            f"{printable(source)}: {printable(name)} has values that are NaN or infinite; take an "
            "earlier checkpoint or train again"
        )


def first_not_finite(arrays):
    """The name of the first of the arrays (a dict) that contains NaN or infinity, or None."""
    for name, array in arrays.items():
        values = array.asnumpy()
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            return name
    return None


def assign(net, arrays, source, new_head=False, ctx=None):
    """:func:`load_parameters` for arrays that have been read; ``source`` is their name in
    errors.
    """
    parameters = net._collect_params_with_prefix()
    if not any("." in name for name in arrays):
        arrays = _by_layer(net, parameters, arrays, source)
    if getattr(net, "features_only", False):
        arrays = {
            name: array
            for name, array in arrays.items()
            if not name.startswith(net.head_name + ".")
        }

    computed = getattr(net, "computed", ())  # which other programs store, too
    arrays = {name: array for name, array in arrays.items() if name not in computed}
    missing = [name for name in parameters if name not in arrays]
    extra = [name for name in arrays if name not in parameters]
    wrong = _wrong(parameters, arrays)
    head = _is_head(parameters, arrays, wrong, getattr(net, "head_layers", ()))
    if missing or extra or (wrong and not head):
        raise ParameterError(_misfit(net, parameters, arrays, source, missing, extra, wrong))
    if wrong and not new_head:
        shapes = parameters[wrong[0]].shape, arrays[wrong[0]].shape
        here, there = (shape[0] - _no_classes(net) for shape in shapes)
        raise ParameterError(
            f"{source}: {_shapes(wrong[0], parameters, arrays)}: the file is for {there} classes, "
            f"not {here}. Ask for --classes {there}, or for a new head"
        )
    check_finite({name: arrays[name] for name in parameters}, source)
    for name, parameter in parameters.items():
        if name not in wrong:
            parameter._load_init(arrays[name], ctx, cast_dtype=True)
    return wrong


def classes_in(path: str, name: str, **options: Any) -> int:
    """The number of classes in the last layer of a parameter file of the network called
    ``name``.
    """
    net = registry.get_model(name, **options)
    arrays, parameters = read_for(net, path), net._collect_params_with_prefix()
    if not any("." in name for name in arrays):
        arrays = _by_layer(net, parameters, arrays, path)
    wrong = _wrong(parameters, arrays)
    head = _is_head(parameters, arrays, wrong, getattr(net, "head_layers", ()))
    return arrays[wrong[0]].shape[0] - _no_classes(net) if head else Config().classes


def _no_classes(net):
    """The number of the last layer's outputs that are for no class."""
    return getattr(net, "no_classes", 0)


def _wrong(parameters, arrays):
    """The names of the parameters whose shapes in network and file differ."""
    return [
        name for name in parameters if name in arrays and not _fits(parameters[name], arrays[name])
    ]


def _fits(parameter, array):
    """Whether the shapes are equal; a 0 in the network's, or a missing shape, is unknown until the
    first forward pass.
    """
    shape = array.shape if parameter.shape is None else parameter.shape
    return len(shape) == len(array.shape) and all(
        a in (0, -1, b) for a, b in zip(shape, array.shape)
    )


def _is_head(parameters, arrays, wrong, heads=()):
    """Whether the wrong shapes belong to a last layer with another number of classes. ``heads``:
    the names of the last layers, if there are several.
    """
    pairs = [(parameters[name].shape, arrays[name].shape) for name in wrong]
    outputs = {
        (_layer_of(name), *(shape[:1] for shape in pair)) for name, pair in zip(wrong, pairs)
    }
    layers = {_layer_of(name) for name in wrong}
    return (
        bool(layers)
        and layers <= set(heads or [_layer_of(list(parameters)[-1])])
        and len(outputs) == len(layers)
        and all(len(here) == len(there) for here, there in pairs)
        and all(a in (0, -1, b) for here, there in pairs for a, b in zip(here[1:], there[1:]))
    )


def _layer_of(parameter):
    return parameter.rsplit(".", 1)[0]


def _by_layer(net, parameters, arrays, source):
    """Arrays by an exported graph's names -> by the names of ``net``'s layers.

    The exporting process may have used another prefix for the whole network, but the rest has to be
    equal.
    """
    arrays = {name.split(":", 1)[-1]: array for name, array in arrays.items()}
    short = {
        p.name[len(net.prefix) :] if p.name.startswith(net.prefix) else p.name: name
        for name, p in parameters.items()
    }
    first = next(iter(short))
    for prefix in sorted(name[: -len(first)] for name in arrays if name.endswith(first)):
        if {prefix + name for name in short} == set(arrays):
            return {short[name[len(prefix) :]]: array for name, array in arrays.items()}
    raise ParameterError(
        f"{source} belongs to an exported graph, and its parameters ({next(iter(arrays))}, ...) "
        f"are not those of {_name(net)}. Load it together with the symbol file next to it "
        "(mxnet.gluon.SymbolBlock.imports), or give a file written by save_parameters"
    )


def _misfit(net, parameters, arrays, source, missing, extra, wrong):
    reasons = []
    if missing:
        reasons.append(f"the file has no {_brief(missing)}")
    if extra:
        reasons.append(f"the network has no {_brief(extra)}")
    if wrong:
        reasons.append(_shapes(wrong[0], parameters, arrays, _brief(wrong)))
    origin = _recognise(arrays)
    holds = f". It holds a {origin}" if origin else ""
    return f"{source} does not fit {_name(net)}: {'; '.join(reasons)}{holds}"


def _shapes(name, parameters, arrays, what=None):
    here, there = parameters[name].shape, arrays[name].shape
    return f"{what or name} is {there} in the file and {here} in the network"


def _recognise(arrays):
    """The name of the registered network that such arrays belong to, or None."""
    for name in registry.names(sources=False):
        parameters = _parameters_of(name)
        if set(parameters) == set(arrays):
            wrong = _wrong(parameters, arrays)
            if not wrong or _is_head(parameters, arrays, wrong):
                return name
    return None


@functools.lru_cache(maxsize=None)
def _parameters_of(name):
    return registry.get_model(name)._collect_params_with_prefix()


def _brief(names):
    return names[0] if len(names) == 1 else f"{names[0]} (and {len(names) - 1} more)"


def _name(net):
    return net.prefix.rstrip("_") or type(net).__name__
