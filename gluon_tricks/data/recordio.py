"""MXNet's RecordIO format at the level of bytes.

A file is a sequence of records, each starting at a multiple of four bytes::

    uint32 magic 0xced7230a | uint32 flag << 29 | length | body | zeros up to a multiple of four

If the body itself holds the magic at a multiple of four, the record is cut there into parts with
flag 1 (first), 2 (middle) and 3 (last), without the magic; flag 0 is a record in one part. An image
record's body is ``uint32 count, float32 label, uint64 id, uint64 id2``, then ``count`` float32
labels, which replace the one before if count > 0, then the encoded image. All numbers are
little-endian.

MXNet's tools write 0 as id2, and none of them reads it. Ours write a CRC-32 of the body's other
bytes there, marked as such: three in four JPEGs with a flipped bit decode without an error, to a
wrong picture.
"""

import contextlib
import struct
import zlib
from typing import NamedTuple, Optional

import numpy as np

from ..errors import UserError

MAGIC = 0xCED7230A
MAGIC_BYTES = struct.pack("<I", MAGIC)
LENGTH_BITS = 29
LENGTH_MASK = (1 << LENGTH_BITS) - 1
FRAME = struct.Struct("<II")
IMAGE_HEADER = struct.Struct("<IfQQ")
CHECKSUM = struct.Struct("<I4s")  # id2 of a record that has its CRC-32
PLAIN = struct.Struct("<IIIfQI4s")  # FRAME and IMAGE_HEADER with CHECKSUM: all before a payload
CHECKSUM_AT, CHECKSUM_MARK = 16, b"=crc"
WHOLE, FIRST, MIDDLE, LAST = range(4)


class RecordError(UserError):
    """A record or its file is damaged; ``path``, and ``key`` if the record is known, say which."""

    def __init__(self, path, key, problem):
        self.path, self.key, self.problem = str(path), key, problem
        where = self.path if key is None else f"{self.path}, record {key}"
        super().__init__(f"{where}: {problem}")

    def __reduce__(self):
        return RecordError, (self.path, self.key, self.problem)


def pack_image(key, label, payload):
    """The body of an image record; ``label`` is a number, or a 1-d array written as that many
    float32.
    """
    count = 0
    if np.ndim(label) != 0:
        labels = np.asarray(label, dtype="<f4").ravel()
        if not labels.size:
            raise ValueError("no label; the format would read it as label 0")
        count, label, payload = labels.size, 0.0, labels.tobytes() + payload
    header = IMAGE_HEADER.pack(count, label, key, 0)
    id2 = CHECKSUM.pack(checksum(header, payload), CHECKSUM_MARK)
    return header[:CHECKSUM_AT] + id2 + payload


def unpack_image(body):
    """``(id, label, payload)`` of a body; label is a float or a float32 array. ValueError if it is
    too short, or its checksum is wrong.
    """
    if len(body) < IMAGE_HEADER.size:
        raise ValueError(f"holds {len(body)} bytes, too few for an image record")
    flag, label, identity, _ = IMAGE_HEADER.unpack_from(body)
    written = checksum_of(body)
    if written is not None and written != checksum(body, memoryview(body)[IMAGE_HEADER.size :]):
        raise ValueError(
            "its bytes are not those that were written (CRC-32): copy or prepare the file again "
            "(a program that changes records has to write 0 as their id2)"
        )
    start = IMAGE_HEADER.size + 4 * flag
    if flag:
        if len(body) < start:
            raise ValueError(f"announces {flag} labels, but holds {len(body)} bytes")
        label = np.frombuffer(body, dtype="<f4", count=flag, offset=IMAGE_HEADER.size).astype(
            np.float32
        )
    return identity, label, body[start:]


class Plain(NamedTuple):
    """The beginning of an image record in one part, with one label."""

    label: float
    identity: int
    size: int  # of the payload, which follows, in bytes
    checksum: Optional[int]
    head: bytes  # of the body: what its checksum begins with

    def is_of(self, payload: bytes) -> bool:
        """Does the payload fit the checksum? True if there is none."""
        return self.checksum is None or zlib.crc32(payload, zlib.crc32(self.head)) == self.checksum


def plain(data: bytes) -> Optional[Plain]:
    """The beginning of a record in a file, from its first PLAIN.size bytes; None if it has another
    form or is damaged: :func:`read_frame` and :func:`unpack_image` know all forms.
    """
    magic, word, labels, label, identity, written, mark = PLAIN.unpack(data)
    flag, size = word >> LENGTH_BITS, (word & LENGTH_MASK) - IMAGE_HEADER.size
    if magic != MAGIC or flag != WHOLE or labels or size < 0:
        return None
    head = data[FRAME.size : FRAME.size + CHECKSUM_AT]
    return Plain(label, identity, size, written if mark == CHECKSUM_MARK else None, head)


def checksum(header, rest):
    """CRC-32 of an image record's body: of its header up to id2, and of what comes after."""
    return zlib.crc32(rest, zlib.crc32(header[:CHECKSUM_AT]))


def checksum_of(body):
    """The CRC-32 in an image record's body; None if it has none, as those of MXNet's tools."""
    written, mark = CHECKSUM.unpack_from(body, CHECKSUM_AT)
    return written if mark == CHECKSUM_MARK else None


def frame(body):
    """The bytes in the file for a record with this body; ValueError when it is too long for the
    format.
    """
    if len(body) > LENGTH_MASK:
        raise ValueError(f"{len(body)} bytes; a record holds less than 512 MiB")
    parts, start = [], 0
    cut = body.find(MAGIC_BYTES)
    while cut >= 0:
        if cut % 4 == 0:
            parts.append(body[start:cut])
            start = cut + 4
        cut = body.find(MAGIC_BYTES, cut + 4)  # its four bytes differ, so two magics never overlap
    parts.append(body[start:])
    framed = []
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        flag = (WHOLE if last else FIRST) if number == 0 else (LAST if last else MIDDLE)
        framed += [FRAME.pack(MAGIC, flag << LENGTH_BITS | len(part)), part]
    return b"".join(framed) + bytes(-len(body) % 4)


def read_frame(read, size):
    """``(body, length in the file)`` of the record whose bytes ``read(start, count)`` gives.

    ``size`` is the number of bytes from the record's beginning to the file's end. ValueError says
    what is wrong.
    """
    parts, end = [], 0
    for start, end in frame_parts(read, 0, size):
        parts.append(read(start, end - start))
    return (parts[0] if len(parts) == 1 else MAGIC_BYTES.join(parts)), end + -end % 4


def frame_parts(read, place, size):
    """Yield ``(start, end)`` of the bytes of each part of the record at ``place`` in a file of
    ``size`` bytes.

    ValueError if the record is broken.
    """
    flags = WHOLE, FIRST
    while True:
        if place + FRAME.size > size:
            raise ValueError("truncated: the file ends inside it")
        magic, word = FRAME.unpack(read(place, FRAME.size))
        if magic != MAGIC:
            raise ValueError(
                "no record begins at its place; index and file disagree, or it is damaged"
            )
        flag, length = word >> LENGTH_BITS, word & LENGTH_MASK
        if flag not in flags:
            raise ValueError(f"its parts are out of order (flag {flag})")
        start = place + FRAME.size
        place = start + length + -length % 4
        if place > size:
            raise ValueError(
                f"truncated: {length} bytes announced, {size - start} left in the file"
            )
        yield start, start + length
        if flag in (WHOLE, LAST):
            return
        flags = MIDDLE, LAST


def scan(read, size):
    """``(offset, length in the file, problem or None)`` of each record from a file's beginning to
    its end.

    ``read(start, count)`` gives the file's bytes. After damage the scan resumes at the next offset
    at which a whole record begins; the damaged stretch comes out as one record with its problem.
    The time is proportional to ``size``, whatever the bytes are.
    """
    offset, damaged = 0, OffsetSet()
    while offset < size:
        try:
            end = record_end(read, offset, size, damaged)
        except ValueError as error:
            start, offset = offset, next_beginning(read, offset + 4, size, damaged)
            yield start, offset - start, str(error)
        else:
            yield offset, end - offset, None
            offset = end


def record_end(read, offset, size, damaged):
    """The end of the record at ``offset``, as :func:`read_frame` finds it; ValueError if it is
    broken.

    ``damaged`` holds the offsets of later parts that are known to lead to damage; those of this
    record are added. So if many beginnings share their parts, only the first one walks them all.
    """
    try:
        for start, end in frame_parts(read, offset, size):
            if start - FRAME.size in damaged:
                raise ValueError("its later parts are damaged")
    except ValueError:
        with contextlib.suppress(ValueError):
            for number, (start, _) in enumerate(frame_parts(read, offset, size)):
                if start - FRAME.size in damaged:
                    break
                if number:
                    damaged.add(start - FRAME.size)
        raise
    return end + -end % 4


class OffsetSet:
    """A set of multiples of four that takes a bit for each, so that no file can make it large."""

    PAGE = 1 << 13  # bytes of the file whose bits are in one Python integer

    def __init__(self):
        self._pages = {}

    def add(self, offset):
        page, within = divmod(offset, self.PAGE)
        self._pages[page] = self._pages.get(page, 0) | 1 << within // 4

    def __contains__(self, offset):
        page, within = divmod(offset, self.PAGE)
        return bool(self._pages.get(page, 0) >> within // 4 & 1)


def next_beginning(read, offset, size, damaged):
    """The next multiple of four from ``offset`` on at which a whole record begins, or ``size``."""
    block = 1 << 12  # growing, as the next record is mostly near
    while offset < size:
        data = read(offset, min(block, size - offset))
        found = data.find(MAGIC_BYTES)
        while found >= 0:
            start = offset + found
            if start % 4 == 0:
                with contextlib.suppress(ValueError):
                    record_end(read, start, size, damaged)
                    return start
            found = data.find(MAGIC_BYTES, found + 1)
        offset += max(4, (len(data) - 3) // 4 * 4)  # a magic number may be split over two blocks
        block = min(2 * block, 1 << 20)
    return size
