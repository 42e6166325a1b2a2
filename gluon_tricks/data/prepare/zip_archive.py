"""Where the files are inside a zip, to read them in any order and from any thread, without
unpacking it.
"""

import struct
import zipfile
import zlib
from typing import List, NamedTuple

from ...errors import UserError
from ..file_reading import read_bytes

LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, lengths of the name and of what follows it
SIGNATURE = b"PK\3\4"
STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
ENCRYPTED = 1  # a bit of the flags
MOST_UNPACKED = 1 << 26  # bytes of a file: images and lists have less


class Member(NamedTuple):
    """A file inside a zip, from the directory at the zip's end."""

    name: str
    offset: int  # of its own header
    packed: int  # bytes
    size: int  # bytes when it is unpacked
    method: int
    checksum: int
    encrypted: bool


def members(path: str) -> List[Member]:
    """The files in a zip, folders apart; UserError if it cannot be read, or holds one twice."""
    try:
        with zipfile.ZipFile(path) as archive:
            found = archive.infolist()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error) as error:
        raise UserError(f"{path}: is not a complete zip: {error}") from error
    files, seen = [entry for entry in found if not entry.is_dir()], set()
    for entry in files:
        if entry.filename in seen:
            raise UserError(f"{path}: holds {entry.filename} twice")
        seen.add(entry.filename)
    return [
        Member(
            entry.filename,
            entry.header_offset,
            entry.compress_size,
            entry.file_size,
            entry.compress_type,
            entry.CRC,
            bool(entry.flag_bits & ENCRYPTED),
        )
        for entry in files
    ]


def read(descriptor: int, member: Member, path: str) -> bytes:
    """The bytes of a file; ValueError if they are damaged, or too many."""
    if member.encrypted or member.method not in (STORED, DEFLATED):
        raise ValueError(f"is encrypted, or packed in an uncommon way ({member.method})")
    if max(member.size, member.packed) > MOST_UNPACKED:
        raise ValueError(f"holds more than {MOST_UNPACKED:,} bytes")
    header = read_bytes(descriptor, LOCAL_HEADER.size, member.offset, path)
    signature, name_length, extra_length = LOCAL_HEADER.unpack(header)
    if signature != SIGNATURE:
        raise ValueError(f"is not at byte {member.offset} of the zip, as its directory says")
    start = member.offset + LOCAL_HEADER.size + name_length + extra_length
    data = read_bytes(descriptor, member.packed, start, path)
    if member.method == DEFLATED:
        data = _inflated(data, member.size)
    if len(data) != member.size or zlib.crc32(data) != member.checksum:
        raise ValueError("is damaged: its bytes are not those of the zip's checksum (CRC-32)")
    return data


def _inflated(data, size):
    try:
        # One byte more shows whether it is longer than the directory says, and so damaged.
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size + 1)
    except zlib.error as error:
        raise ValueError(f"is damaged: {error}") from None
