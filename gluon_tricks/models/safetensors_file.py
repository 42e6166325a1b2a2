"""Safetensors files, in which PyTorch users exchange weights without pickles.

They are read by the package ``safetensors``, which checks header, shapes and offsets of all arrays
against the file's size before it creates any of them. It reads from bytes, since it would otherwise
map the file into memory, and a file that is truncated meanwhile would crash the process. Its NumPy
interface lacks bfloat16, so the arrays are created here. They are also written here, because the
package orders the metadata at random, and the same weights should give the same bytes. The format
(little endian; https://github.com/huggingface/safetensors):

    uint64 length of the header; the header, JSON in UTF-8, padded with blanks; the values
    header: {"__metadata__": {text: text}, name: {"dtype", "shape", "data_offsets": [begin, end]}}
"""

import json
import struct
from typing import Dict, Mapping, Optional

import numpy as np

from ..errors import UserError
from ..files import plain_file, replacing

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
METADATA = "__metadata__"


def read(path: str) -> Dict[str, np.ndarray]:
    """The arrays of a file by name; bfloat16 becomes float32, without loss.

    Raises ValueError saying what is wrong with it, OSError if it cannot be read, and UserError
    without the package ``safetensors``.
    """
    package = _package()
    with open(path, "rb", opener=plain_file) as file:
        data = file.read()
    try:
        entries = package.deserialize(data)
    except package.SafetensorError as error:
        raise ValueError(str(error)) from None
    return {name: _array(name, **about) for name, about in entries}


def metadata(path: str) -> Dict[str, str]:
    """The metadata of a file, without its arrays; errors as of :func:`read`."""
    package = _package()
    with open(path, "rb", opener=plain_file):
        pass  # the package would wait for a pipe
    try:
        with package.safe_open(path, "np") as file:
            return file.metadata() or {}
    except package.SafetensorError as error:
        raise ValueError(str(error)) from None


def _package():
    try:
        import safetensors
    except ImportError:
        raise UserError(
            "safetensors is not installed: pip install 'gluon-tricks[safetensors]'"
        ) from None
    return safetensors


def _array(name, dtype, shape, data):
    try:
        if dtype == "BF16":  # the upper half of a float32
            return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4").reshape(shape)
        return np.frombuffer(data, DTYPES[dtype]).reshape(shape)
    except KeyError:
        raise ValueError(f"{name} has the type {dtype}, which is not supported") from None
    except ValueError:
        raise ValueError(f"{name} has the shape {shape}") from None


def write(
    path: str, arrays: Mapping[str, np.ndarray], about: Optional[Mapping[str, str]] = None
) -> None:
    """Write a file with the metadata ``about``; a power cut leaves the old file or the new one.

    Raises UserError if it cannot be written, and ValueError for a type that safetensors lacks.
    """
    header = json.dumps(_header(arrays, about), separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        for array in arrays.values():
            file.write(np.ascontiguousarray(array).data)


def _header(arrays, about):
    header = {METADATA: dict(about)} if about else {}
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
