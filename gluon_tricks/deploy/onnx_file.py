"""An ONNX file from elsewhere, looked at before a runtime opens it: what it may hold, reach and
take.

It reaches no other file but parameters next to it, has operators of the standard and no loops, and
no arrays that one image makes are larger than :mod:`.symbol_file` allows.
"""

import contextlib
import importlib
import json
import math
import os

import numpy as np

from ..errors import UserError
from ..text import printable
from .symbol_file import check_shapes

MOST_BYTES = 2**31 - 1  # protobuf's own limit
SIZE = 224  # of the image for which sizes are found, if neither the file nor the user says
DOMAINS = ("", "ai.onnx")
# of onnxruntime's own domain
QUANTISED = ("QLinear", "QGemm", "DequantizeLinear", "QuantizeLinear")
LOOPS = ("Loop", "Scan", "SequenceMap")
# Operators whose outputs may be as large as a number in the file says.
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
# The least value of attributes that onnxruntime believes: one below ends the process.
LEAST = dict(batch_dims=0, dilations=1, group=1, kernel_shape=1, strides=1)
# Operators between a softmax and the output that leave the probabilities as they are.
PASSING = ("Cast", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze")


def _read(path):
    """The ``onnx.ModelProto`` of a file, without parameters in other files; UserError if it is
    none.
    """
    onnx = import_onnx("shape_inference")
    try:
        if os.path.getsize(path) > MOST_BYTES:
            raise UserError(f"{printable(path)}: has more than 2 GiB, which no ONNX file can")
        return onnx.load(path, load_external_data=False)
    except OSError as error:
        raise UserError(f"{printable(path)}: cannot be read: {error.strerror}") from None
    except UserError:
        raise
    except Exception as error:  # protobuf's exceptions are not part of its interface
        raise UserError(
            f"{printable(path)}: no ONNX file, or damaged: {printable(error)}"
        ) from None


def check(path, size=None, allowances=None):
    """Raise UserError unless the file is safe to run on one image of ``size``; returns its model
    without parameters.

    allowances: of tasks, how many images of a classifier an image may be like in its memory.
    """
    onnx = import_onnx("shape_inference")
    try:
        model = _read(path)
        _check_operators(path, model)
        for tensor in _tensors(model):
            _check_place(path, tensor)
            _check_tensor(path, tensor)
        for tensor in model.graph.initializer:
            _check_finite(path, tensor)
        _check_sizes(onnx, path, model, size or SIZE, (allowances or {}).get(_task(model), 1))
    except UserError:
        raise
    # the exceptions of shape inference, and of protobuf for a name that is no text, have no base
    except Exception as error:
        raise UserError(f"{printable(path)}: no valid ONNX graph: {printable(error)}") from None
    return model


def _task(model):
    """What a file of ours says that it is for, or None."""
    for entry in model.metadata_props:
        if entry.key == "task":
            with contextlib.suppress(ValueError, RecursionError):
                task = json.loads(entry.value)
                return task if isinstance(task, str) else None
    return None


def gives_probabilities(graph):
    """Whether the first output comes out of a softmax."""
    makers = {name: node for node in graph.node for name in node.output}
    name = graph.output[0].name
    for _ in range(len(graph.node)):
        node = makers.get(name)
        if node is None or node.op_type not in PASSING:
            return node is not None and node.op_type == "Softmax"
        name = node.input[0]
    return False


def _nodes(model):
    """All nodes, also those of branches."""
    graphs = [model.graph]
    while graphs:
        for node in graphs.pop().node:
            yield node
            for attribute in node.attribute:
                graphs += [attribute.g] if attribute.HasField("g") else []
                graphs += attribute.graphs


def _tensors(model):
    """All arrays that the file holds: parameters, and constants in nodes."""
    graphs = [model.graph]
    while graphs:
        graph = graphs.pop()
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
        for node in graph.node:
            for attribute in node.attribute:
                yield from [attribute.t] if attribute.HasField("t") else []
                yield from attribute.tensors
                graphs += [attribute.g] if attribute.HasField("g") else []
                graphs += attribute.graphs


def _check_place(path, tensor):
    """A tensor outside of the file has to be in a plain file next to it, with all its bytes."""
    if tensor.data_location != tensor.EXTERNAL:
        return
    entries = {entry.key: entry.value for entry in tensor.external_data}
    name = entries.get("location", "")
    where = f"{printable(path)}: keeps {printable(tensor.name)} in the file {printable(name)!r}"
    if (
        not name
        or name in (".", "..")
        or os.path.basename(name) != name
        or "\\" in name
        or "\0" in name
    ):
        raise UserError(f"{where}, but only files next to it are read; save the model as one file")
    file = os.path.join(os.path.dirname(os.path.abspath(path)), name)
    if os.path.islink(file) or not os.path.isfile(file):
        raise UserError(f"{where}, which is not there as a plain file; copy it next to the model")
    try:
        offset = int(entries.get("offset") or 0)
        length = int(entries.get("length") or os.path.getsize(file) - offset)
    except ValueError:
        offset, length = -1, 0
    if offset < 0 or length < 0 or offset + length > os.path.getsize(file):
        raise UserError(f"{where}, which is too short or damaged; copy it again")
    if _bytes_of(tensor) != length:
        raise UserError(
            f"{where}: {length} bytes there, but its shape is {_shape(tensor)}; the file is damaged"
        )


def _check_tensor(path, tensor):
    """No more elements than its bytes in the file can hold."""
    if tensor.data_location != tensor.EXTERNAL and _elements(tensor) > 2 * tensor.ByteSize():
        raise UserError(
            f"{printable(path)}: {printable(tensor.name) or 'a constant'} has shape "
            f"{_shape(tensor)}, but the file does not hold so many values; it is damaged"
        )


def _check_operators(path, model):
    if len(model.functions):
        raise UserError(
            f"{printable(path)}: defines operators of its own; only those of ONNX are run"
        )
    if len(model.graph.output) < 1 or len(model.graph.input) < 1:
        raise UserError(f"{printable(path)}: has no input or no output; a network is needed")
    if len(model.graph.sparse_initializer):
        raise UserError(
            f"{printable(path)}: has sparse parameters, which are not read; save it with dense ones"
        )
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
        values = attribute.ints if attribute.type == attribute.INTS else [attribute.i]
        least = LEAST.get(attribute.name)
        if least is not None and any(value < least for value in values):
            raise UserError(
                f"{printable(path)}: {attribute.name} of {printable(node.op_type)} is below "
                f"{least}; it is damaged"
            )


def _check_finite(path, tensor):
    from onnx import numpy_helper

    if tensor.data_type not in (tensor.FLOAT, tensor.FLOAT16, tensor.DOUBLE) or not tensor.dims:
        return  # bounds of a clip, which may be infinite, have no dimension
    if tensor.data_location == tensor.EXTERNAL:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        with open(
            os.path.join(os.path.dirname(os.path.abspath(path)), entries["location"]), "rb"
        ) as file:
            file.seek(int(entries.get("offset") or 0))
            tensor.raw_data = file.read(_bytes_of(tensor))
        tensor.data_location = tensor.DEFAULT
    values = numpy_helper.to_array(tensor)
    if not np.isfinite(values).all():
        raise UserError(
            f"{printable(path)}: {printable(tensor.name)} has values that are NaN or infinite; "
            "export or train again"
        )
    if values.size > 1000:  # its values are needed no more, and shape inference would copy them
        tensor.ClearField("raw_data")
        tensor.ClearField("float_data")


def _for_one_image(model, size):
    """The model with numbers for the open dimensions of its images, and without the shapes that it
    claims.
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
    # Following values, it makes a list as long as any array of one dimension.
    check_shapes(path, _shapes(infer(model).graph).items(), allowance)
    model = infer(model, data_prop=True)
    shapes = _shapes(model.graph)
    check_shapes(path, shapes.items(), allowance)
    for node in _nodes(model):
        if node.op_type in GROWING and any(name and name not in shapes for name in node.output):
            raise UserError(
                f"{printable(path)}: the size of {printable(node.output[0])}, which {node.op_type} "
                "makes, is not known before it runs; export the model with fixed shapes"
            )


def _shapes(graph):
    """``{name: shape}`` of the arrays that are no parameters, as far as they are known."""
    parameters = {tensor.name for tensor in graph.initializer}
    shapes = {}
    for value in (*graph.input, *graph.output, *graph.value_info):
        dimensions = value.type.tensor_type.shape.dim
        known = value.type.tensor_type.HasField("shape") and value.name not in parameters
        if known and all(one.HasField("dim_value") for one in dimensions):
            shapes[value.name] = [one.dim_value for one in dimensions]
    return shapes


def _elements(tensor):
    return math.prod(max(int(length), 0) for length in tensor.dims)


def _bytes_of(tensor):
    from onnx import helper

    try:
        return _elements(tensor) * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except (KeyError, TypeError):
        return -1


def _shape(tensor):
    return "x".join(map(str, tensor.dims)) or "()"


def import_onnx(module):
    """The onnx package with this module of it; UserError if either is missing."""
    try:
        importlib.import_module(f"onnx.{module}")
        return importlib.import_module("onnx")
    except ImportError:
        raise UserError(
            "ONNX needs onnx>=1.16,<1.19 and onnxruntime: pip install 'gluon-tricks[onnx]'"
        ) from None
