"""Checks the arrays in an ONNX file from elsewhere: parameters, and constants in nodes.

Each has to be complete, in the file itself or in a plain file next to it, and parameters have to be
finite.
"""

import math
import os
from typing import NamedTuple

import numpy as np

from ..errors import UserError
from ..text import printable


class Place(NamedTuple):
    """The place of a tensor outside the model's file: bytes of a file next to it."""

    file: str
    offset: int
    length: int


def check(path, model):
    """Raise UserError for an incomplete array of the model in the file ``path``, and for a
    parameter that is not finite. Large parameters lose their values, which are not needed any more.
    """
    for tensor in _tensors(model):
        if tensor.data_location == tensor.EXTERNAL:
            _check_place(path, tensor)
        else:
            _check_size(path, tensor)
    for tensor in model.graph.initializer:
        _check_finite(path, tensor)


def graphs_in(model):
    """Yield the model's graph, and those of branches."""
    graphs = [model.graph]
    while graphs:
        graph = graphs.pop()
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                graphs += [attribute.g] if attribute.HasField("g") else []
                graphs += attribute.graphs


def _tensors(model):
    for graph in graphs_in(model):
        yield from graph.initializer
        for node in graph.node:
            for attribute in node.attribute:
                yield from [attribute.t] if attribute.HasField("t") else []
                yield from attribute.tensors


def _check_place(path, tensor):
    """A tensor outside the file has to be in a plain file next to it, with all its bytes."""
    name = _entries(tensor).get("location", "")
    where = f"{printable(path)}: keeps {printable(tensor.name)} in the file {printable(name)!r}"
    strange = "\\" in name or "\0" in name or name in ("", ".", "..")
    if strange or os.path.basename(name) != name:
        raise UserError(
            f"{where}, but only files in the same folder are read; save the model as one file"
        )
    file = _next_to(path, name)
    if os.path.islink(file) or not os.path.isfile(file):
        raise UserError(f"{where}, which is missing or not a plain file; copy it next to the model")
    place = _place_of(path, tensor)
    if place is None or place.offset + place.length > os.path.getsize(file):
        raise UserError(f"{where}, which is too short or damaged; copy it again")
    if _bytes_of(tensor) != place.length:
        raise UserError(
            f"{where}: {place.length} bytes there, but its shape is {_shape(tensor)}; the file is "
            "damaged"
        )


def _place_of(path, tensor):
    """The :class:`Place`, or None if the file's entries are invalid."""
    entries = _entries(tensor)
    file = _next_to(path, entries["location"])
    try:
        offset = int(entries.get("offset") or 0)
        length = int(entries.get("length") or os.path.getsize(file) - offset)
    except ValueError:
        return None
    return Place(file, offset, length) if min(offset, length) >= 0 else None


def _entries(tensor):
    return {entry.key: entry.value for entry in tensor.external_data}


def _next_to(path, name):
    return os.path.join(os.path.dirname(os.path.abspath(path)), name)


def _check_size(path, tensor):
    """A tensor may not have more elements than its bytes in the file can hold."""
    if _elements(tensor) > 2 * tensor.ByteSize():
        raise UserError(
            f"{printable(path)}: {printable(tensor.name) or 'a constant'} has shape "
            f"{_shape(tensor)}, but the file does not hold that many values; it is damaged"
        )


def _check_finite(path, tensor):
    from onnx import numpy_helper

    if tensor.data_type not in (tensor.FLOAT, tensor.FLOAT16, tensor.DOUBLE) or not tensor.dims:
        return  # bounds of a clip may be infinite; they have no dimensions
    if tensor.data_location == tensor.EXTERNAL:
        place = _place_of(path, tensor)
        with open(place.file, "rb") as file:
            file.seek(place.offset)
            tensor.raw_data = file.read(place.length)
        tensor.data_location = tensor.DEFAULT
    values = numpy_helper.to_array(tensor)
    if not np.isfinite(values).all():
        raise UserError(
            f"{printable(path)}: {printable(tensor.name)} has values that are NaN or infinite; "
            "export or train again"
        )
    if values.size > 1000:  # which shape inference would copy
        tensor.ClearField("raw_data")
        tensor.ClearField("float_data")


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
