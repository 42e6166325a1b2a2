"""Checks the shapes of all arrays of a symbol before it runs.

MXNet infers them without checking that the operators can work with them: ``Reshape`` makes 49
elements of 48, ``BatchNorm`` accepts parameters of any shape, and both then access memory outside
their arrays. What MXNet does not check is checked here. The shapes depend on the number of images,
so each new number is checked.
"""

import contextlib
import io
import json
import math
import re

import mxnet as mx

from ..errors import UserError
from ..text import last_line, printable
from . import symbol_file


def check(symbol, known, images, path):
    """Raise UserError unless the symbol, read from ``path``, can run on arrays of these shapes.

    ``known``: the shapes of all its variables by name. ``images``: the number of images in its
    input, which limits the size of its arrays.
    """
    made = _inferred(symbol, known, path)
    for name, shape in made:
        if known.get(name, shape) != shape:
            raise UserError(
                f"{printable(path)}: {printable(name)} has the shape {_text(known[name])}, but "
                f"{_text(shape)} is needed; export again"
            )
    symbol_file.check_shapes(
        path, [(name, shape) for name, shape in made if name not in known], images
    )
    nodes = json.loads(symbol.tojson())["nodes"]
    shapes = symbol_file.by_node(nodes, [shape for _, shape in made])
    for node, outputs in zip(nodes, shapes):
        inputs = [shapes[source][output] for source, output, *_ in node["inputs"]]
        fits = CHECKS.get(node["op"])
        if fits and not fits(inputs, outputs, node.get("attrs", {})):
            texts = [" and ".join(map(_text, part)) for part in (outputs, inputs)]
            raise UserError(
                f"{printable(path)}: {printable(node['name'])} ({node['op']}) cannot make "
                f"{texts[0]} of {texts[1]}; export again"
            )


def _inferred(symbol, known, path):
    """(name, shape) of all arrays, in the order of nodes and outputs."""
    internals = symbol.get_internals()
    try:
        # MXNet prints all arguments there if it fails
        with contextlib.redirect_stdout(io.StringIO()):
            shapes = internals.infer_shape(**known)[1]
    except (mx.MXNetError, ValueError) as error:
        raise UserError(
            f"{printable(path)}: its parameters do not match its images: "
            f"{printable(last_line(error))}"
        ) from None
    if shapes is None:
        raise UserError(
            f"{printable(path)}: the sizes of its arrays do not follow from its input; export again"
        )
    return list(zip(internals.list_outputs(), shapes))


def _text(shape):
    return "x".join(map(str, shape)) or "()"


# What MXNet does not check, as functions of the inputs' and outputs' shapes and the attributes.


def _keeps_size(inputs, outputs, attributes):
    return math.prod(inputs[0]) == math.prod(outputs[0])


def _permutes(inputs, outputs, attributes):
    axes = [int(axis) for axis in re.findall(r"-?\d+", attributes.get("axes", ""))]
    return not axes or sorted(axes) == list(range(len(inputs[0])))


def _has_the_axis(inputs, outputs, attributes):
    """For concatenation of integers, which does not count axes from the end."""
    return 0 <= int(attributes.get("dim", 1)) < len(inputs[0])


def _are_images(inputs, outputs, attributes):
    return all(len(shape) == 4 for shape in inputs)


def _are_alike(inputs, outputs, attributes):
    return len(set(map(tuple, inputs))) == 1


CHECKS = {
    "_contrib_BilinearResize2D": _are_images,
    "Reshape": _keeps_size,
    "_contrib_quantized_concat": _has_the_axis,
    "reshape_like": _keeps_size,
    "transpose": _permutes,
    "where": _are_alike,
}
