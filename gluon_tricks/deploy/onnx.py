"""ONNX from a graph, by MXNet's converter, with corrections so that onnxruntime runs it fast and
checkers accept it.

The converter has four faults, which are corrected here. It lists the parameters among the graph's
inputs, so a runtime has to expect them to change and folds nothing. It states the newest opset and
IR version of the installed onnx package, although its operators are those of opset 13. It supports
only some of the codes in a reshape's shape. It converts slice_like into operators whose sizes are
known only at run time.
"""

import ast
import contextlib
import io
import json
import os

import numpy as np

from ..errors import UserError
from ..text import first_line, printable
from ..threads import number
from . import onnx_operators
from .graph import operators
from .onnx_file import import_onnx

OPSET = 13
IR_VERSION = 8
PRODUCER = "gluon_tricks"
RESIZE = "_contrib_BilinearResize2D"


def convert(
    graph, path, input_shape, input_dtype="float32", about=None, any_size=False, output="logits"
):
    """Write the graph as ONNX; ``input_shape`` is the shape of one input, and the batch stays open.

    With ``any_size``, height and width stay open, too. ``output`` is the name for the first output.

    ``about`` (a dict) is stored as the model's metadata, each value as JSON; :func:`about` reads
    it.

    Raises UserError if the onnx package is missing or too new, or an operator cannot be
    converted.
    """
    onnx = import_onnx("mapping")  # MXNet's converter needs it; onnx 1.19 dropped it
    _convert_by_mxnet(graph, path, input_shape, input_dtype, any_size)
    model = onnx.load(path)
    follow_sizes(model.graph, resized_like(graph.symbol))
    clean(model, output)
    if any_size:
        open_sizes(model.graph)
    onnx.helper.set_model_props(
        model, {key: json.dumps(value) for key, value in (about or {}).items()}
    )
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # those of checker and shape inference have no common base
        raise UserError(
            f"this network does not give a valid ONNX file: {str(error).strip()}"
        ) from error
    onnx.save(model, path)


def _convert_by_mxnet(graph, path, input_shape, input_dtype, any_size):
    """Write the graph with MXNet's converter."""
    import mxnet as mx

    params = {key.split(":", 1)[1]: array for key, array in graph.params.items()}
    # NCHW, or NHWC for pixels
    open_shape = [None if any_size and length != 3 else length for length in input_shape]
    unknown = AttributeError, NotImplementedError, ValueError, KeyError, IndexError, mx.MXNetError
    try:
        symbol = with_plain_shapes(graph.symbol, params, input_shape)
        with onnx_operators.in_place_for(operators(symbol)):
            mx.onnx.export_model(
                symbol,
                params,
                [(1, *input_shape)],
                [np.dtype(input_dtype).type],
                path,
                dynamic=True,
                dynamic_input_shapes=[(None, *open_shape)],
            )
    except unknown as error:
        raise UserError(f"this network cannot be converted to ONNX: {first_line(error)}") from error


def with_plain_shapes(symbol, params, input_shape):
    """The symbol with numbers in place of the codes -2 to -4 in reshapes (in ShuffleNet), and of
    other arrays' sizes in slices and resizes (in Big-Little Net and FCN).

    The batch stays open: only reshapes that keep the first dimension are replaced.
    """
    import mxnet as mx

    internals = symbol.get_internals()
    known = {name: params[name].shape for name in symbol.list_arguments() if name in params}
    outputs = internals.infer_shape(data=(1,) + tuple(input_shape), **known)[1]
    shapes = dict(zip(internals.list_outputs(), outputs))
    described = json.loads(symbol.tojson())
    for node in described["nodes"]:
        if node["op"] == "Reshape":
            codes = ast.literal_eval(node["attrs"]["shape"])
            if codes[0] == 0 and min(codes) < -1:
                node["attrs"]["shape"] = str((0,) + shapes[node["name"] + "_output"][1:])
        if node["op"] == "slice_like":
            end = (None,) + shapes[node["name"] + "_output"][1:]
            attributes = dict(begin=str((None,) * len(end)), end=str(end))
            node.update(op="slice", attrs=attributes, inputs=node["inputs"][:1])
        if node["op"] == RESIZE and node["attrs"].get("mode") == "like":
            height, width = shapes[node["name"] + "_output"][2:]
            attributes = dict(mode="size", height=str(height), width=str(width))
            node.update(attrs=attributes, inputs=node["inputs"][:1])
    return mx.sym.load_json(json.dumps(described))


def clean(model, output="logits"):
    """Correct an ONNX model from MXNet's converter in place: inputs, names, opset, IR version and
    open batch. ``output`` is the name for the first output.
    """
    parameters = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in parameters]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    used = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    for value in list(model.graph.input) + list(model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    rename(model.graph, model.graph.output[0].name, output)
    del model.opset_import[:]
    model.opset_import.add(domain="", version=OPSET)
    model.ir_version = IR_VERSION
    model.producer_name = PRODUCER
    return model


def open_sizes(graph):
    """Name the open height and width of the graph's input, and likewise those of outputs (N, K, H,
    W).
    """
    for value in list(graph.input) + list(graph.output):
        axes = value.type.tensor_type.shape.dim
        if len(axes) != 4:
            continue
        of_pixels = value in graph.input and axes[3].dim_value == 3
        for name, axis in zip(("height", "width"), axes[1:3] if of_pixels else axes[2:4]):
            axis.dim_param = name


def resized_like(symbol):
    """{a resize to another array's size: that array}, by their names in ONNX."""
    nodes = json.loads(symbol.tojson())["nodes"]
    return {
        node["name"]: nodes[node["inputs"][1][0]]["name"]
        for node in nodes
        if node["op"] == RESIZE and node["attrs"].get("mode") == "like"
    }


def follow_sizes(graph, likes):
    """Let resizes, which MXNet gave a fixed size, follow the arrays (N, C, H, W) in ``likes``."""
    from onnx import TensorProto, helper

    makers = {name: node for node in graph.node for name in node.output}
    for node in [one for one in graph.node if one.name in likes]:
        shape, size, begin, end = (f"{node.name}_{part}" for part in ("like", "hw", "from", "to"))
        for name, place in ((begin, 2), (end, 4)):
            graph.initializer.append(helper.make_tensor(name, TensorProto.INT64, [1], [place]))
        sizes = makers[node.input[3]]  # (N, C) of the resized array, and a height and width
        sizes.input[1] = size
        place = list(graph.node).index(sizes)
        graph.node.insert(place, helper.make_node("Slice", [shape, begin, end], [size]))
        graph.node.insert(place, helper.make_node("Shape", [likes[node.name]], [shape]))


def rename(graph, old, new):
    """Rename a value of the graph everywhere."""
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == old:
                    names[place] = new
    for value in list(graph.output) + list(graph.value_info):
        if value.name == old:
            value.name = new


def session(path, threads=None):
    """An onnxruntime session on the CPU; UserError if it cannot run the file.

    A file from elsewhere goes through :func:`gluon_tricks.deploy.onnx_file.check` first.
    """
    try:
        import onnxruntime
    except ImportError:
        raise UserError("onnxruntime is not installed: pip install 'gluon-tricks[onnx]'") from None
    if not os.path.isfile(path):
        raise UserError(f"{path}: there is no such file")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or number() or 0  # 0: one per core
    options.log_severity_level = 4  # its exceptions name the errors
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints there that it tries again
            made = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        # fails if the names are not text
        [value.shape for value in made.get_inputs() + made.get_outputs()]
    except Exception as error:  # onnxruntime's exceptions have no common base class
        raise UserError(
            f"{printable(path)}: onnxruntime cannot run it: {' '.join(str(error).split())}"
        ) from None
    if len(made.get_inputs()) != 1:
        raise UserError(
            f"{path}: has {len(made.get_inputs())} inputs; only a network with one can be run"
        )
    return made


def about(session):
    """The metadata written by :func:`convert`, a dict; empty for other programs' files."""
    with contextlib.suppress(ValueError, RecursionError):
        held = session.get_modelmeta()
        if held.producer_name == PRODUCER:
            return {key: json.loads(value) for key, value in held.custom_metadata_map.items()}
    return {}


def classes_and_size(path, session):
    """{"classes", "input_size"} of another program's file, each if it is fixed; UserError unless
    the file takes square float images (N, 3, H, W).
    """
    (images,) = session.get_inputs()
    shape = images.shape
    where = f"{printable(path)}: its input {printable(images.name)} is {images.type} {shape}"
    channels = shape[1] if len(shape) == 4 else None
    if len(shape) == 4 and shape[3] == 3 and channels != 3:
        raise UserError(
            f"{where}, images in the order NHWC, but only NCHW, (N, 3, H, W), can be run: convert "
            "the model to that"
        )
    wrong_channels = isinstance(channels, int) and channels != 3
    if len(shape) != 4 or images.type != "tensor(float)" or wrong_channels:
        raise UserError(f"{where}, but float images (N, 3, H, W) are needed")
    if isinstance(shape[2], int) and isinstance(shape[3], int) and shape[2] != shape[3]:
        raise UserError(f"{where}, but only square images are supported")
    classes = session.get_outputs()[0].shape[-1:]
    found = dict(classes=classes[0] if classes else None, input_size=shape[2])
    return {name: value for name, value in found.items() if isinstance(value, int)}
