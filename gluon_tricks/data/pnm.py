"""PPM, PGM and PBM, Netpbm's formats, whose greatest value may be any number up to 65535.

OpenCV takes it for 255, or for 65535 if it is larger, and so gives other brightnesses.
"""

import re
import warnings
from typing import NamedTuple

import numpy as np

BITMAPS, AS_TEXT, IN_COLOR = (1, 4), (1, 2, 3), (3, 6)
LARGEST = 65535
COMMENT = rb"#[^\n\r]*"
NUMBER = rb"(?:\s|" + COMMENT + rb"[\n\r])+(\d{1,9})"
HEADERS = [
    re.compile(rb"P[14]" + 2 * NUMBER + rb"\s"),
    re.compile(rb"P[2356]" + 3 * NUMBER + rb"\s"),
]


class Header(NamedTuple):
    kind: int  # 1 to 6
    height: int
    width: int
    largest: int  # what stands for full brightness
    start: int  # of the pixels


def header(payload):
    """The :class:`Header`, or None if the bytes do not begin as one of these formats does."""
    for form in HEADERS:
        found = form.match(payload)
        if found:
            width, height, largest = (*map(int, found.groups()), 1)[:3]
            return Header(int(payload[1:2]), height, width, largest, found.end())
    return None


def decode(payload, head):
    """RGB (height, width, 3) uint8, scaled so that the greatest value becomes 255; ValueError if
    damaged.
    """
    shape = head.height, head.width, 3 if head.kind in IN_COLOR else 1
    if not 1 <= head.largest <= LARGEST or 0 in shape:
        raise ValueError("its header is damaged")
    read = (
        _read_text if head.kind in AS_TEXT else _read_bits if head.kind in BITMAPS else _read_bytes
    )
    values = read(payload[head.start :], shape, head)
    if values.size and values.max() > head.largest:
        raise ValueError(
            f"has a value above {head.largest}, the greatest that its header announces"
        )
    levels = (510 * np.arange(head.largest + 1) + head.largest) // (2 * head.largest)
    if head.kind in BITMAPS:
        levels = levels[::-1]  # 1 is black
    image = levels.astype(np.uint8)[values].reshape(shape)
    return image if shape[2] == 3 else np.repeat(image, 3, axis=2)


def _read_bytes(data, shape, head):
    kind = np.dtype(np.uint8 if head.largest < 256 else ">u2")
    count = shape[0] * shape[1] * shape[2]
    _need(len(data), count * kind.itemsize)
    return np.frombuffer(data, kind, count)


def _read_bits(data, shape, head):
    row = -(-shape[1] // 8)
    _need(len(data), shape[0] * row)
    packed = np.frombuffer(data, np.uint8, shape[0] * row).reshape(shape[0], row)
    return np.unpackbits(packed, axis=1)[:, : shape[1]].ravel()


def _read_text(data, shape, head):
    data, count = re.sub(COMMENT, b"", data), shape[0] * shape[1] * shape[2]
    if head.kind in BITMAPS:
        data = re.sub(rb"([01])", rb"\1 ", data)  # its digits may stand together
    with warnings.catch_warnings():
        # parsing ends at what is no number, and then values are missing
        warnings.simplefilter("ignore")
        values = np.fromstring(data, np.int64, sep=" ")[:count]
    _need(len(values), count)
    if values.min() < 0:
        raise ValueError("has a value below zero")
    return values


def _need(there, needed):
    if there < needed:
        raise ValueError(f"truncated: {there} of {needed} bytes or values")
