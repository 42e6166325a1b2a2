"""Reads MXNet's NDArray files (``mx.nd.save``) without trusting any number in them before a check
against the file's size.

``mx.nd.load`` allocates as much as a header asks for before it finds the data missing, and puts
arrays that were saved from a GPU back on that GPU. Here an array is created only if its values are
in the file, and always on the CPU. The format, little endian:

    uint64 0x112, uint64 0, uint64 number of arrays, each of them
        uint32 version, [int32 storage type (not in version 1)], int32 dimensions, int64 each,
        int32 device type, int32 device number, int32 type of the values, the values
    uint64 number of names (that of the arrays, or 0), each of them uint64 length, UTF-8
"""

import math
import os
import struct

import mxnet as mx
import numpy as np

from ..files import plain_file
from ..text import printable

LIST_MAGIC = 0x112
# dense only; with a storage type; with NumPy's shapes
V1, V2, V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
DENSE = 0
DTYPES = {
    0: "float32",
    1: "float64",
    2: "float16",
    3: "uint8",
    4: "int32",
    5: "int8",
    6: "int64",
    7: "bool",
}
MOST_DIMENSIONS = 32  # NumPy's limit
LONGEST = 2**31 - 1  # dimension in PyPI's builds of MXNet


def read(path):
    """The named arrays of a file, a dict of NDArrays on the CPU; a list if they have no names, {}
    for an empty file.

    Raises ValueError saying what is wrong with the file, and OSError if it cannot be read.
    """
    with open(path, "rb", opener=plain_file) as file:
        reader = _Reader(file)
        magic, _, count = reader.numbers("<3Q")
        if magic != LIST_MAGIC:
            raise ValueError("it does not begin like one")
        arrays = []
        while len(arrays) < count:
            arrays.append(_read_array(reader, len(arrays)))
        names = [_read_name(reader) for _ in range(_number_of_names(reader, count))]
        if reader.left:
            raise ValueError(f"{reader.left:,} bytes follow its last name")
    if arrays and not names:
        return arrays
    if len(set(names)) != len(names):
        raise ValueError("two arrays have the same name")
    return dict(zip(names, arrays))


class _Reader:
    """A file that is never read beyond its end."""

    def __init__(self, file):
        self._file = file
        self.left = os.fstat(file.fileno()).st_size

    def bytes(self, count):
        if count > self.left:
            raise ValueError("it ends too early")
        self.left -= count
        data = self._file.read(count)
        if len(data) != count:
            raise ValueError("it was truncated while it was read")
        return data

    def numbers(self, form):
        return struct.unpack(form, self.bytes(struct.calcsize(form)))


def _read_array(reader, number):
    (version,) = reader.numbers("<I")
    if version not in (V1, V2, V3):
        raise ValueError(f"array {number} has the unknown version {version:#x}")
    (storage,) = reader.numbers("<i") if version != V1 else (DENSE,)
    if storage != DENSE:
        raise ValueError(
            f"array {number} is sparse (storage type {storage}); only dense ones are read"
        )
    (dimensions,) = reader.numbers("<i")
    if not 0 <= dimensions <= MOST_DIMENSIONS:
        raise ValueError(f"array {number} has {dimensions} dimensions")
    shape = reader.numbers(f"<{dimensions}q")
    _device_type, _device_number, kind = reader.numbers("<3i")
    if kind not in DTYPES:
        raise ValueError(f"the values of array {number} have the unknown type {kind}")
    dtype = np.dtype(DTYPES[kind])
    if (
        not all(0 <= length <= LONGEST for length in shape)
        or math.prod(shape) * dtype.itemsize > reader.left
    ):
        raise ValueError(f"array {number} has the shape {shape}, more than the rest of the file")
    values = np.frombuffer(reader.bytes(math.prod(shape) * dtype.itemsize), dtype).reshape(shape)
    return mx.nd.array(values, ctx=mx.cpu(), dtype=dtype)


def _number_of_names(reader, arrays):
    (count,) = reader.numbers("<Q")
    if count not in (0, arrays):
        raise ValueError(f"it has {arrays} arrays and {count} names")
    return count


def _read_name(reader):
    (length,) = reader.numbers("<Q")
    name = reader.bytes(length).decode("utf-8", "surrogateescape")
    if not name.isprintable():  # nor valid UTF-8; a message may show it on a terminal
        raise ValueError(f"{printable(name)[:80]} is not the name of an array")
    return name
