"""Checks an ONNX file from elsewhere before a runtime opens it: its contents, the files it reads,
and its memory.

It may read no file except parameters next to it, may have only standard operators and no loops, and
no array computed for one image may be larger than :mod:`.symbol_file` allows.
"""

import contextlib
import importlib
import json
import os

from ..errors import UserError
from ..text import printable
from . import onnx_tensors
from .symbol_file import check_shapes

MOST_BYTES = 2**31 - 1  # protobuf's own limit
SIZE = 224  # of the image for which sizes are computed, if neither the file nor the user gives one
DOMAINS = ("", "ai.onnx")
# of onnxruntime's own domain
QUANTISED = ("QLinear", "QGemm", "DequantizeLinear", "QuantizeLinear")
LOOPS = ("Loop", "Scan", "SequenceMap")
# Operators whose output size may be given by a number in the file.
GROWING = (
    "ConstantOfShape",
    "Expand",
    "OneHot",
    "Pad",
    "RandomNormal",
    "RandomUniform",
    "Range",
    "Resize",
    "Tile",
    "Upsample",
)
# The least values of attributes that onnxruntime does not check: a lower one crashes the process.
LEAST = dict(batch_dims=0, dilations=1, group=1, kernel_shape=1, strides=1)
# Operators that leave probabilities unchanged between a softmax and the output.
PASSING = ("Cast", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze")


def _read(path):
    """The ``onnx.ModelProto`` of a file, without parameters in other files; UserError if it is not
    an ONNX file.
    """
    onnx = import_onnx("shape_inference")
    try:
        if os.path.getsize(path) > MOST_BYTES:
            raise UserError(
                f"{printable(path)}: has more than 2 GiB, which is too much for an ONNX file"
            )
        return onnx.load(path, load_external_data=False)
    except OSError as error:
        raise UserError(f"{printable(path)}: cannot be read: {error.strerror}") from None
    except UserError:
        raise
    except Exception as error:  # protobuf's exceptions are not public
        raise UserError(
            f"{printable(path)}: not an ONNX file, or damaged: {printable(error)}"
        ) from None


def check(path, size=None, allowances=None):
    """Raise UserError unless the file is safe to run on one image of ``size``; return its model
    without parameters.

    allowances: by task, the number of a classifier's images whose memory one image may take.
    """
    onnx = import_onnx("shape_inference")
    try:
        model = _read(path)
        _check_operators(path, model)
        onnx_tensors.check(path, model)
        _check_sizes(onnx, path, model, size or SIZE, (allowances or {}).get(_task(model), 1))
    except UserError:
        raise
    # exceptions of shape inference, and of protobuf for names that are not text, have no base class
    except Exception as error:
        raise UserError(f"{printable(path)}: not a valid ONNX graph: {printable(error)}") from None
    return model


def _task(model):
    """The task in the metadata of a file of ours, or None."""
    for entry in model.metadata_props:
        if entry.key == "task":
            with contextlib.suppress(ValueError, RecursionError):
                task = json.loads(entry.value)
                return task if isinstance(task, str) else None
    return None


def gives_probabilities(graph):
    """Whether the first output is that of a softmax."""
    makers = {name: node for node in graph.node for name in node.output}
    name = graph.output[0].name
    for _ in range(len(graph.node)):
        node = makers.get(name)
        if node is None or node.op_type not in PASSING:
            return node is not None and node.op_type == "Softmax"
        name = node.input[0]
    return False


def _nodes(model):
    for graph in onnx_tensors.graphs_in(model):
        yield from graph.node


def _check_operators(path, model):
    if len(model.functions):
        raise UserError(f"{printable(path)}: defines its own operators; only those of ONNX are run")
    if len(model.graph.output) < 1 or len(model.graph.input) < 1:
        raise UserError(f"{printable(path)}: has no input or no output; a network is needed")
    if any(graph.sparse_initializer for graph in onnx_tensors.graphs_in(model)):
        raise _sparse(path)
    for node in _nodes(model):
        known = (
            node.domain in DOMAINS
            or node.domain == "com.microsoft"
            and node.op_type.startswith(QUANTISED)
        )
        if not known:
            raise UserError(
                f"{printable(path)}: has the operator {printable(node.op_type)} of "
                f"{printable(node.domain)}; only those of ONNX are run"
            )
        if node.op_type in LOOPS:
            raise UserError(
                f"{printable(path)}: has a loop ({printable(node.op_type)}), which may never end; "
                "none is run"
            )
        _check_attributes(path, node)


def _check_attributes(path, node):
    for attribute in node.attribute:
        if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
            raise _sparse(path)
        values = attribute.ints if attribute.type == attribute.INTS else [attribute.i]
        least = LEAST.get(attribute.name)
        if least is not None and any(value < least for value in values):
            raise UserError(
                f"{printable(path)}: {attribute.name} of {printable(node.op_type)} is below "
                f"{least}; it is damaged"
            )


def _sparse(path):
    return UserError(
        f"{printable(path)}: has sparse parameters, which are not read; save it with dense ones"
    )


def _for_one_image(model, size):
    """The model with numbers for the open dimensions of its images, and without the shapes that it
    states.
    """
    parameters = {tensor.name for tensor in model.graph.initializer}
    for value in model.graph.input:
        if value.name not in parameters:
            dimensions = value.type.tensor_type.shape.dim
            of_pixels = len(dimensions) == 4 and dimensions[3].dim_value == 3  # NHWC
            for place, dimension in enumerate(dimensions):
                if not dimension.HasField("dim_value") or dimension.dim_value < 1:
                    dimension.dim_value = size if place > 1 - of_pixels else 1
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    return model


def _check_sizes(onnx, path, model, size, allowance):
    infer, model = onnx.shape_inference.infer_shapes, _for_one_image(model, size)
    # With data_prop, inference builds a list as long as any array of one dimension.
    check_shapes(path, _shapes(infer(model).graph).items(), allowance)
    model = infer(model, data_prop=True)
    shapes = _shapes(model.graph)
    check_shapes(path, shapes.items(), allowance)
    for node in _nodes(model):
        if node.op_type in GROWING and any(name and name not in shapes for name in node.output):
            raise UserError(
                f"{printable(path)}: the size of {printable(node.output[0])}, which {node.op_type} "
                "makes, is known only at run time; export the model with fixed shapes"
            )


def _shapes(graph):
    """``{name: shape}`` of the arrays other than parameters, as far as it is known."""
    parameters = {tensor.name for tensor in graph.initializer}
    shapes = {}
    for value in (*graph.input, *graph.output, *graph.value_info):
        dimensions = value.type.tensor_type.shape.dim
        known = value.type.tensor_type.HasField("shape") and value.name not in parameters
        if known and all(one.HasField("dim_value") for one in dimensions):
            shapes[value.name] = [one.dim_value for one in dimensions]
    return shapes


def import_onnx(module):
    """The onnx package, with this module imported; UserError if either is missing."""
    try:
        importlib.import_module(f"onnx.{module}")
        return importlib.import_module("onnx")
    except ImportError:
        raise UserError(
            "ONNX needs onnx>=1.16,<1.19 and onnxruntime: pip install 'gluon-tricks[onnx]'"
        ) from None
