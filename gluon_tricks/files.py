"""Small files that are written whole or not at all, and checksums of large ones."""

import contextlib
import errno
import hashlib
import json
import os
import stat
import sys
from typing import Any, Dict, Iterator, Optional, TextIO

from .errors import UserError
from .text import printable


def write_text(path: str, text: str) -> None:
    """Write a text file, as :func:`replacing` does."""
    with replacing(path) as place:
        with open(place, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)


# How a file begins that a command may replace, by what it writes itself.
BEGINNINGS = {
    "JSON": (b"{", b"["),
    "PNG": (b"\x89PNG",),
    "picture": (b"\x89PNG", b"%PDF", b"<?xml", b"%!PS", b"\xff\xd8\xff", b"RIFF", b"II*", b"MM\0*"),
    "CSV": (b"epoch,batch,lr",),
}


def check_output(path: str, kind: str) -> None:
    """UserError if a command could not write the file ``path`` at its end, or would lose another
    file by it: one that is there and is not of this kind, such as the records that it reads.

    ``kind``: one of :data:`BEGINNINGS`. An empty file may be replaced, and so may a device or pipe.
    """
    shown = printable(path)
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise UserError(f"{shown}: cannot be written: there is no folder {printable(folder)}")
    if os.path.isdir(path):
        raise UserError(f"{shown}: cannot be written: it is a folder")
    if not os.path.isfile(path):
        return
    with named_errors(path), open(path, "rb", opener=plain_file) as file:
        beginning = file.read(16)
    if beginning and not beginning.startswith(BEGINNINGS[kind]):
        raise UserError(
            f"{shown}: is there already and is not a {kind} file, so it is not replaced; give "
            "another name, or remove it first"
        )


def check_utf8(path: str) -> None:
    """UserError for a path of other bytes than UTF-8's, which MXNet can neither read nor write."""
    try:
        path.encode()
    except UnicodeEncodeError:
        raise UserError(
            f"{printable(path)}: MXNet takes no path that is not UTF-8; name another one"
        ) from None


@contextlib.contextmanager
def replacing(path: str) -> Iterator[str]:
    """A temporary path, whose file takes the name ``path`` when the block is done, and goes if it
    fails. A power cut leaves the old file or the new one. What is no file, such as /dev/stdout, is
    given itself.

    Raises UserError for an OSError in the block.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        with named_errors(path):
            yield path
        return
    temporary = path + ".new"
    try:
        with named_errors(path):
            yield temporary
            _sync(temporary)
            os.replace(temporary, path)
            sync_folder(path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(temporary)
        raise


@contextlib.contextmanager
def named_errors(path: str) -> Iterator[None]:
    """While ``path`` is written: an OSError becomes a UserError that names it."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{printable(path)}: cannot be written: {error.strerror}") from error


def write_json(path: str, value: Any) -> None:
    """Write a value as a JSON file, as :func:`write_text`; the path ``-`` is standard output."""
    text = json.dumps(value, indent=1) + "\n"
    if path == "-":
        (_json_output or sys.stdout).write(text)
    else:
        write_text(path, text)


def sealed(contents: Dict[str, Any]) -> Dict[str, Any]:
    """A dict as JSON gives it back, and with it, as ``sha256``, the digest of all else in it."""
    held = json.loads(json.dumps(contents))  # keys become strings
    return dict(held, sha256=sha256_of(held))


def is_as_sealed(found: Dict[str, Any]) -> bool:
    """Whether a dict is as :func:`sealed` made it; older versions wrote no digest."""
    bare = {name: value for name, value in found.items() if name != "sha256"}
    return "sha256" not in found or found["sha256"] == sha256_of(bare)


def write_sealed_json(path: str, contents: Dict[str, Any]) -> None:
    """Write a dict as a JSON file, :func:`sealed`."""
    write_json(path, sealed(contents))


def read_sealed_json(path: str) -> Dict[str, Any]:
    """What :func:`write_sealed_json` wrote, with the digest; older versions wrote none.

    Raises OSError if it cannot be read, and ValueError or RecursionError if it is damaged: it is no
    JSON, no dict, or has another SHA-256 than was written.
    """
    with open(path, encoding="utf-8", opener=plain_file) as file:
        found = json.load(file)
    if not isinstance(found, dict):
        raise ValueError("it holds no names and values")
    if not is_as_sealed(found):
        raise ValueError("it has another SHA-256 than was written")
    return found


_json_output: Optional[TextIO] = None  # standard output, while all but JSON goes elsewhere


@contextlib.contextmanager
def json_output(path: Optional[str]) -> Iterator[None]:
    """While a command runs whose ``--json`` is ``path`` (None: it has none): if that is ``-``,
    standard output is for the JSON alone.

    What else the command prints goes to standard error, so that another program can read what
    comes.
    """
    global _json_output
    if path != "-":
        yield
        return
    _json_output = sys.stdout
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _json_output = None


def plain_file(path: str, flags: int) -> int:
    """An ``opener`` of :func:`open` that raises OSError for a pipe or a device, whose reading may
    never end.
    """
    # it does not wait for a pipe's other end
    descriptor = os.open(path, flags | os.O_NONBLOCK, 0o666)
    kind = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):  # of a folder, open says it better
        os.close(descriptor)
        raise OSError(errno.EINVAL, "Not a plain file", path)
    return descriptor


def sync_folder(path: str) -> None:
    """Make a rename in this path's folder outlive a power cut."""
    _sync(os.path.dirname(os.path.abspath(path)))


def _sync(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(value: Any) -> str:
    """The hexadecimal SHA-256 of a value that JSON can hold, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def sha256(path: str) -> str:
    """The hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with open(path, "rb", opener=plain_file) as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
