"""The files of a run's log: nothing in them is lost, and damage is found and reported.

``log.jsonl`` holds only what follows from the flags and the data, so a resumed run's file equals,
byte for byte, that of a run that was never stopped. Times are in ``timing.jsonl``; ``train.log``
has the lines for people.
"""

import contextlib
import itertools
import json
import os

from ..errors import UserError
from ..files import plain_file, sealed, sync_folder
from ..text import printable

LOG, TIMING, PLAIN = "log.jsonl", "timing.jsonl", "train.log"
# Files that the run writes itself, which --logging-file may not name.
OWN_FILES = (LOG, TIMING, "config.json", "environment.json", "result.json", "labels.txt")


class LogFiles:
    """The open log files in ``folder``, and that of ``--logging-file``.

    ``say(text)`` reports what was wrong with a file. Raises :class:`UserError`, which names the
    file, if one cannot be written, as on a full disk. A half-written line is removed when the run
    resumes.
    """

    def __init__(self, folder, log_file, say):
        self._folder, self._say = folder, say
        self._place = os.stat(folder)
        self._log, self._timing = (os.path.join(folder, name) for name in (LOG, TIMING))
        self._plain = _plain_files(folder, log_file)
        self._files = {}  # path: the open file
        for path in (self._log, self._timing):
            _cut_half_line(path)
            self._files[path] = _open(path)
        for path, shown in self._plain.items():
            self._files[path] = _open(path, shown)
            _end_line(path, self._files[path])
        self._text = bytearray(_read(self._log))  # a copy, from which the file can be restored

    def add_record(self, values):
        """Add a line to ``log.jsonl``, from a dict."""
        self._check_folder()
        self._text += self._write(self._log, json.dumps(values))

    def add_timing(self, values):
        """Add a line to ``timing.jsonl``, from a dict, with its digest: no checkpoint has one."""
        self._write(self._timing, json.dumps(sealed(values)))

    def add_plain(self, text):
        """Add a line to ``train.log`` and to the file of ``--logging-file``."""
        for path in self._plain:
            self._write(path, text)

    def close(self):
        """Close the files."""
        for file in self._files.values():
            with contextlib.suppress(OSError):  # checkpoints hold what matters
                file.close()

    def contents(self):
        """All of ``log.jsonl`` so far (bytes), flushed to disk: what a checkpoint keeps.

        A file that was removed or changed while the run trained is written again. Raises
        :class:`UserError` if the run's folder itself is gone.
        """
        self._check_folder()
        if not self._is_there(self._log) or _read(self._log) != self._text:
            self._replace_log(
                bytes(self._text),
                "was changed or removed while the run trained, and is now written again",
            )
        for path in (self._timing, *self._plain):
            if not self._is_there(path):
                self._files.pop(path).close()
                self._files[path] = _open(path)
                self._say(
                    f"{printable(path)} was removed while the run trained; it continues without "
                    "its beginning"
                )
        with named(self._log):
            os.fsync(self._files[self._log].fileno())
        return bytes(self._text)

    def rewind(self, size, log=None, elsewhere=False):
        """Remove what was logged after a checkpoint, at which ``log.jsonl`` had ``size`` bytes and
        held ``log``: the resumed run logs it again.

        A log that does not begin with ``log`` is damaged and is restored. If ``log`` is None, which
        means unknown, whole lines stay. With ``elsewhere``, the checkpoint comes from another
        folder, so a log that is missing here was not lost.
        """
        known = bytes(self._text[:size]) if log is None else log
        if log is None and (len(known) < size or known != _whole_lines(known)):
            self._replace_log(
                _whole_lines(known),
                "is damaged, and the checkpoint is too old to hold a copy: lines are missing",
            )
        elif not self._text.startswith(known):
            self._replace_log(
                known,
                "is not what the run wrote, and was restored from the checkpoint",
                say=bool(self._text) or not elsewhere,
            )
        else:
            with named(self._log):
                self._files[self._log].truncate(size)
            self._text[:] = known

    def _replace_log(self, text, why, say=True):
        """Write ``log.jsonl`` again. The old file is kept under another name, unless the new one
        begins with it.
        """
        path, shown = self._log, printable(self._log)
        with named(path):
            there = _read(path)
            if not text.startswith(there):
                kept = _free_name(path + ".damaged")
                os.rename(path, kept)
                why += f"; the old file is kept as {printable(kept)}"
            with open(path + ".new", "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            self._files.pop(path).close()
            os.replace(path + ".new", path)
            sync_folder(path)
        self._files[path] = _open(path)
        self._text[:] = text
        if say:
            self._say(f"{shown} {why}")

    def _is_there(self, path):
        """Whether the open file is still the one with this name."""
        with contextlib.suppress(OSError):
            return os.path.samestat(os.stat(path), os.fstat(self._files[path].fileno()))
        return False

    def _check_folder(self):
        """UserError if the folder was moved or removed: there may be another run at its path by
        now, so nothing is written there.
        """
        with contextlib.suppress(OSError):
            if os.path.samestat(os.stat(self._folder), self._place):
                return
        raise UserError(
            f"{printable(self._folder)}: the run's folder was removed, moved or replaced while the "
            "run trained. If it was moved, resume the run there with --resume auto"
        )

    def _write(self, path, line):
        """Append a line to a file and return its bytes."""
        data = (line + "\n").encode("utf-8", "backslashreplace")
        with named(path):
            rest = memoryview(data)
            while rest:
                rest = rest[self._files[path].write(rest) :]
        return data


@contextlib.contextmanager
def named(path):
    """A context in which an error of the disk becomes a UserError that names the file."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{printable(path)}: cannot be written: {error.strerror or error}. Checkpoints are "
            "whole: free some space or repair the folder, then resume with --resume auto"
        ) from None


def _plain_files(folder, log_file):
    """The files of plain lines, ``train.log`` and that of ``--logging-file`` if it is another:
    {path: its name in errors}.
    """
    own = os.path.join(folder, PLAIN)
    if not log_file:
        return {own: own}
    path = os.path.join(folder, log_file)
    inside = os.path.relpath(os.path.realpath(path), os.path.realpath(folder))
    if inside in OWN_FILES:
        raise UserError(
            f"--logging-file {printable(log_file)}: a run writes its own file of this name; choose "
            "another one"
        )
    if inside == PLAIN:
        return {own: own}
    if os.path.isfile(path) and not _is_text(path):
        raise UserError(
            f"--logging-file {printable(log_file)}: is there already and is not a text file; give "
            "another one"
        )
    return {own: own, path: f"--logging-file {path}"}


def _is_text(path):
    """Whether a file begins like text, so that lines may be added to it."""
    with named(f"--logging-file {path}"), open(path, "rb") as file:
        return b"\0" not in file.read(4096)


def _open(path, shown=None):
    with named(shown or path):
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        opener = plain_file if shown in (None, path) else None  # --logging-file may be a pipe
        # Without a buffer, nothing is left for `close` to write.
        return open(path, "ab", buffering=0, opener=opener)


def _read(path):
    """The bytes of a file; none if it does not exist."""
    try:
        with open(path, "rb", opener=plain_file) as file:
            return file.read()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise UserError(f"{printable(path)}: cannot be read: {error.strerror}") from None


def _cut_half_line(path):
    """Remove the half line that a killed run may have left."""
    text = _read(path)
    if not text.endswith(b"\n") and text:
        with named(path):
            os.truncate(path, text.rfind(b"\n") + 1)


def _end_line(path, file):
    """Begin a new line in a text file, which others may have written before."""
    if os.path.isfile(path) and os.path.getsize(path):
        with open(path, "rb") as held, named(path):
            held.seek(-1, os.SEEK_END)
            if held.read() != b"\n":
                file.write(b"\n")


def _whole_lines(text):
    """The whole lines of a ``.jsonl`` file (bytes): JSON objects that end with a line break."""
    return b"".join(
        line for line in text.splitlines(keepends=True) if line.endswith(b"\n") and _is_object(line)
    )


def _is_object(line):
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _free_name(path):
    """``path``, or the first of ``path.2``, ``path.3``, ... if it is taken."""
    names = itertools.chain([path], (f"{path}.{number}" for number in itertools.count(2)))
    return next(name for name in names if not os.path.lexists(name))


def read(path):
    """The records of a ``.jsonl`` file, as dicts, without a killed run's last half line."""
    with open(path, opener=plain_file) as file:
        return [json.loads(line) for line in file if line.endswith("\n")]
