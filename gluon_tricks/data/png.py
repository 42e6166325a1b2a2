"""The chunks that a PNG is made of, each with a checksum."""

import struct
import zlib
from typing import Iterator, Tuple, Union

import numpy as np

from .formats import PNG as SIGNATURE

HEADER = struct.Struct(">IIBBBBB")  # width, height, bits, colour, and three methods
GREY, PALETTE = 0, 3  # of the header's colours, those of one number a pixel


def chunks(payload: bytes) -> Iterator[Tuple[bytes, bytes]]:
    """``(kind, content)`` of each chunk, the first with a whole :data:`HEADER`, up to the one that
    ends the image.

    ValueError if one is not whole or has a wrong checksum.
    """
    place, kind = len(SIGNATURE), b""
    while kind != b"IEND":
        if place + 12 > len(payload):
            raise ValueError("truncated PNG")
        first = not kind
        length, kind = struct.unpack_from(">I4s", payload, place)
        end = place + 12 + length
        if (
            end > len(payload)
            or zlib.crc32(payload[place + 4 : end - 4])
            != struct.unpack_from(">I", payload, end - 4)[0]
            or first != (kind == b"IHDR")
            or (first and length != HEADER.size)
        ):
            raise ValueError(f"damaged PNG: chunk {kind!r} at byte {place}")
        yield kind, payload[place + 8 : end - 4]
        place = end


def chunk(kind: bytes, content: Union[bytes, bytearray]) -> bytes:
    """The bytes of a chunk."""
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def with_palette(mask: np.ndarray, colors: np.ndarray) -> bytes:
    """A PNG whose pixels are the numbers in ``mask``, uint8 (H, W), each shown in its color of
    ``colors``, uint8 (256, 3).
    """
    height, width = mask.shape
    rows = np.zeros((height, 1 + width), np.uint8)  # each begins with 0: it is not filtered
    rows[:, 1:] = mask
    parts = (
        (b"IHDR", HEADER.pack(width, height, 8, PALETTE, 0, 0, 0)),
        (b"PLTE", colors.astype(np.uint8).tobytes()),
        (b"IDAT", zlib.compress(rows.tobytes())),
        (b"IEND", b""),
    )
    return SIGNATURE + b"".join(chunk(kind, content) for kind, content in parts)
