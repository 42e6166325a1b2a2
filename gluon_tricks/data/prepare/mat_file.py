"""MATLAB's .mat files, in which some data sets have lists, read by SciPy within bounds."""

import contextlib
import io
import struct
import zlib
from typing import Any, Dict

from ...errors import UserError

HEADER, PACKED = 128, 15  # bytes before the first part; the kind of a part packed by zlib


def variables(data: bytes, place: str, most: int) -> Dict[str, Any]:
    """The variables in the bytes of a .mat file, without their dimensions of length 1.

    ``place`` names the file in messages. UserError if it cannot be read, or if its packed parts
    would become more than ``most`` bytes.
    """
    try:
        from scipy.io import loadmat
    except ImportError:
        raise UserError(f"{place} is read by SciPy: pip install scipy") from None
    refuse_large(data, place, most)
    try:
        return loadmat(io.BytesIO(data), squeeze_me=True)
    except Exception as error:  # loadmat raises nearly anything on damaged files
        raise UserError(f"{place} cannot be read: {error}") from error


def refuse_large(data: bytes, place: str, most: int) -> None:
    """UserError if the packed parts of a .mat file would become more than ``most`` bytes."""
    order = ">" if data[HEADER - 2 : HEADER] == b"MI" else "<"
    start, left = HEADER, most
    while start + 8 <= len(data):
        kind, length = struct.unpack_from(order + "II", data, start)
        if kind == PACKED:
            inside = zlib.decompressobj()
            with contextlib.suppress(zlib.error):  # loadmat reports what is wrong
                left -= len(inside.decompress(data[start + 8 : start + 8 + length], left + 1))
            if left < 0:
                raise UserError(f"{place} holds more than {most:,} bytes")
        start += 8 + length
