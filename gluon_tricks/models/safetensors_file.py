"""Safetensors files, the form in which PyTorch's world passes weights on without pickles: read so
that no number in them is trusted before the file's size agrees, as in :mod:`.ndarray_file`.

The package ``safetensors`` is not needed for it: its side for NumPy has no bfloat16, and the form
is this (little endian; https://github.com/huggingface/safetensors):

    uint64 length of the header; the header, JSON in UTF-8, padded with blanks; the values
    header: {"__metadata__": {text: text}, name: {"dtype", "shape", "data_offsets": [begin, end]}}

Offsets count from the end of the header; the arrays lie one after another, without a gap.
"""

import json
import math
import os
import struct
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

import numpy as np

from ..errors import UserError
from ..files import plain_file, sync_folder
from ..text import printable

ENDING = ".safetensors"
DTYPES = {
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
    "I8": "int8",
    "I32": "int32",
    "I64": "int64",
    "U8": "uint8",
}
BFLOAT16 = "BF16"  # the upper half of a float32, of which it becomes one; NumPy has none
LONGEST_HEADER = 100_000_000  # the limit of the package
MOST_DIMENSIONS = 32  # NumPy's limit
METADATA = "__metadata__"


class Contents(NamedTuple):
    """What a file holds; bfloat16 has become float32, which holds the same numbers."""

    arrays: Dict[str, np.ndarray]
    metadata: Dict[str, str]


class _Entry(NamedTuple):
    name: str
    kind: str
    shape: List[int]
    begin: int
    end: int


def read(path: str) -> Contents:
    """The contents of a file.

    Raises ValueError saying what is wrong with it, and OSError if it cannot be read.
    """
    with open(path, "rb", opener=plain_file) as file:
        left = os.fstat(file.fileno()).st_size - 8
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(left, LONGEST_HEADER):
            raise ValueError(f"its header would have {length:,} bytes")
        header = _header(file.read(length))
        metadata = header.pop(METADATA, {})
        if not isinstance(metadata, dict):
            raise ValueError(f"{METADATA} is no object")
        entries = sorted((_entry(*item) for item in header.items()), key=lambda one: one[3:])
        _check_places(entries, left - length)
        arrays = {entry.name: _values(file, entry) for entry in entries}
    return Contents(arrays, {str(key): str(value) for key, value in metadata.items()})


def _header(data):
    try:
        header = json.loads(data.decode("utf-8"), object_pairs_hook=_once)
    except RecursionError:
        raise ValueError("its header is nested too deeply") from None
    if not isinstance(header, dict):
        raise ValueError("its header is no object")
    return header


def _once(pairs):
    """A JSON object; ValueError if it has a name twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is in its header twice")
    return found


def _entry(name, about):
    """An array's line of the header, after all that can be said without the others."""
    shown = printable(name)[:80]
    if not name.isprintable():
        raise ValueError(f"{shown} is no name of an array")
    fields = about if isinstance(about, dict) else {}
    kind, shape, place = (fields.get(key) for key in ("dtype", "shape", "data_offsets"))
    if kind != BFLOAT16 and (not isinstance(kind, str) or kind not in DTYPES):
        raise ValueError(f"{shown} has the type {printable(kind)}, which is not read")
    if not _are_lengths(shape) or len(shape) > MOST_DIMENSIONS:
        raise ValueError(f"{shown} has the shape {printable(shape)}")
    if not _are_lengths(place) or len(place) != 2:
        raise ValueError(f"{shown} lies at {printable(place)}")
    size = 2 if kind == BFLOAT16 else np.dtype(DTYPES[kind]).itemsize
    if place[1] - place[0] != math.prod(shape) * size:
        raise ValueError(f"{shown} has {place[1] - place[0]} bytes for the shape {shape}")
    return _Entry(name, kind, shape, *place)


def _are_lengths(value):
    return isinstance(value, list) and all(type(one) is int and one >= 0 for one in value)


def _check_places(entries, size):
    """ValueError unless the arrays fill the ``size`` bytes, one after another."""
    place = 0
    for entry in entries:
        if entry.begin != place:
            raise ValueError(f"{entry.name} begins at {entry.begin} and not at {place}")
        place = entry.end
    if place != size:
        raise ValueError(f"it has {size:,} bytes of values, and its header speaks of {place:,}")


def _values(file, entry):
    data = file.read(entry.end - entry.begin)
    if len(data) != entry.end - entry.begin:
        raise ValueError("it became shorter while it was read")
    if entry.kind != BFLOAT16:
        return np.frombuffer(data, DTYPES[entry.kind]).reshape(entry.shape)
    halves = np.frombuffer(data, "<u2").astype("<u4")
    return (halves << 16).view("<f4").reshape(entry.shape)


def write(
    path: str, arrays: Mapping[str, np.ndarray], metadata: Optional[Mapping[str, str]] = None
) -> None:
    """Write a file, so that a power cut leaves the old one or the new one.

    Raises UserError if it cannot be written, and ValueError for a type that safetensors does not
    have.
    """
    try:
        with open(path + ".new", "wb") as file:
            header = json.dumps(_described(arrays, metadata), separators=(",", ":")).encode()
            header += b" " * (-len(header) % 8)
            file.write(struct.pack("<Q", len(header)) + header)
            for array in arrays.values():
                file.write(np.ascontiguousarray(array).data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(path + ".new", path)
        sync_folder(path)
    except OSError as error:
        raise UserError(f"{printable(path)}: cannot be written: {error.strerror}") from error


def _described(arrays, metadata):
    header: Dict[str, Any] = {METADATA: dict(metadata)} if metadata else {}
    kinds, place = {dtype: kind for kind, dtype in DTYPES.items()}, 0
    for name, array in arrays.items():
        if str(array.dtype) not in kinds:
            raise ValueError(f"{name}: safetensors has no {array.dtype}")
        ends = [place, place + array.nbytes]
        header[name] = dict(
            dtype=kinds[str(array.dtype)], shape=list(array.shape), data_offsets=ends
        )
        place = ends[1]
    return header
