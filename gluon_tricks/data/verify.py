"""Read a RecordIO file to its end: what is wrong with it, and what index belongs to it."""

import hashlib
import os
import struct
from typing import NamedTuple, Optional

import numpy as np

from ..errors import UserError
from .decode import decode
from .file_reading import open_for_reading, read_bytes, read_json
from .labels import class_of
from .parallel import Progress, in_order
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
from .records import index_path_of, other_id, read_index

BLOCK = 1 << 20
NOT_AS_PREPARED = (
    "its bytes are not those that 'gluon-tricks prepare' wrote (SHA-256 in manifest.json); images in it may be "
    "wrong though they decode: copy or prepare it again"
)


class Problem(NamedTuple):
    """Something wrong with a record, or with the file where ``key`` and ``offset`` are None."""

    key: Optional[int]
    offset: Optional[int]
    problem: str

    def __str__(self):
        where = "" if self.key is None else f"record {self.key}"
        if self.offset is not None:
            where = f"{where} (byte {self.offset})" if where else f"byte {self.offset}"
        return f"{where}: {self.problem}" if where else self.problem


def verify(path, classes=None, workers=1):
    """``(number of whole records, how many of them tell no checksum, [Problem])``.

    Every record's label is checked and its image decoded. Most flipped bits in a JPEG leave a
    picture that decodes, so the records' own checksums are compared, and the file's where
    :func:`prepared_sha256` knows it. UserError only where the file cannot be opened or is empty.
    """
    descriptor, size = open_for_reading(path)
    try:

        def read(start, count):
            return read_bytes(descriptor, count, start, path)

        def examine(found):
            (offset, _, problem), identity, checked = found, None, False
            if problem is None:
                try:
                    body, _ = read_frame(
                        lambda start, count: read(offset + start, count), size - offset
                    )
                    identity, problem = examine_image(body, classes)
                    checked = checksum_of(body) is not None
                except (ValueError, MemoryError) as error:
                    problem = str(error) or "too large for the memory"
                except RecordError as error:
                    problem = error.problem
            return found, problem, identity, checked

        listed, problems = index_of(path)
        has_index, records, without, named = bool(listed), 0, 0, []
        numbered = [key for _, key in sorted(listed.items())] == list(range(len(listed)))
        expected, digest = prepared_sha256(path), hashlib.sha256()
        with Progress("verify", size) as progress:
            for (offset, length, damage), problem, identity, checked in in_order(
                examine, scan(read, size), workers
            ):
                key = listed.pop(offset, None)
                records += damage is None
                without += identity is not None and not checked
                if key is not None and identity is not None:
                    named.append((key, offset, identity, checked))
                if problem is not None:
                    problems.append(Problem(key, offset, problem))
                if has_index and key is None and damage is None:
                    problems.append(Problem(None, offset, "the index does not list this record"))
                if expected and not add_to(digest, read, offset, offset + length):
                    expected = None  # the disc's error is among the problems
                progress.show(offset + length)
        if expected and digest.hexdigest() != expected:
            problems.append(Problem(None, None, NOT_AS_PREPARED))
        problems += [] if numbered else other_ids(named)
        problems += [
            Problem(key, offset, "the index points there, and no record begins there")
            for offset, key in sorted(listed.items())
        ]
    finally:
        os.close(descriptor)
    return records, without, problems


def add_to(digest, read, start, stop):
    """Add a stretch of the file, read a moment ago and so still in memory; False where it cannot be
    read.
    """
    try:
        for place in range(start, stop, BLOCK):
            digest.update(read(place, min(BLOCK, stop - place)))
    except RecordError:
        return False
    return True


def prepared_sha256(path):
    """The SHA-256 that the manifest beside a file written by ``gluon-tricks prepare`` gives for it,
    or None.
    """
    folder, name = os.path.split(os.path.abspath(path))
    split, extension = os.path.splitext(name)
    try:
        found = read_json(os.path.join(folder, "manifest.json"))["splits"][split]["sha256"]
    except (KeyError, TypeError):
        return None
    return found if extension == ".rec" else None


def index_of(path):
    """``({offset: key}, [Problem])`` of the index beside the file."""
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
    # of two the first one stays
    return dict(zip(offsets[::-1].tolist(), keys[::-1].tolist())), problems


def other_ids(named):
    """The [Problem] of records whose ids show that the index has them under the wrong keys.

    ``named``: (key, offset, id, whether it tells a checksum) of each record. Ids of our writer are
    the keys. Those of other programs need not be: they are believed where they are all different,
    and are the keys in another order or some of them are right.
    """
    keys, ids = {key for key, _, _, _ in named}, {identity for _, _, identity, _ in named}
    some_right = any(key == identity for key, _, identity, _ in named)
    believed = len(ids) == len(named) and (some_right or keys == ids)
    return [
        Problem(key, offset, other_id(identity))
        for key, offset, identity, checked in named
        if key != identity and (checked or believed)
    ]


def examine_image(body, classes):
    """``(id, what is wrong or None)`` of the body of an image record; ValueError where it has no
    header.
    """
    identity, label, payload = unpack_image(body)
    problem = None
    if not np.all(np.isfinite(label)):
        problem = f"its label is {label}"
    elif classes is not None:
        try:
            class_of(label, classes)
        except ValueError as error:
            problem = str(error)
    try:
        decode(payload)
    except ValueError as error:
        problem = str(error)
    return identity, problem


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
    """The id in the header of the image record that ``read`` reads, or None where it is too short."""
    try:
        start = read(0, min(size, FRAME.size + IMAGE_HEADER.size))
        whole = FRAME.unpack_from(start)[1] >> LENGTH_BITS == WHOLE
        body = start[FRAME.size :] if whole else read_frame(read, size)[0]
        return IMAGE_HEADER.unpack_from(body)[2]
    except struct.error:
        return None
