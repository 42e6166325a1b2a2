"""Reading files, with errors that name them."""

import json
import os
import time

from ..errors import UserError
from ..files import plain_file
from .recordio import RecordError

MANIFEST = "manifest.json"  # which ``gluon-tricks prepare`` writes next to what it converts
RETRY_AFTER = (0.1, 0.5, 2.0)  # seconds; read errors of network disks may be transient


def open_for_reading(path):
    """``(file descriptor, size in bytes)``; UserError if it cannot be opened or is empty."""
    descriptor = None
    try:
        descriptor = plain_file(str(path), os.O_RDONLY)
        size = os.fstat(descriptor).st_size
        os.pread(descriptor, 1, 0)  # a directory can be opened, but not read
    except OSError as error:
        if descriptor is not None:
            os.close(descriptor)
        advice = "; 'gluon-tricks prepare' makes such files from images"
        raise UserError(
            f"{path}: cannot be read: {error.strerror}"
            + (advice if isinstance(error, FileNotFoundError) else "")
        ) from error
    if size == 0:
        os.close(descriptor)
        raise RecordError(path, None, "is empty")
    return descriptor, size


def read_bytes(descriptor, count, offset, path, key=None):
    """``count`` bytes at ``offset``; any thread may call it. A read error is retried, and then a
    RecordError.
    """
    for pause in RETRY_AFTER + (None,):
        try:
            data = os.pread(descriptor, count, offset)
            # Linux reads at most 2 GiB at once, and a network disk may give less
            while len(data) < count:
                more = os.pread(descriptor, count - len(data), offset + len(data))
                if not more:
                    raise RecordError(path, key, "the file became shorter while it was read")
                data += more
            return data
        except OSError as error:
            if pause is None:
                problem = f"cannot be read at byte {offset}: {error.strerror}"
                raise RecordError(path, key, problem) from error
            time.sleep(pause)


def read_json(path):
    """The object in a JSON file, or {} if there is none that can be read."""
    try:
        with open(path, encoding="utf-8", opener=plain_file) as file:
            found = json.load(file)
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError, RecursionError):
        return {}


def manifest_entry(path):
    """The entry of a RecordIO file in the ``manifest.json`` that ``gluon-tricks prepare`` wrote
    next to it, or {}.
    """
    folder, name = os.path.split(os.path.abspath(path))
    split, extension = os.path.splitext(name)
    splits = read_json(os.path.join(folder, MANIFEST)).get("splits")
    entry = splits.get(split) if isinstance(splits, dict) and extension == ".rec" else None
    return entry if isinstance(entry, dict) else {}


def prepared_sha256(path):
    """The SHA-256 of the file when it was prepared, or None if that is not known."""
    digest = manifest_entry(path).get("sha256")
    return digest if isinstance(digest, str) else None
