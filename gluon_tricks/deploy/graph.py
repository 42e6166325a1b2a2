"""A trained network as a symbol and its parameters: how it is exported, and how it runs here.

The graph's input is called ``data``. Without ``preprocess`` it is the network's own input,
normalised float32 (N, 3, H, W); with it, uint8 (N, H, W, 3) pixels in RGB, so that a user has to
resize and crop, but need not know mean and standard deviation. The first output is the logits (N,
classes), the optional second one their softmax.
"""

import json
import math
from typing import NamedTuple

import mxnet as mx
import numpy as np

from ..errors import UserError
from ..models.parameters import check_finite
from ..models.parameters import read as load_arrays
from ..text import last_line, printable
from . import shapes, symbol_file

INPUT = "data"


class Graph(NamedTuple):
    """``symbol``, and ``params``: NDArrays by ``arg:name`` or ``aux:name``, as in MXNet's parameter
    files.
    """

    symbol: mx.sym.Symbol
    params: dict


def trace(net):
    """The inference :class:`Graph` of a Gluon network that has values, float32 and on the CPU."""
    symbol = net(mx.sym.var(INPUT, dtype=np.float32))  # without a dtype, importing the symbol warns
    if isinstance(symbol, (list, tuple)):
        raise UserError(f"this network has {len(symbol)} outputs; only one can be exported")
    auxiliary = set(symbol.list_auxiliary_states())
    used = auxiliary | set(symbol.list_arguments())
    params = {}
    for name, parameter in net.collect_params().items():
        if name in used:
            value = (
                parameter.data(parameter.list_ctx()[0]).as_in_context(mx.cpu()).astype("float32")
            )
            params[("aux:" if name in auxiliary else "arg:") + name] = value
    return Graph(symbol, params)


def with_preprocessing(graph, preprocessing):
    """The graph after ``(x - mean) / std`` of uint8 (N, H, W, 3), a
    :class:`gluon_tricks.deploy.preprocessing.Preprocessing`.
    """
    pixels = mx.sym.var(INPUT, dtype=np.uint8)
    mean_var, std_var = mx.sym.var("preprocess_mean"), mx.sym.var("preprocess_std")
    planes = mx.sym.transpose(mx.sym.cast(pixels, dtype="float32"), axes=(0, 3, 1, 2))
    centred = mx.sym.broadcast_sub(planes, mean_var, name="preprocess_sub")
    normalised = mx.sym.broadcast_div(centred, std_var, name="preprocess_div")
    params = dict(graph.params)
    for name, values in (("mean", preprocessing.rgb_mean), ("std", preprocessing.rgb_std)):
        params["arg:preprocess_" + name] = mx.nd.array(
            np.reshape(values, (1, 3, 1, 1)), dtype="float32"
        )
    return Graph(graph.symbol(**{INPUT: normalised}), params)


def with_softmax(graph):
    """The graph with the probabilities as a second output."""
    return Graph(
        mx.sym.Group([graph.symbol, mx.sym.softmax(graph.symbol, axis=1, name="probabilities")]),
        graph.params,
    )


def block(graph):
    """A Gluon block that computes the graph, for running it in this process."""
    inputs = [
        entry for entry in graph.symbol.get_internals() if entry.name == INPUT
    ]  # with its dtype; without it, a warning
    net = mx.gluon.SymbolBlock(graph.symbol, inputs)
    parameters = net.collect_params()
    for key, value in graph.params.items():
        parameter = parameters[key.split(":", 1)[1]]
        parameter.shape, parameter.dtype = value.shape, value.dtype
        parameter.initialize(init=mx.init.Zero(), ctx=mx.cpu())
        parameter.set_data(value)
    return net


def save(graph, symbol_path, params_path):
    """Write the two files that ``SymbolBlock.imports`` and ``MXPredCreate`` read."""
    with open(symbol_path, "w") as file:  # Symbol.save does not notice incomplete writes
        file.write(graph.symbol.tojson())
    try:
        mx.nd.save(params_path, graph.params)
    except mx.MXNetError:  # its text is about a C function
        raise UserError(
            f"{printable(params_path)}: cannot be written; is there space on the disk?"
        ) from None


def load(symbol_path, params_path, shape=None, allowance=1):
    """The :class:`Graph` of such files; UserError names a file that is missing, damaged or
    dangerous, or does not match the other.

    shape: the shape of one input, (3, H, W); if given, the memory for one image is checked before
    anything runs. allowance: as for :func:`check_shapes`.
    """
    params = load_arrays(params_path)
    check_finite(params, params_path)
    try:
        symbol = mx.sym.load_json(symbol_file.read(symbol_path))
    except mx.MXNetError as error:
        raise UserError(f"{symbol_path}: not a symbol file of MXNet: {last_line(error)}") from None
    needed = symbol.list_arguments() + symbol.list_auxiliary_states()
    names = {key.split(":", 1)[-1]: array for key, array in params.items()}
    missing = [name for name in needed if name != INPUT and name not in names]
    unused = sorted(set(names) - set(needed) | {INPUT} & set(names))
    if INPUT not in needed:
        raise UserError(f"{printable(symbol_path)}: has no input called {INPUT}; export again")
    if missing:
        raise UserError(
            f"{params_path} has no values for {len(missing)} of {symbol_path}, for "
            f"instance {missing[0]}"
        )
    if unused or len(names) < len(params):
        held = printable(unused[0]) if unused else "a name twice"
        raise UserError(
            f"{printable(params_path)}: holds {held}, which {printable(symbol_path)} "
            "does not use; export again"
        )
    if shape is not None:
        check_shapes(Graph(symbol, params), (1, *shape), symbol_path, allowance=allowance)
    return Graph(symbol, params)


def check_shapes(graph, shape, path, size=None, allowance=1):
    """Raise UserError if the graph, read from ``path``, cannot run on inputs of this shape (N,
    ...), or needs too much memory for them.

    size: of images that count as one; a larger image counts as several. allowance: the number of a
    classifier's images whose memory one of these images may take.
    """
    known = {key.split(":", 1)[-1]: array.shape for key, array in graph.params.items()}
    images = shape[0] * allowance
    if size:
        images *= max(1, math.ceil(math.prod(shape[1:]) / (3 * size**2)))
    shapes.check(graph.symbol, dict(known, **{INPUT: shape}), images, path)


def operators(symbol):
    """The number of times each operator occurs in the symbol, a dict by name, without variables."""
    counts = {}
    for node in json.loads(symbol.tojson())["nodes"]:
        if node["op"] != "null":
            counts[node["op"]] = counts.get(node["op"], 0) + 1
    return counts
