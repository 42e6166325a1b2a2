"""A JPEG's parts, and a smaller JPEG that holds what a crop needs: cut out of the file, not decoded
and encoded again.

To find a pixel's bits in a JPEG's coded data, all bits before them have to be decoded, unless there
are restart markers: two bytes after a fixed number of MCUs (minimum coded units, of 8 x 8 to
32 x 32 pixels), after which decoding starts afresh. The data between two of them are called an
interval here. From a file with markers in every row, the intervals under a crop are joined to a
JPEG of their own. From one without, only what is below the crop can be left out, by a smaller
height in the header.

A segment of our own in the header (:func:`with_table`) has the length of each interval, so that
nobody has to search for the markers; other readers skip it.
"""

import functools
import struct
from typing import NamedTuple

import numpy as np

BEGIN, END, SCAN = b"\xff\xd8\xff", b"\xff\xd9", b"\xff\xda"
FRAMES = tuple(marker for marker in range(0xC0, 0xD0) if marker not in (0xC4, 0xC8, 0xCC))
SEQUENTIAL_FRAMES, RESTART_INTERVAL, APPLICATION = (0xC0, 0xC1), 0xDD, 0xEB
BLOCK = 8  # pixels on each side
TABLE = b"gluon_tricks pieces\0"  # begins our segment; lengths follow, big-endian uint16
SEGMENT = struct.Struct(">xBH")  # a marker, and the length of its segment


class Scan(NamedTuple):
    """A sequential JPEG whose components are all in one scan."""

    height: int
    width: int
    size_at: int  # the place of height and width in the header, two bytes each
    mcu: tuple  # (height, width) of an MCU, in pixels
    interval: int  # MCUs from one restart marker to the next; 0 if there are none
    start: int  # of the coded data
    table: tuple  # start and end of our table of intervals, or None


class Window(NamedTuple):
    """A JPEG of ``height`` x ``width`` pixels, which begin at (``top``, ``left``) of the one it was
    cut from.
    """

    payload: bytes
    top: int
    left: int
    height: int
    width: int


def segments(payload):
    """Yields ``(marker, start, end)`` of each whole segment before a JPEG's image data, up to a
    damaged one.
    """
    place = 2
    while place + 4 <= len(payload) and payload[place] == 0xFF and payload[place + 1] != SCAN[1]:
        marker, length = SEGMENT.unpack_from(payload, place)
        start, place = place + 4, place + 2 + length
        if place <= len(payload):
            yield marker, start, place


def one_scan(payload):
    """The :class:`Scan` of a JPEG; None if it is progressive, has several scans or a damaged
    header.
    """
    frame, end, interval, table = b"", 2, 0, None
    for marker, start, end in segments(payload):
        if marker in SEQUENTIAL_FRAMES:
            frame, size_at = payload[start:end], start + 1
        elif marker == RESTART_INTERVAL and end - start == 2:
            (interval,) = struct.unpack_from(">H", payload, start)
        elif marker == APPLICATION and payload.startswith(TABLE, start, end):
            table = start + len(TABLE), end
    # A scan's header: the marker, its length, the number of components, and more.
    if len(frame) < 6 or payload[end : end + 2] != SCAN or payload[end + 4 : end + 5] != frame[5:6]:
        return None
    mcu = _mcu(frame[7::3])
    start = end + 2 + struct.unpack_from(">H", payload, end + 2)[0]
    return (
        Scan(*struct.unpack_from(">HH", frame, 1), size_at, mcu, interval, start, table)
        if mcu
        else None
    )


def with_table(payload):
    """The JPEG with the lengths of its intervals in its header, if it has restart markers and they
    are right.
    """
    scan = one_scan(payload)
    if scan is None or not scan.interval or scan.table:
        return payload
    mcus = _ceil(scan.height, scan.mcu[0]) * _ceil(scan.width, scan.mcu[1])
    bounds = _bounds(payload, scan, _ceil(mcus, scan.interval))
    if bounds is None:
        return payload
    lengths = np.diff(bounds)
    data = TABLE + lengths.astype(">u2").tobytes()
    if max(len(data) + 2, *lengths) >= 1 << 16:  # the format's limit, and ours
        return payload
    segment = struct.pack(">BBH", 0xFF, APPLICATION, len(data) + 2) + data
    place = scan.size_at - 5  # the start of the frame's segment
    return payload[:place] + segment + payload[place:]


@functools.lru_cache(maxsize=64)  # all images of a data set have the same few
def _mcu(factors):
    """The size of an MCU, from each component's sampling factors (horizontal << 4 | vertical)."""
    if len(factors) == 1:  # coded block by block, whatever its factors are
        return BLOCK, BLOCK
    high, wide = max(factor & 15 for factor in factors), max(factor >> 4 for factor in factors)
    return (BLOCK * high, BLOCK * wide) if high and wide else None


def window(payload, scan, y, x, height, width):
    """The smallest :class:`Window` of a JPEG in which the pixels of this crop are those of the
    whole image.

    None if it would be the whole, or if the restart markers are not those that the header announces
    or do not enclose rectangles. In a window of a JPEG without markers the data continue below its
    last row.
    """
    # Chroma is smoothed with its neighbours, so one more pixel is needed on each side.
    top, left, bottom, right = max(0, y - 1), max(0, x - 1), y + height + 1, x + width + 1
    return (
        _intervals(payload, scan, top, left, bottom, right)
        if scan.interval
        else _upper_rows(payload, scan, bottom)
    )


def _upper_rows(payload, scan, bottom):
    height = _ceil(bottom, scan.mcu[0]) * scan.mcu[0]
    if height >= scan.height:
        return None
    upper = b"".join(
        [_header(payload, scan, height, scan.width), memoryview(payload)[scan.start :]]
    )
    return Window(upper, 0, 0, height, scan.width)


def _intervals(payload, scan, top, left, bottom, right):
    across = _ceil(scan.width, scan.mcu[1])
    if across % scan.interval and scan.interval % across:
        return None
    interval_height = scan.mcu[0] * max(1, scan.interval // across)
    interval_width = scan.mcu[1] * min(across, scan.interval)
    rows, columns = _ceil(scan.height, interval_height), _ceil(scan.width, interval_width)
    top, bottom = top // interval_height, min(rows, _ceil(bottom, interval_height))
    left, right = left // interval_width, min(columns, _ceil(right, interval_width))
    if (bottom - top) * (right - left) == rows * columns:
        return None
    bounds = _bounds(payload, scan, rows * columns)
    if bounds is None:
        return None
    begins, ends = (
        at.reshape(rows, columns)[top:bottom, left:right] for at in (bounds[:-1], bounds[1:])
    )
    height = min(scan.height, bottom * interval_height) - top * interval_height
    width = min(scan.width, right * interval_width) - left * interval_width
    cut = _joined(_header(payload, scan, height, width), payload, begins, ends)
    return Window(cut, top * interval_height, left * interval_width, height, width)


def _joined(header, payload, begins, ends):
    """A JPEG of the intervals of a payload from begins to ends, both int64 (rows, columns)."""
    whole = memoryview(payload)  # whose slices are no copies
    kept = [whole[begin:end] for begin, end in zip(begins[:, 0].tolist(), ends[:, -1].tolist())]
    cut = bytearray().join([header] + kept)
    codes_at = np.cumsum(ends - begins) + (len(header) - 1)
    np.frombuffer(cut, np.uint8)[codes_at] = np.frombuffer(_marker_codes(ends.size), np.uint8)
    return cut


def _header(payload, scan, height, width):
    """The bytes before the coded data, with another size."""
    size = struct.pack(">HH", height, width)
    return payload[: scan.size_at] + size + payload[scan.size_at + len(size) : scan.start]


def _bounds(payload, scan, count):
    """Where each of ``count`` intervals begins, and where the last one's marker ends (int64); None
    if markers are wrong.
    """
    # no room for so many markers: the header is damaged
    if 2 * count > len(payload) - scan.start:
        return None
    data, codes = np.frombuffer(payload, np.uint8), _marker_codes(count)
    bounds = np.empty(count + 1, np.int64)
    bounds[0] = scan.start
    if scan.table and scan.table[1] - scan.table[0] == 2 * count:
        bounds[1:] = np.frombuffer(payload, ">u2", count, scan.table[0])
        ends = np.add.accumulate(bounds, out=bounds)[1:]
        if bounds[-1] <= len(data) and data.take(ends - 1).tobytes() == codes:
            return bounds
    after_ones = np.flatnonzero(data[scan.start : -1] == 0xFF) + (scan.start + 1)
    # in coded data a zero follows
    found = after_ones[data[after_ones] != 0][:count]
    if data[found].tobytes() != codes:
        return None
    bounds[0], bounds[1:] = scan.start, found + 1
    return bounds


@functools.lru_cache(maxsize=1024)
def _marker_codes(count):
    """The second bytes of the markers after ``count`` intervals: 0xD0 to 0xD7 in turn, and
    finally that of the image's end.
    """
    return bytes(0xD0 + i % 8 for i in range(count - 1)) + END[1:]


def _ceil(count, size):
    return -(-count // size)
