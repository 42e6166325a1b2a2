"""Parameters and multiply-adds of a network, counted on its traced graph (the paper's Table 5).

The paper's "FLOPs" are multiply-adds of the convolutions and dense layers: one for each output
value and each weight in its sum. Biases, BatchNorm, activations and pooling are not counted, as in
the paper.
"""

import contextlib
import io
import json
import re
from math import prod
from types import MappingProxyType
from typing import Any, Callable, Dict, Mapping, NamedTuple, Sequence, Union

import mxnet as mx
from mxnet.gluon.block import HybridBlock

from ..errors import UserError
from ..text import last_line


class Layer(NamedTuple):
    """One operation that multiplies by weights."""

    name: str
    operator: str
    output_shape: tuple
    multiply_adds: int


class Complexity(NamedTuple):
    """Parameters, and multiply-adds of one image, in total and by layer."""

    parameters: int  # the trainable ones
    all_parameters: int  # with BatchNorm's running statistics
    multiply_adds: int
    layers: tuple


Size = Union[int, Sequence[int]]  # pixels, or (height, width)


def count(net: HybridBlock, input_size: Size = 224, channels: int = 3) -> Complexity:
    """The :class:`Complexity` of ``net`` for one image of ``input_size``.

    The net is traced, not run: its parameters may be uninitialised, and stay as they are. Raises
    UserError for a net that cannot be traced, or does not take such an image.
    """
    graph = trace(net).get_internals()
    shapes = infer_shapes(graph, net.name, input_size, channels)
    layers = tuple(_layers(json.loads(graph.tojson())["nodes"], shapes))
    parameters = {parameter.name: parameter for parameter in net.collect_params().values()}
    sizes = {
        name: prod(shapes.get(name) or parameter.shape or (0,))
        for name, parameter in parameters.items()
    }
    return Complexity(
        parameters=sum(size for name, size in sizes.items() if parameters[name].grad_req != "null"),
        all_parameters=sum(sizes.values()),
        multiply_adds=sum(layer.multiply_adds for layer in layers),
        layers=layers,
    )


def trace(net: HybridBlock) -> mx.sym.Symbol:
    """The symbol that ``net`` computes from the variable ``data``; several outputs make a group."""
    output = trace_with(net, net)
    return mx.sym.Group(list(output)) if isinstance(output, (tuple, list)) else output


def trace_with(net: HybridBlock, compute: Callable) -> Any:
    """``compute(data)`` on the variable ``data``, which uses layers of ``net``."""
    # A parameter keeps its variable with the dtype at that time, so a net that is cast later would
    # still have it in its graph. The name manager keeps automatic names from counting on.
    variables = {parameter: parameter._var for parameter in net.collect_params().values()}
    try:
        for parameter in variables:
            parameter._var = None
        with mx.name.NameManager():
            return compute(mx.sym.var("data"))
    except Exception as error:  # a network may do anything that a symbol cannot
        raise UserError(f"{net.name} cannot be traced into a graph: {_reason(error)}") from error
    finally:
        for parameter, variable in variables.items():
            parameter._var = variable


def infer_shapes(
    graph: mx.sym.Symbol,
    name: str,
    input_size: Size,
    channels: int = 3,
    known: Mapping[str, tuple] = MappingProxyType({}),
) -> Dict[str, tuple]:
    """Shapes of all outputs, arguments and auxiliary states of a symbol, by name, for one image.

    known: shapes of some of the arguments. Raises UserError if the shapes cannot be inferred;
    ``name`` is the network's name in the message.
    """
    height, width = (
        input_size if isinstance(input_size, (tuple, list)) else (input_size, input_size)
    )
    try:
        # MXNet prints the arguments of a failed call
        with contextlib.redirect_stdout(io.StringIO()):
            arguments, outputs, auxiliary = graph.infer_shape(
                data=(1, channels, height, width), **known
            )
    except mx.MXNetError as error:
        raise UserError(f"{name} takes no {height}x{width} image: {_reason(error)}") from error
    if outputs is None:
        raise UserError(f"the shapes of {name}'s outputs do not follow from its input's")
    shapes = dict(zip(graph.list_outputs(), outputs))
    shapes.update(zip(graph.list_arguments(), arguments))
    shapes.update(zip(graph.list_auxiliary_states(), auxiliary))
    return shapes


def _reason(error):
    """MXNet's last line, without the time and the place in its sources."""
    return re.sub(r"MXNetError: |\[[\d:]+\] \S+: ", "", last_line(error))


def _layers(nodes, shapes):
    for node in nodes:
        if node["op"] not in ("Convolution", "FullyConnected", "Deconvolution"):
            continue
        source, weight = (nodes[i]["name"] for i, *_ in node["inputs"][:2])
        output = shapes[node["name"] + "_output"]
        # weight: (outputs, inputs / groups, kernel ...). In a transposed convolution inputs and
        # outputs are swapped, and each of the input's values is multiplied by the weights.
        values = shapes[source + "_output" if source + "_output" in shapes else source]
        values = values if node["op"] == "Deconvolution" else output
        yield Layer(node["name"], node["op"], output, prod(values) * prod(shapes[weight][1:]))
