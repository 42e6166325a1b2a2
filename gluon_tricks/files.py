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


# The first bytes of files that a command may replace, by the kind that it writes.
BEGINNINGS = {
    "JSON": (b"{", b"["),
    "PNG": (b"\x89PNG",),
    "picture": (b"\x89PNG", b"%PDF", b"<?xml", b"%!PS", b"\xff\xd8\xff", b"RIFF", b"II*", b"MM\0*"),
    "CSV": (b"epoch,batch,lr",),
}


def check_output(path: str, kind: str) -> None:
    """UserError if a command could not write the file ``path`` at its end, or would overwrite a
    file of another kind, such as the records that it reads, or one of a run or an export.

    ``kind``: one of :data:`BEGINNINGS`. Empty files, devices and pipes may be overwritten.
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
            f"{shown}: already exists and is not a {kind} file, so it is not replaced; give "
            "another name, or remove it first"
        )
    if beginning.startswith(b"{") and _has_seal(path):
        raise UserError(f"{shown}: is part of a run or an export; give another name")


def check_utf8(path: str) -> None:
    """UserError for a path that is not valid UTF-8, which MXNet can neither read nor write."""
    try:
        path.encode()
    except UnicodeEncodeError:
        raise UserError(
            f"{printable(path)}: MXNet takes no path that is not UTF-8; name another one"
        ) from None


@contextlib.contextmanager
def replacing(path: str) -> Iterator[str]:
    """A temporary path, whose file is renamed to ``path`` when the block is done, and removed if it
    fails. A power cut leaves the old file or the new one. If ``path`` is not a plain file, such as
    /dev/stdout, it is yielded itself.

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
    """Turn an OSError in the block that writes ``path`` into a UserError that names it."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{printable(path)}: cannot be written: {error.strerror}") from error


def write_json(path: str, value: Any) -> None:
    """Write a value as a JSON file, whole or not at all; the path ``-`` is standard output."""
    text = json.dumps(value, indent=1) + "\n"
    if path == "-":
        (_json_output or sys.stdout).write(text)
    else:
        write_text(path, text)


def sealed(contents: Dict[str, Any]) -> Dict[str, Any]:
    """A dict as it comes back from JSON, plus a digest of its contents as ``sha256``."""
    held = json.loads(json.dumps(contents))  # keys become strings
    return dict(held, sha256=sha256_of(held))


def is_as_sealed(found: Dict[str, Any]) -> bool:
    """Whether a dict matches the digest of :func:`sealed`; older versions wrote none."""
    bare = {name: value for name, value in found.items() if name != "sha256"}
    return "sha256" not in found or found["sha256"] == sha256_of(bare)


def write_sealed_json(path: str, contents: Dict[str, Any]) -> None:
    """Write a dict as a JSON file, :func:`sealed`."""
    write_json(path, sealed(contents))


def read_sealed_json(path: str) -> Dict[str, Any]:
    """The dict that :func:`write_sealed_json` wrote, with its digest; older versions wrote none.

    Raises OSError if it cannot be read, and ValueError or RecursionError if it is damaged: not
    JSON, not a dict, or not matching its SHA-256.
    """
    with open(path, encoding="utf-8", opener=plain_file) as file:
        found = json.load(file)
    if not isinstance(found, dict):
        raise ValueError("it holds no names and values")
    if not is_as_sealed(found):
        raise ValueError("it has another SHA-256 than was written")
    return found


def _has_seal(path):
    """Whether a file is a dict that :func:`write_sealed_json` wrote."""
    try:
        return "sha256" in read_sealed_json(path)
    except (OSError, ValueError, RecursionError):
        return False


_json_output: Optional[TextIO] = None  # the real standard output, while prints are redirected


@contextlib.contextmanager
def json_output(path: Optional[str]) -> Iterator[None]:
    """Run a command whose ``--json`` is ``path`` (None if it has none): with ``-``, only the JSON
    goes to standard output.

    Everything else that it prints goes to standard error, so that another program can read the
    JSON.
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
    """An ``opener`` for :func:`open` that raises OSError for a pipe or a device, since reading one
    may never end.
    """
    # O_NONBLOCK: opening does not wait for a pipe's other end
    descriptor = os.open(path, flags | os.O_NONBLOCK, 0o666)
    kind = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):  # open's own error for a folder is better
        os.close(descriptor)
        raise OSError(errno.EINVAL, "Not a plain file", path)
    return descriptor


def sync_folder(path: str) -> None:
    """Make renames in this path's folder survive a power cut."""
    _sync(os.path.dirname(os.path.abspath(path)))


def _sync(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(value: Any) -> str:
    """The hexadecimal SHA-256 of a JSON value, independent of the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def short(digest: str) -> str:
    """A digest as messages show it: its first 12 digits."""
    return digest[:12]


def sha256(path: str) -> str:
    """The hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with open(path, "rb", opener=plain_file) as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
