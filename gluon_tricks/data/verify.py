"""Read a RecordIO file to its end: what is wrong with it, and what index belongs to it."""

import hashlib
import os
import struct
from typing import NamedTuple, Optional

import numpy as np

from ..errors import UserError
from ..files import write_text
from ..text import counted
from .file_reading import open_for_reading, prepared_sha256, read_bytes
from .mask_files import is_mask_path
from .parallel import Progress, ordered_map
from .record_checks import ImageCheck, MaskCheck, problem_of_names
from .record_index import index_path_of, read_index
from .recordio import (
    FRAME,
    IMAGE_HEADER,
    LENGTH_BITS,
    WHOLE,
    RecordError,
    checksum_of,
    read_frame,
    scan,
    unpack_image,
)
from .records import other_id

BLOCK = 1 << 20
NOT_AS_PREPARED = (
    "its bytes are not those that 'gluon-tricks prepare' wrote (SHA-256 in manifest.json); "
    "images in it may be wrong though they decode: copy or prepare it again"
)


class Problem(NamedTuple):
    """Something wrong with a record, or with the file if ``key`` and ``offset`` are None."""

    key: Optional[int]
    offset: Optional[int]
    problem: str

    def __str__(self):
        where = "" if self.key is None else f"record {self.key}"
        if self.offset is not None:
            where = f"{where} (byte {self.offset})" if where else f"byte {self.offset}"
        return f"{where}: {self.problem}" if where else self.problem


class Found(NamedTuple):
    """A stretch of the file that :func:`scan` took for a record, examined."""

    offset: int
    length: int
    whole: bool  # is it a record? else ``problem`` says what is damaged
    problem: Optional[str]
    identity: Optional[int] = None  # the record's id, if it is an image
    checked: bool = False  # does it have a checksum, which is right?


def verify(path, classes=None, workers=1):
    """``(number of whole records, how many of them have no checksum, [Problem])``.

    Every record's label is checked and its image decoded. Most flipped bits in a JPEG leave a
    picture that decodes, so the records' own checksums are compared, and the file's if
    :func:`prepared_sha256` knows it. UserError only if the file cannot be opened or is empty.
    """
    descriptor, size = open_for_reading(path)
    try:

        def read(start, count):
            return read_bytes(descriptor, count, start, path)

        records, problems, intact = [], [], FileDigest(path, read)
        offsets, index_problems = index_of(path)
        with check_of(path, classes) as check, Progress("verify", size) as progress:
            index_problems += [
                Problem(key, None, problem) for key, problem in check.of_keys(offsets)
            ]
            examined = ordered_map(
                lambda stretch: examine(stretch, read, size, offsets, check),
                scan(read, size),
                workers,
            )
            for found in examined:
                problems += problems_of(found, offsets)
                records.append(found)
                intact.add(found.offset, found.offset + found.length)
                progress.show(found.offset + found.length)
    finally:
        os.close(descriptor)
    wrong = [NOT_AS_PREPARED] if intact.differs() else []
    wrong += filter(None, [problem_of_names(path)])
    problems += [Problem(None, None, problem) for problem in wrong]
    problems = index_problems + problems + disagreements(records, offsets)
    whole = [found for found in records if found.whole]
    without = sum(found.identity is not None and not found.checked for found in records)
    return len(whole), without, problems


def check_of(path, classes):
    """The check for the records of a file: masks are compared with their images."""
    return MaskCheck(path, classes) if is_mask_path(path) else ImageCheck(path, classes)


def examine(stretch, read, size, offsets, check):
    """The :class:`Found` of an ``(offset, length, damage or None)`` of :func:`scan`."""
    offset, length, damage = stretch
    if damage is not None:
        return Found(offset, length, False, damage)
    try:
        body, _ = read_frame(lambda start, count: read(offset + start, count), size - offset)
        identity, label, payload = unpack_image(body)
        problem = check(offsets.get(offset, identity), label, payload)
        return Found(offset, length, True, problem, identity, checksum_of(body) is not None)
    except (ValueError, MemoryError) as error:
        return Found(offset, length, True, str(error) or "too large for the memory")
    except RecordError as error:
        return Found(offset, length, True, error.problem)


def problems_of(found, offsets):
    """The [Problem] of a stretch, and of an index ``{offset: key}`` that does not list it."""
    key, problems = offsets.get(found.offset), []
    if found.problem is not None:
        problems.append(Problem(key, found.offset, found.problem))
    if offsets and key is None and found.whole:
        problems.append(Problem(None, found.offset, "the index does not list this record"))
    return problems


def disagreements(records, offsets):
    """The [Problem] of keys that are not the records' ids, and of those that point to no record."""
    numbered = [key for _, key in sorted(offsets.items())] == list(range(len(offsets)))
    named = [
        (offsets[found.offset], found.offset, found.identity, found.checked)
        for found in records
        if found.offset in offsets and found.identity is not None
    ]
    begins = {found.offset for found in records}
    return ([] if numbered else other_ids(named)) + [
        Problem(key, offset, "the index points there, and no record begins there")
        for offset, key in sorted(offsets.items())
        if offset not in begins
    ]


class FileDigest:
    """Compares a file's SHA-256 with that in its manifest, from stretches that were read a moment
    ago and so are still in memory.
    """

    def __init__(self, path, read):
        self._expected = prepared_sha256(path)
        self._read, self._digest = read, hashlib.sha256()

    def add(self, start, stop):
        """Add the next stretch; one that cannot be read is among the problems anyway."""
        if self._expected is None:
            return
        try:
            for begin in range(start, stop, BLOCK):
                self._digest.update(self._read(begin, min(BLOCK, stop - begin)))
        except RecordError:
            self._expected = None

    def differs(self):
        return self._expected is not None and self._digest.hexdigest() != self._expected


def index_of(path):
    """``({offset: key}, [Problem])`` of the index next to the file."""
    try:
        keys, offsets = read_index(index_path_of(path), path)
    except UserError as error:
        return {}, [Problem(None, None, str(error))]
    problems = []
    for numbers, problem in (
        (keys, "the index has this key before"),
        (offsets, "the index has this place before"),
    ):
        first = np.unique(numbers, return_index=True)[1]
        for line in np.setdiff1d(np.arange(len(numbers)), first).tolist():
            problems.append(Problem(int(keys[line]), int(offsets[line]), problem))
    # of duplicates the first one stays
    return dict(zip(offsets[::-1].tolist(), keys[::-1].tolist())), problems


def other_ids(named):
    """The [Problem] of records whose ids show that the index has them under the wrong keys.

    ``named``: (key, offset, id, whether it has a checksum) of each record. Ids of our writer are
    the keys. Those of other programs need not be: they are believed if they are all different,
    and either are the keys in another order or some of them are right.
    """
    keys, ids = {key for key, _, _, _ in named}, {identity for _, _, identity, _ in named}
    some_right = any(key == identity for key, _, identity, _ in named)
    believed = len(ids) == len(named) and (some_right or keys == ids)
    return [
        Problem(key, offset, other_id(identity))
        for key, offset, identity, checked in named
        if key != identity and (checked or believed)
    ]


def write_index(path, salvage=False):
    """Write the index of a file that has lost it; ``(records, damaged stretches, whether the keys
    are the records' ids)``.

    UserError if the file holds no record or, unless ``salvage``, is damaged.
    """
    entries, damaged, from_ids = rebuild_index(path)
    if damaged and not salvage:
        offset, _, problem = damaged[0]
        raise UserError(
            f"{path}: byte {offset}: {problem}; --salvage makes an index of the "
            f"{counted(len(entries), 'whole record')}"
        )
    if not entries:
        raise UserError(f"{path}: holds no record")
    write_text(index_path_of(path), "".join(f"{key}\t{offset}\n" for key, offset in entries))
    return len(entries), len(damaged), from_ids


def rebuild_index(path):
    """``([(key, offset)], damaged stretches, whether the keys are the records' ids)`` from the file
    alone.
    """
    descriptor, size = open_for_reading(path)
    try:

        def read(start, count):
            return read_bytes(descriptor, count, start, path)

        offsets, ids, damaged = [], [], []
        with Progress("index", size) as progress:
            for offset, length, problem in scan(read, size):
                if problem is None:
                    offsets.append(offset)
                    ids.append(
                        id_of(
                            lambda start, count, offset=offset: read(offset + start, count),
                            size - offset,
                        )
                    )
                else:
                    damaged.append((offset, length, problem))
                progress.show(offset + length)
    finally:
        os.close(descriptor)
    usable = None not in ids and len(set(ids)) == len(ids) and all(0 <= i < 2**63 for i in ids)
    return list(zip(ids if usable else range(len(offsets)), offsets)), damaged, usable


def id_of(read, size):
    """The id in the header of the image record that ``read`` reads, or None if it is too short."""
    try:
        start = read(0, min(size, FRAME.size + IMAGE_HEADER.size))
        whole = FRAME.unpack_from(start)[1] >> LENGTH_BITS == WHOLE
        body = start[FRAME.size :] if whole else read_frame(read, size)[0]
        return IMAGE_HEADER.unpack_from(body)[2]
    except struct.error:
        return None
