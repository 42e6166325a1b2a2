"""What a run says: ``log.jsonl`` and ``timing.jsonl``, plain lines, a progress bar on a terminal,
TensorBoard.

``log.jsonl`` holds what follows from the flags and the data alone, so that a resumed run's file
equals, byte for byte, that of a run that was never stopped. What depends on the clock stands in
``timing.jsonl``.
"""

import contextlib
import itertools
import json
import os
import sys
import time

from tqdm import tqdm

from ..errors import UserError
from ..files import sync_folder
from ..text import printable

LOG, TIMING, PLAIN = "log.jsonl", "timing.jsonl", "train.log"
# What the run writes besides: no file for --logging-file.
OWN_FILES = (LOG, TIMING, "config.json", "environment.json", "result.json")


class Journal:
    """Writes a run's records. With ``folder=None`` (every rank but 0) it writes nothing.

    Raises :class:`UserError` naming the file if one cannot be written, as on a full disk. A line is
    written whole or cut off when the run goes on.
    """

    def __init__(self, folder, log_file="", tensorboard=False):
        self.folder = folder
        self._files = {}  # path: the open file
        self._board = self._bar = None
        self._prints = folder is not None
        self._text = bytearray()  # all of log.jsonl, so that the file can be written again
        if folder is not None:
            self._place = os.stat(folder)
            self._log, self._timing = (os.path.join(folder, name) for name in (LOG, TIMING))
            self._plain = _plain_files(folder, log_file)
            self._open_all()
            self._text[:] = _read(self._log)
            self._board = _board(os.path.join(folder, "tensorboard")) if tensorboard else None
        self._clock = time.time()
        self._clock_step = self._steps_per_epoch = None
        self.training_seconds = 0.0  # without validation and checkpoints

    def _open_all(self):
        for path in (self._log, self._timing):
            _cut_half_line(path)
            self._files[path] = _open(path)
        for path, shown in self._plain.items():
            self._files[path] = _open(path, shown)
            _end_line(path, self._files[path])

    # -- log.jsonl

    def contents(self):
        """All of ``log.jsonl`` so far (bytes), on the disk: what a checkpoint keeps.

        A file that something else has removed or changed while the run trained is written again.
        Raises
        :class:`UserError` if it is the run's folder that is gone.
        """
        if self.folder is None:
            return b""
        self._check_folder()
        if not self._is_there(self._log) or _read(self._log) != self._text:
            self._replace_log(
                bytes(self._text),
                "was changed or removed while the run trained; it is written again",
            )
        for path in (self._timing, *self._plain):
            if not self._is_there(path):
                self._files.pop(path).close()
                self._files[path] = _open(path)
                self.say(
                    f"{printable(path)} was removed while the run trained; it goes on without its beginning"
                )
        with _named(self._log):
            os.fsync(self._files[self._log].fileno())
        return bytes(self._text)

    def rewind(self, size, log=None):
        """Forget what was logged after a checkpoint, at which ``log.jsonl`` had ``size`` bytes and
        held ``log``.

        The resumed run says it again. A log that does not begin as ``log`` is damaged and is
        restored. Where ``log`` is not known, the lines that are whole stay.
        """
        if self.folder is None:
            return
        known = bytes(self._text[:size]) if log is None else log
        if log is None and (len(known) < size or known != _whole_lines(known)):
            self._replace_log(
                _whole_lines(known),
                "is damaged, and the checkpoint is too old to hold a copy: lines are missing",
            )
        elif not self._text.startswith(known):
            self._replace_log(
                known, "is not what the run has written; it is restored from the checkpoint"
            )
        else:
            with _named(self._log):
                self._files[self._log].truncate(size)
            self._text[:] = known

    def _replace_log(self, text, why):
        """Write ``log.jsonl`` again; what is there, if it is more than a part of the same, stays
        under another name.
        """
        path, shown = self._log, printable(self._log)
        with _named(path):
            there = _read(path)
            if not text.startswith(there):
                kept = _free_name(path + ".damaged")
                os.rename(path, kept)
                why += f", and what was there is kept as {printable(kept)}"
            with open(path + ".new", "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            self._files.pop(path).close()
            os.replace(path + ".new", path)
            sync_folder(path)
        self._files[path] = _open(path)
        self._text[:] = text
        self.say(f"{shown} {why}")

    def _is_there(self, path):
        """Whether the file that is written is still the one of this name."""
        with contextlib.suppress(OSError):
            return os.path.samestat(os.stat(path), os.fstat(self._files[path].fileno()))
        return False

    def _check_folder(self):
        """Whoever has moved or removed the folder may have begun another run of that name: nothing
        is written there.
        """
        with contextlib.suppress(OSError):
            if os.path.samestat(os.stat(self.folder), self._place):
                return
        raise UserError(
            f"{printable(self.folder)}: the run's folder was removed, moved or replaced while the run trained. Where it was "
            "moved to, --resume auto goes on from its last checkpoint"
        )

    # -- what the loop says

    def start(self, step, steps_per_epoch, total):
        """The loop begins at ``step`` of ``total``; opens the progress bar where somebody looks at
        a terminal.
        """
        self._steps_per_epoch = steps_per_epoch
        self.restart_clock(step)
        if self.folder is not None and sys.stderr.isatty():
            with self._terminal():
                self._bar = tqdm(
                    total=total, initial=step, unit="step", dynamic_ncols=True, smoothing=0.05
                )

    def progress(self, step, epoch, learning_rate):
        """One step is on its way."""
        if self._bar is not None:
            with self._terminal():
                self._bar.set_description(f"epoch {epoch}", refresh=False)
                self._postfix(lr=f"{learning_rate:.4g}")
                self._bar.update(step - self._bar.n)

    def _postfix(self, **values):
        shown = dict(getattr(self._bar, "shown", {}), **values)
        self._bar.shown = shown
        self._bar.set_postfix(shown, refresh=False)

    def train(self, step, epoch, learning_rate, summary, images_per_step):
        """A line on the steps since the last one: means of loss and top-1, and the speed.

        It gives the place in epochs too, because ``--elastic scale-lr`` counts the steps anew where
        their size changes.
        """
        elapsed, steps = time.time() - self._clock, step - self._clock_step
        self.training_seconds += elapsed
        speed = images_per_step * steps / max(elapsed, 1e-9)
        self.restart_clock(step)
        passes = round(step / self._steps_per_epoch, 6)
        self._record(
            "train",
            step=step,
            epoch=epoch,
            passes=passes,
            learning_rate=learning_rate,
            loss=summary["loss"],
            top1=summary["top1"],
            images=summary["images"],
        )
        self.clock("train", step=step, passes=passes, images_per_second=speed)
        if self._bar is not None:
            with self._terminal():
                self._postfix(loss="{:.4f}".format(summary["loss"]), img_s=f"{speed:.0f}")
        self.say(
            "epoch {} step {}: loss {:.4f} top-1 {:.2f} % lr {:.6f} {:.0f} images/s".format(
                epoch, step, summary["loss"], summary["top1"], learning_rate, speed
            ),
            bar=False,
        )

    def epoch(self, step, epoch, summary):
        """The training set's means over a whole epoch."""
        self._record("epoch", step=step, epoch=epoch, **summary)

    def validation(self, step, epoch, summary, seconds):
        """The validation set's figures after ``step`` steps."""
        self._record("validation", step=step, epoch=epoch, **summary)
        self.clock("validation", step=step, seconds=seconds)
        self.say(
            "epoch {} validation: top-1 {:.2f} % top-5 {:.2f} % loss {:.4f} on {} images".format(
                epoch, summary["top1"], summary["top5"], summary["loss"], summary["images"]
            )
        )
        self.restart_clock(step)

    def restart_clock(self, step):
        """What has passed since the last line was not training."""
        self._clock, self._clock_step = time.time(), step

    def say(self, text, bar=True):
        """A plain line for a person. With ``bar=False`` it is not printed where a progress bar says
        the same.
        """
        if self.folder is None:
            return
        for path in self._plain:
            self._write(path, text)
        with self._terminal():
            if self._bar is None:
                if self._prints:
                    print(text, flush=True)
            elif bar:
                self._bar.write(text, file=sys.stdout)

    @contextlib.contextmanager
    def _terminal(self):
        """Within, it may turn out that nobody listens any more: the terminal is closed, say. The
        files go on.
        """
        try:
            yield
        except OSError:
            self._prints, self._bar = False, None

    def clock(self, event, **values):
        """A line in ``timing.jsonl``: things that another run of the same flags would see
        otherwise.
        """
        if self.folder is not None:
            self._write(
                self._timing, json.dumps(dict(event=event, time=round(time.time(), 3), **values))
            )

    def _record(self, event, step, **values):
        if self.folder is None:
            return
        self._check_folder()
        self._text += self._write(self._log, json.dumps(dict(event=event, step=step, **values)))
        if self._board is not None:
            with _named(os.path.join(self.folder, "tensorboard")):
                self._board(
                    event,
                    step,
                    {k: v for k, v in values.items() if k not in ("epoch", "passes", "images")},
                )

    def _write(self, path, line):
        """Append a line to a file and give its bytes."""
        data = (line + "\n").encode("utf-8", "backslashreplace")
        with _named(path):
            rest = memoryview(data)
            while rest:
                rest = rest[self._files[path].write(rest) :]
        return data

    def close(self):
        """Close the bar and the files."""
        if self._bar is not None:
            with self._terminal():
                self._bar.close()
            self._bar = None
        for file in self._files.values():
            with contextlib.suppress(OSError):  # what a checkpoint holds is on the disk
                file.close()


def _board(folder):
    """A function that adds (event, step, values) to a TensorBoard file, at once and in this thread.

    ``SummaryWriter`` writes in a thread of its own: if that meets a full disk it dies, and the run
    waits for it for ever.
    """
    try:
        from tensorboardX import summary
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event
    except Exception as error:  # a version that does not fit protobuf's raises TypeError
        raise UserError(
            f"--tensorboard needs tensorboardX ({error}): pip install 'tensorboardX>=2.6,<3'"
        ) from None

    with _named(folder):
        os.makedirs(folder, exist_ok=True)
        writer = EventsWriter(os.path.join(folder, "events"))

    def add(event, step, values):
        for name, value in values.items():
            scalar = summary.scalar(f"{event}/{name}", value)
            writer.write_event(Event(wall_time=time.time(), step=step, summary=scalar))
        writer.flush()

    return add


@contextlib.contextmanager
def _named(path):
    """Within, an error of the disk becomes a UserError that names the file."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{printable(path)}: cannot be written: {error.strerror or error}. Checkpoints are whole: make room or mend the "
            "folder, then go on with --resume auto"
        ) from None


def _plain_files(folder, log_file):
    """The files of plain lines: ``train.log``, and that of ``--logging-file`` if it is another;
    path: what errors call it.
    """
    own = os.path.join(folder, PLAIN)
    if not log_file:
        return {own: own}
    path = os.path.join(folder, log_file)
    inside = os.path.relpath(os.path.realpath(path), os.path.realpath(folder))
    if inside in OWN_FILES:
        raise UserError(
            f"--logging-file {printable(log_file)}: a run writes a file of its own with this name; give another one"
        )
    return {own: own} if inside == PLAIN else {own: own, path: f"--logging-file {path}"}


def _open(path, shown=None):
    with _named(shown or path):
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        return open(path, "ab", buffering=0)  # so that nothing is left for `close` to write


def _read(path):
    """The bytes of a file; none if it is not there."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise UserError(f"{printable(path)}: cannot be read: {error.strerror}") from None


def _cut_half_line(path):
    """A run that was killed may have left half a line."""
    text = _read(path)
    if not text.endswith(b"\n") and text:
        with _named(path):
            os.truncate(path, text.rfind(b"\n") + 1)


def _end_line(path, file):
    """Begin a new line in a file of plain text, which may hold what others have written."""
    if os.path.isfile(path) and os.path.getsize(path):
        with open(path, "rb") as held, _named(path):
            held.seek(-1, os.SEEK_END)
            if held.read() != b"\n":
                file.write(b"\n")


def _whole_lines(text):
    """The lines of a ``.jsonl`` file (bytes) that are whole: objects of JSON, ended."""
    return b"".join(
        line for line in text.splitlines(keepends=True) if line.endswith(b"\n") and _is_object(line)
    )


def _is_object(line):
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _free_name(path):
    """``path``, or if that is taken ``path.2``, ``path.3``, ..."""
    names = itertools.chain([path], (f"{path}.{number}" for number in itertools.count(2)))
    return next(name for name in names if not os.path.lexists(name))


def read(path):
    """The records of a ``.jsonl`` file, as dicts; half a last line, of a run that was killed, is
    left out.
    """
    with open(path) as file:
        return [json.loads(line) for line in file if line.endswith("\n")]
