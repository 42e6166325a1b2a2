"""``NAME.part``: an unfinished file. One process at a time writes it; a later one can continue."""

import contextlib
import fcntl
import os
from typing import BinaryIO

from ..errors import UserError
from ..files import named_errors, plain_file
from ..text import printable


def open_part(path: str) -> BinaryIO:
    """``path.part`` for reading and writing, made if it is missing, and locked until it is closed.

    Raises UserError if another process is writing it, and OSError if it cannot be opened.
    """
    name = path + ".part"
    while True:
        file = open(name, "r+b", opener=_create)
        try:
            _lock(file)
        except BlockingIOError:
            file.close()
            raise UserError(f"{printable(name)}: another process is writing it") from None
        if _is_called(file, name):  # else its writer has finished it since it was opened
            return file
        file.close()


def refuse_other_file(path: str, begins: bytes, what: str) -> None:
    """UserError if a file at ``path``, which would be lost, does not begin as ``what`` does."""
    if not os.path.lexists(path):
        return
    with named_errors(path), open(path, "rb", opener=plain_file) as file:
        is_other = file.read(len(begins)) != begins
    if is_other:
        raise UserError(f"{printable(path)}: exists and holds no {what}; name another file")


def _create(name, flags):
    return os.open(name, flags | os.O_CREAT, 0o666)


def _lock(file):
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        pass  # some network disks have no locks


def _is_called(file, name):
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), os.stat(name))
    return False
