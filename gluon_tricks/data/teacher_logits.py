"""A file of stored logits: a teacher's output for each image of a RecordIO file, by record key.

``gluon-tricks logits`` writes it and ``train --teacher-logits`` reads it, by rows. All numbers are
little-endian:

=========  =========================================================================
magic      8 bytes, ``GTLOGIT1``, of which the last is the format's version
length     of the header, uint32
header     JSON: the fields of :class:`About`; spaces fill it up, so that the rows
           begin at a multiple of 64 bytes
rows       records x classes numbers of ``dtype``, float16 or float32
index      for each row the key of its record, int64, and the row's CRC-32, uint32
seal       32 bytes, the SHA-256 of all that is before the rows, and of the index
=========  =========================================================================

The seal, which covers the rows' checksums too, is what a run remembers of the file. ImageNet's
1,281,167 images and 1,000 classes are 2.6 GB in float16, which is exact to about 0.005 for logits
up to 16.
"""

import contextlib
import hashlib
import json
import os
import shutil
import struct
import weakref
import zlib
from typing import Any, Dict, NamedTuple, Union

import numpy as np

from ..errors import UserError
from ..files import plain_file, sync_folder
from ..text import printable
from .file_reading import read_bytes
from .part_file import open_part, refuse_other_file

MAGIC = b"GTLOGIT1"
LENGTH = struct.Struct("<I")
ALIGNMENT = 64  # bytes
MOST_HEADER = 1 << 20  # bytes
DTYPES = ("float16", "float32")
INDEX = np.dtype([("key", "<i8"), ("crc", "<u4")])
SEAL = hashlib.sha256().digest_size
DISK_BLOCK = 512  # bytes; file systems write that many or more at once
BLOCK = 1024  # rows that are looked at together when an interrupted file is continued


class About(NamedTuple):
    """What stored logits are of: the header of their file."""

    records: int
    classes: int
    dtype: str  # one of DTYPES
    teacher: Dict[str, Any]  # source, kind, model, first_class, and sha256 of its files
    preprocessing: Dict[str, Any]  # of the images that it saw
    data: Dict[str, Any]  # the fingerprint of the RecordIO file

    @property
    def row_bytes(self) -> int:
        """Of the logits of one record."""
        return self.classes * np.dtype(self.dtype).itemsize

    def file_bytes(self, first_row: int) -> int:
        """Of a whole file whose rows begin at byte ``first_row``."""
        return first_row + self.records * (self.row_bytes + INDEX.itemsize) + SEAL


class TeacherLogits:
    """A file of stored logits, whose rows are read on demand.

    ``about`` is its header, ``keys`` (int64) are its records in their order, ``digest`` is the
    seal. Raises UserError if the file cannot be read, is cut off, or is damaged in its header or
    its index; damaged rows are found when they are read.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            file = open(path, "rb", opener=plain_file)
            weakref.finalize(self, file.close)
            size = os.fstat(file.fileno()).st_size
            head = read_head(file, size, path)
            self.about = parse_head(head, path)
            expected = self.about.file_bytes(len(head))
            if size != expected:
                raise _damaged(path, f"has {size} bytes instead of {expected}")
            file.seek(expected - SEAL - self.about.records * INDEX.itemsize)
            index = file.read(self.about.records * INDEX.itemsize)
            seal = file.read(SEAL)
        except OSError as error:
            raise UserError(f"{printable(path)}: cannot be read: {error.strerror}") from error
        if seal != seal_of(head, index):
            raise _damaged(path, "its header or its index has another checksum than it had")
        self.digest = seal.hex()
        entries = np.frombuffer(index, INDEX)
        self.keys, self._checksums = entries["key"].astype(np.int64), entries["crc"]
        self._order = np.argsort(self.keys, kind="stable")
        self._sorted = self.keys[self._order]
        if (self._sorted[1:] == self._sorted[:-1]).any():
            raise _damaged(path, "has two rows of one record")
        self._dtype = np.dtype(self.about.dtype).newbyteorder("<")
        self._descriptor, self._first_row = file.fileno(), len(head)

    def __len__(self) -> int:
        return len(self.keys)

    def places(self, keys: np.ndarray) -> np.ndarray:
        """The numbers of the rows of records with these keys; UserError names the first that has
        none.
        """
        found = np.searchsorted(self._sorted, keys).clip(max=len(self) - 1)
        absent = np.flatnonzero(self._sorted[found] != keys)
        if absent.size:
            raise UserError(
                f"{printable(self.path)}: has no logits of record {keys[absent[0]]}: it was made "
                "of other data"
            )
        return self._order[found]

    def rows(self, keys: np.ndarray) -> np.ndarray:
        """The logits of the records with these keys: a new array (n, classes), float32.

        UserError names a record that has no row, or whose row is damaged or cannot be read.
        """
        rows, size = np.empty((len(keys), self.about.classes), np.float32), self.about.row_bytes
        places = self.places(keys)
        for out, key, place, checksum in zip(rows, keys, places, self._checksums[places]):
            # mapped memory would end the process if the disk fails or the file becomes shorter
            row = read_bytes(
                self._descriptor, size, self._first_row + int(place) * size, self.path, key
            )
            if zlib.crc32(row) != checksum:
                raise _damaged(self.path, f"the logits of record {key} have another checksum")
            out[:] = np.frombuffer(row, self._dtype)
        return rows


class TeacherLogitsWriter:
    """Writes such a file row by row, as ``path.part``, which gets its name when it is whole.

    ``keys`` (int64) are those of all records, in the order in which their rows will come. If an
    interrupted writer left a ``path.part`` with the same header, its rows are kept, and ``done``
    is their number. Raises UserError if the file cannot be written, the disk is too small
    for it, or another process is writing it.
    """

    def __init__(self, path: str, about: About, keys: np.ndarray) -> None:
        self.path, self.about = path, about
        self._head = pack_head(about)
        self._index = np.zeros(about.records, INDEX)
        self._index["key"] = keys
        refuse_other_file(path, MAGIC, "stored logits")
        try:
            self._check_space()
            self._file = open_part(path)
            try:
                self.done = self._rows_left()
            except BaseException:
                with contextlib.suppress(OSError):  # a full disk fails here once more
                    self._file.close()
                raise
        except OSError as error:
            raise self._unwritable(error) from error

    def _rows_left(self):
        """How many rows an interrupted writer left; after them the file is cut off."""
        done, size = 0, self.about.row_bytes
        if self._file.read(len(self._head)) != self._head:
            self._file.seek(0)
            self._file.truncate()
            self._file.write(self._head)
        while done < self.about.records:
            place = self._file.tell()
            block = self._file.read(min(BLOCK, self.about.records - done) * size)
            rows = [block[start : start + size] for start in range(0, len(block), size)]
            whole = 0
            while whole < len(rows) and is_whole(rows[whole], size, place + whole * size):
                whole += 1
            self._note(done, rows[:whole])
            done += whole
            if whole < BLOCK:
                break
        self._file.seek(len(self._head) + done * size)
        self._file.truncate()
        return done

    def _note(self, done, rows):
        self._index["crc"][done : done + len(rows)] = [zlib.crc32(row) for row in rows]

    def _check_space(self):
        part = self.path + ".part"
        there = os.path.getsize(part) if os.path.exists(part) else 0
        left = self.about.file_bytes(len(self._head)) - there
        free = shutil.disk_usage(os.path.dirname(os.path.abspath(self.path))).free
        if left > free:
            raise UserError(
                f"{printable(self.path)}: {left / 1e9:.2f} GB are needed there, and the disk has "
                f"{free / 1e9:.2f} GB free"
            )

    def write(self, logits: np.ndarray) -> None:
        """Append the rows (n, classes) of the next records; UserError names one that does not fit
        the dtype.
        """
        with np.errstate(over="ignore"):
            stored = logits.astype(np.dtype(self.about.dtype).newbyteorder("<"))
        broken = np.flatnonzero(~np.isfinite(stored).all(axis=1))
        if broken.size:
            key = self._index["key"][self.done + broken[0]]
            raise UserError(
                f"the logits of record {key} reach {np.abs(logits[broken[0]]).max():g}, which "
                f"{self.about.dtype} cannot hold: take --dtype float32"
            )
        rows = [row.tobytes() for row in stored]
        try:
            self._file.write(b"".join(rows))
        except OSError as error:
            raise self._unwritable(error) from error
        self._note(self.done, rows)
        self.done += len(rows)

    def finish(self) -> None:
        """Write the index and the seal, and give the file its name."""
        assert self.done == self.about.records
        index = self._index.tobytes()
        try:
            self._file.write(index + seal_of(self._head, index))
            self._file.flush()
            os.fsync(self._file.fileno())
            os.replace(self._file.name, self.path)
            sync_folder(self.path)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error):
        return UserError(f"{printable(self.path)}: cannot be written: {error.strerror}")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.finish()
        finally:
            with contextlib.suppress(OSError):  # a full disk fails here once more
                self._file.close()  # what is there is for the next writer


def pack_head(about: About) -> bytes:
    """All that is before the rows."""
    text = json.dumps(about._asdict(), sort_keys=True).encode()
    filled = -(len(MAGIC) + LENGTH.size + len(text)) % ALIGNMENT
    text += b" " * filled
    return MAGIC + LENGTH.pack(len(text)) + text


def read_head(file: Any, size: int, path: str) -> bytes:
    """All that is before the rows, of a file of ``size`` bytes."""
    start = file.read(len(MAGIC) + LENGTH.size)
    if len(start) < len(MAGIC) + LENGTH.size or not start.startswith(MAGIC):
        raise UserError(
            f"{printable(path)}: is not a file of stored logits; 'gluon-tricks logits' makes one"
        )
    (length,) = LENGTH.unpack(start[len(MAGIC) :])
    if length > min(MOST_HEADER, size - len(start)):
        raise _damaged(path, f"its header would have {length} bytes")
    return start + file.read(length)


def parse_head(head: bytes, path: str) -> About:
    """The About in a header; UserError if it is damaged."""
    try:
        about = About(**json.loads(head[len(MAGIC) + LENGTH.size :]))
        numbers = (about.records, about.classes)
        right = all(type(number) is int and number > 0 for number in numbers)
        right &= about.dtype in DTYPES
        right &= all(type(part) is dict for part in about[3:])
    except (ValueError, TypeError, RecursionError):
        right = False
    if not right:
        raise _damaged(path, "its header does not say what it holds")
    return about


def is_whole(row: bytes, size: int, place: int) -> bool:
    """Whether a row at byte ``place`` of an interrupted file has all its bytes: it may be cut off,
    and after a power cut there may be zeros where a block of the disk was not written.
    """
    cuts = [0, *range(DISK_BLOCK - place % DISK_BLOCK, size, DISK_BLOCK), size]
    return len(row) == size and all(row[a:b].strip(b"\0") for a, b in zip(cuts, cuts[1:]))


def seal_of(head: bytes, index: Union[bytes, memoryview]) -> bytes:
    """The SHA-256 that a file ends with."""
    return hashlib.sha256(head + index).digest()


def _damaged(path, problem):
    return UserError(f"{printable(path)}: damaged: {problem}; make it again")
