"""RecordIO files in MXNet's own format (see recordio.py), read by index and written whole or not at
all.

Next to ``name.rec`` is the index ``name.idx`` with a line ``key TAB offset`` for each record.
MXNet is not needed.
"""

import contextlib
import os
from typing import Any, Dict, Optional, Tuple, Union

import numpy as np

from ..errors import UserError
from ..files import named_errors, sync_folder
from . import recordio
from .file_reading import open_for_reading, read_bytes
from .part_file import open_part
from .record_index import index_path_of, read_index
from .recordio import RecordError

# bytes; an index may list few of a file's records, so the gap to the next can be huge
READ_AT_ONCE = 1 << 20
Path = Union[str, "os.PathLike[str]"]
Label = Union[float, np.ndarray]  # one number, or as many as the record has


class RecordFile:
    """Image records by position in their index; ``read`` may be called from many threads at once.

    ``keys`` (int64) are in the order of the index. Raises UserError when a file is missing or
    cannot be read, RecordError when the index points outside the file or the file does not begin as
    RecordIO does.
    """

    def __init__(self, path: Path, index_path: Optional[Path] = None) -> None:
        self.path = str(path)
        self.index_path = str(index_path) if index_path else index_path_of(path)
        self._descriptor, self.size = open_for_reading(path)
        try:
            if self.size < 4 or read_bytes(self._descriptor, 4, 0, path) != recordio.MAGIC_BYTES:
                raise RecordError(path, None, "is not a RecordIO file")
            self.keys, self.offsets = read_index(self.index_path, path)
            wrong = np.flatnonzero(
                (self.offsets < 0) | (self.offsets >= self.size) | (self.offsets % 4 != 0)
            )
            if wrong.size:
                raise RecordError(
                    path,
                    int(self.keys[wrong[0]]),
                    f"{self.index_path} points to byte {self.offsets[wrong[0]]} of {self.size}, "
                    "where no record can begin",
                )
            order = np.argsort(self.offsets, kind="stable")
            self._refuse_duplicates(self.offsets, order, "offset")
            self._refuse_duplicates(self.keys, np.argsort(self.keys, kind="stable"), "key")
        except BaseException:
            self.close()
            raise
        # An index that was made from a file whose ids cannot be keys numbers the records in the
        # file's order.
        self._numbered = np.array_equal(self.keys[order], np.arange(len(order)))
        ends = np.append(self.offsets[order][1:], self.size)
        self._extents = np.empty_like(self.offsets)
        self._extents[order] = ends - self.offsets[order]

    def __len__(self) -> int:
        return len(self.keys)

    def _refuse_duplicates(self, numbers, order, what):
        """RecordError if two lines of the index have the same number; ``order`` sorts
        ``numbers``.
        """
        again = order[1:][numbers[order][1:] == numbers[order][:-1]]
        if again.size:
            line = int(again.min())
            raise RecordError(
                self.index_path,
                int(self.keys[line]),
                f"line {line + 1} has the same {what} as a line before it, {numbers[line]}; "
                f"'gluon-tricks records index --force {self.path}' makes the index again",
            )

    def read(self, position: int) -> Tuple[Label, bytes]:
        """``(label, payload)`` of the record at a position; label is a float or a float32 array.

        RecordError if it is damaged, or is not the record that the index names. The latter shows
        only in records with a checksum, which our writer makes: their ids are their keys.
        """
        data = self.read_beginning(position)
        plain = self._plain(position, data[: recordio.PLAIN.size])
        if plain:
            payload = data[recordio.PLAIN.size : recordio.PLAIN.size + plain.size]
            if len(payload) == plain.size and plain.is_of(payload):
                return plain.label, payload
        return self._read_any(position)

    def read_label(self, position: int) -> Label:
        """The label alone, which costs a small read."""
        offset, key = int(self.offsets[position]), int(self.keys[position])
        count = min(recordio.PLAIN.size, self.size - offset)
        data = read_bytes(self._descriptor, count, offset, self.path, key)
        plain = self._plain(position, data)
        return plain.label if plain else self._read_any(position)[0]

    def _plain(self, position, data):
        """The :class:`.recordio.Plain` of a record's first bytes; None if it is not of the common
        form, or not the record that the index names.
        """
        plain = recordio.plain(data) if len(data) == recordio.PLAIN.size else None
        if plain and self._is_other(self.keys[position], plain.identity, plain.checksum):
            return None
        return plain

    def _read_any(self, position):
        """As :meth:`read`, for a record of any form."""
        key, body = int(self.keys[position]), self.read_body(position)
        try:
            identity, label, payload = recordio.unpack_image(body)
        except ValueError as error:
            raise RecordError(self.path, key, str(error)) from None
        if self._is_other(key, identity, recordio.checksum_of(body)):
            raise RecordError(self.path, key, other_id(identity))
        return label, bytes(payload)

    def _is_other(self, key, identity, checksum):
        return identity != key and not self._numbered and checksum is not None

    def read_body(self, position: int) -> Union[bytes, memoryview]:
        """All bytes of the record at ``position`` of the index; bytes, or a memoryview."""
        key, offset = int(self.keys[position]), int(self.offsets[position])
        data = memoryview(self.read_beginning(position))  # a slice is no copy

        def read(start, count):
            if start + count <= len(data):
                return data[start : start + count]
            return read_bytes(self._descriptor, count, offset + start, self.path, key)

        try:
            return recordio.read_frame(read, self.size - offset)[0]
        except ValueError as error:
            raise RecordError(self.path, key, str(error)) from None

    def read_at(self, offset: int, count: int) -> bytes:
        """``count`` bytes of the file at ``offset``, whatever they belong to."""
        return read_bytes(self._descriptor, count, offset, self.path)

    def read_beginning(self, position: int) -> bytes:
        """The file's bytes from the record at ``position`` to the next one, at most READ_AT_ONCE;
        unchecked.
        """
        key, offset = int(self.keys[position]), int(self.offsets[position])
        count = min(int(self._extents[position]), READ_AT_ONCE, self.size - offset)
        return read_bytes(self._descriptor, count, offset, self.path, key)

    def __getstate__(self) -> Dict[str, Any]:
        """All but the descriptor: another process opens the file again."""
        state = dict(self.__dict__, _is_file=_identity(self._descriptor))
        del state["_descriptor"]
        return state

    def __setstate__(self, state: Dict[str, Any]) -> None:
        is_file = state.pop("_is_file")
        self.__dict__.update(state)
        self._descriptor, _ = open_for_reading(self.path)
        if _identity(self._descriptor) != is_file:
            self.close()
            raise RecordError(self.path, None, "is another file now than when it was opened")

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class RecordWriter:
    """Write image records; file and index appear together at a clean exit, and after an error
    nothing is left.

    ``resume`` continues the files that an interrupted writer left as ``path.part`` and
    ``index.part``: the pair ``(bytes of the file, bytes of the index)`` that its last ``sync``
    returned. What was written later is cut off.
    """

    def __init__(
        self,
        path: Path,
        index_path: Optional[Path] = None,
        resume: Optional[Tuple[int, int]] = None,
    ) -> None:
        self.path = str(path)
        self.index_path = str(index_path) if index_path else index_path_of(path)
        self._files = []
        # whether the parts are to outlive an error
        self.keep_parts = resume is not None
        try:
            for name, size in zip((self.path, self.index_path), resume or (0, 0)):
                file = open_part(name)
                self._files.append(file)
                file.truncate(size)
                file.seek(size)
        except OSError as error:
            self.abandon()
            raise UserError(
                f"{error.filename or path}: cannot be written: {error.strerror}"
            ) from error
        except BaseException:
            self.abandon()
            raise
        self._record, self._index = self._files

    def write(self, key: int, label: Label, payload: bytes) -> None:
        """Append one image record; ValueError when it is too long."""
        self.write_frame(key, recordio.frame(recordio.pack_image(key, label, payload)))

    def write_frame(self, key: int, framed: bytes) -> None:
        """Append a record that :func:`.recordio.frame` has framed."""
        with named_errors(self.path):
            self._index.write(b"%d\t%d\n" % (key, self._record.tell()))
            self._record.write(framed)

    def sync(self) -> Tuple[int, int]:
        """Flush all to the disk; returns the sizes (file, index) in bytes from which a writer can
        resume.
        """
        with named_errors(self.path):
            for file in self._files:
                file.flush()
                os.fsync(file.fileno())
            return self._record.tell(), self._index.tell()

    def finish(self) -> None:
        """Give both files their names."""
        self.sync()
        # A file without an index is an error that says what to do; one with an old index would be
        # worse.
        with named_errors(self.path):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.index_path)
            os.replace(self.path + ".part", self.path)
            os.replace(self.index_path + ".part", self.index_path)
            # the parts are gone: any that appear now are another writer's
            self.keep_parts = True
            sync_folder(self.path)
            sync_folder(self.index_path)

    def abandon(self) -> None:
        """Remove what was written unless ``keep_parts``, and close."""
        if not self.keep_parts:
            # before they are closed, which lets another writer have them
            for file in self._files:
                with contextlib.suppress(OSError):
                    os.unlink(file.name)
        self._close()

    def _close(self):
        for file in self._files:
            with contextlib.suppress(OSError):  # a full disk fails here once more
                file.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.finish()
        finally:
            self.abandon()


def _identity(descriptor):
    """What tells an open file from others, whatever its name."""
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


def other_id(identity: int) -> str:
    """What is wrong with a record whose id is not the index's key."""
    return (
        f"the record at its place has the id {identity}: the index is wrong or belongs to another "
        "file; 'gluon-tricks records index --force' makes it again"
    )
