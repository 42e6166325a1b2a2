"""The index of a RecordIO file: a text file with a line ``key TAB offset`` for each record."""

import contextlib
import os
import warnings

import numpy as np

from ..errors import UserError
from ..files import plain_file
from .recordio import RecordError


def index_path_of(path):
    """The index that belongs to a RecordIO file: the same name with ``.idx`` for ``.rec``."""
    root, extension = os.path.splitext(str(path))
    return (root if extension == ".rec" else str(path)) + ".idx"


def read_index(index_path, path):
    """``(keys, offsets)``, two int64 arrays in the order of the lines of the index of ``path``."""
    try:
        with open(index_path, "rb", opener=plain_file) as file:
            text = file.read()
    except FileNotFoundError:
        raise UserError(
            f"{index_path}: there is no such index; 'gluon-tricks records index {path}' makes it"
        ) from None
    except OSError as error:
        raise UserError(f"{index_path}: cannot be read: {error.strerror}") from error
    numbers = None
    # NumPy's parser takes any white space for a separator, so lines and tabs are counted as well.
    lines = text.count(b"\n") + (not text.endswith(b"\n") and bool(text))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with contextlib.suppress(ValueError, DeprecationWarning):
            numbers = np.fromstring(text, dtype=np.int64, sep=" ") if text.strip() else None
    damaged = numbers is None or numbers.size != 2 * lines or text.count(b"\t") != lines
    # larger numbers become the largest int64
    if damaged or np.abs(numbers).max() >= np.iinfo(np.int64).max:
        raise RecordError(index_path, None, _index_problem(text))
    return numbers[0::2].copy(), numbers[1::2].copy()


def _index_problem(text):
    for number, line in enumerate(text.splitlines(), 1):
        try:
            key, offset = line[:64].split(b"\t")  # longer ones would take time to become a number
            np.int64(int(key)), np.int64(int(offset))
        except (ValueError, OverflowError):
            said = line[:40].decode("ascii", "replace")
            return (
                f"line {number} is not 'key TAB offset': {said!r}; "
                "'gluon-tricks records index' makes it again"
            )
    if not text.strip():
        return "is empty"
    return "is not an index; 'gluon-tricks records index' makes it again"
