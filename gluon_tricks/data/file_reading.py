"""Read files so that an error of the disc names its file."""

import json
import os
import time

from ..errors import UserError
from .recordio import RecordError

RETRY_AFTER = (0.1, 0.5, 2.0)  # seconds; network discs give read errors that pass


def open_for_reading(path):
    """``(file descriptor, size in bytes)``; UserError where it cannot be opened or is empty."""
    descriptor = None
    try:
        descriptor = os.open(str(path), os.O_RDONLY)
        size = os.fstat(descriptor).st_size
        os.pread(descriptor, 1, 0)  # a directory opens, but does not read
    except OSError as error:
        if descriptor is not None:
            os.close(descriptor)
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    if size == 0:
        os.close(descriptor)
        raise RecordError(path, None, "is empty")
    return descriptor, size


def read_bytes(descriptor, count, offset, path, key=None):
    """``count`` bytes at ``offset``, from any thread; an error of the disc is retried, then a
    RecordError.
    """
    for pause in RETRY_AFTER + (None,):
        try:
            data = os.pread(descriptor, count, offset)
            # Linux reads at most 2 GiB at once, and a network disc may give less
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
    """The object in a JSON file, or {} where there is none that can be read."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError, RecursionError):
        return {}
