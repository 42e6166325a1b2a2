"""What a run says: ``log.jsonl`` and ``timing.jsonl``, plain lines, a progress bar on a terminal, TensorBoard.

``log.jsonl`` holds what follows from the flags and the data alone, so that a resumed run's file equals, byte for
byte, that of a run that was never stopped. What depends on the clock stands in ``timing.jsonl``.
"""

import json
import os
import sys
import time

from tqdm import tqdm

from ..errors import UserError

OWN_FILES = ("log.jsonl", "timing.jsonl", "config.json", "environment.json", "result.json")


class Journal:
    """Writes a run's records. With ``folder=None`` (every rank but 0) it writes nothing."""

    def __init__(self, folder, log_file="", tensorboard=False):
        self.folder = folder
        self._log = self._open("log.jsonl")
        self._timing = self._open("timing.jsonl")
        self._plain = [file for file in (self._open("train.log"), self._open_for_user(log_file)) if file]
        self._bar = None
        self._board = None
        if tensorboard and folder:
            self._board = _summary_writer(os.path.join(folder, "tensorboard"))
        self._clock = time.time()
        self._clock_step = self._steps_per_epoch = None
        self.training_seconds = 0.0  # without validation and checkpoints

    def _open(self, name):
        if self.folder is None or not name:
            return None
        path = os.path.join(self.folder, name)
        # A run that was killed may have left half a line.
        if os.path.exists(path):
            with open(path, "rb+") as file:
                text = file.read()
                file.truncate(text.rfind(b"\n") + 1)
        return open(path, "a", buffering=1)

    def _open_for_user(self, name):
        """The file of ``--logging-file``, which may be a device; what stands in it stays. None if there is none to open."""
        if self.folder is None or not name:
            return None
        path = os.path.join(self.folder, name)
        inside = os.path.relpath(os.path.realpath(path), os.path.realpath(self.folder))
        if inside == "train.log":  # has the same lines
            return None
        if inside in OWN_FILES:
            raise UserError(f"--logging-file {name}: a run writes a file of its own with this name; give another one")
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            file = open(path, "a", buffering=1, encoding="utf-8", errors="backslashreplace")
            if os.path.isfile(path) and not _ends_a_line(path):
                file.write("\n")
            return file
        except OSError as error:
            raise UserError(f"--logging-file {path} cannot be written: {error.strerror}") from None

    def position(self):
        """Bytes of ``log.jsonl`` so far, on the disk: what a checkpoint notes for :meth:`rewind`."""
        if self._log is None:
            return 0
        self._log.flush()
        os.fsync(self._log.fileno())
        return self._log.tell()

    def rewind(self, position):
        """Forget what was logged after a checkpoint: the resumed run says it again."""
        if self._log is not None:
            self._log.truncate(position)
            self._log.seek(0, os.SEEK_END)

    def start(self, step, steps_per_epoch, total):
        """The loop begins at ``step`` of ``total``; opens the progress bar where somebody looks at a terminal."""
        self._steps_per_epoch = steps_per_epoch
        self.restart_clock(step)
        if self.folder is not None and sys.stderr.isatty():
            self._bar = tqdm(total=total, initial=step, unit="step", dynamic_ncols=True, smoothing=0.05)

    def progress(self, step, epoch, learning_rate):
        """One step is on its way."""
        if self._bar is not None:
            self._bar.set_description("epoch {}".format(epoch), refresh=False)
            self._postfix(lr="{:.4g}".format(learning_rate))
            self._bar.update(step - self._bar.n)

    def _postfix(self, **values):
        shown = dict(getattr(self._bar, "shown", {}), **values)
        self._bar.shown = shown
        self._bar.set_postfix(shown, refresh=False)

    def train(self, step, epoch, learning_rate, summary, images_per_step):
        """A line on the steps since the last one: means of loss and top-1, and the speed.

        It gives the place in epochs too, because ``--elastic scale-lr`` counts the steps anew where their size changes.
        """
        elapsed, steps = time.time() - self._clock, step - self._clock_step
        self.training_seconds += elapsed
        speed = images_per_step * steps / max(elapsed, 1e-9)
        self.restart_clock(step)
        passes = round(step / self._steps_per_epoch, 6)
        self._record("train", step=step, epoch=epoch, passes=passes, learning_rate=learning_rate,
                     loss=summary["loss"], top1=summary["top1"], images=summary["images"])  # fmt: skip
        self.clock("train", step=step, passes=passes, images_per_second=speed)
        if self._bar is not None:
            self._postfix(loss="{:.4f}".format(summary["loss"]), img_s="{:.0f}".format(speed))
        self.say("epoch {} step {}: loss {:.4f} top-1 {:.2f} % lr {:.6f} {:.0f} images/s".format(
            epoch, step, summary["loss"], summary["top1"], learning_rate, speed), bar=False)  # fmt: skip

    def epoch(self, step, epoch, summary):
        """The training set's means over a whole epoch."""
        self._record("epoch", step=step, epoch=epoch, **summary)

    def validation(self, step, epoch, summary, seconds):
        """The validation set's figures after ``step`` steps."""
        self._record("validation", step=step, epoch=epoch, **summary)
        self.clock("validation", step=step, seconds=seconds)
        self.say("epoch {} validation: top-1 {:.2f} % top-5 {:.2f} % loss {:.4f} on {} images".format(
            epoch, summary["top1"], summary["top5"], summary["loss"], summary["images"]))  # fmt: skip
        self.restart_clock(step)

    def restart_clock(self, step):
        """What has passed since the last line was not training."""
        self._clock, self._clock_step = time.time(), step

    def say(self, text, bar=True):
        """A plain line for a person. With ``bar=False`` it is not printed where a progress bar says the same."""
        for file in self._plain:
            file.write(text + "\n")
        if self.folder is None:
            return
        if self._bar is None:
            print(text, flush=True)
        elif bar:
            self._bar.write(text, file=sys.stdout)

    def clock(self, event, **values):
        """A line in ``timing.jsonl``: things that another run of the same flags would see otherwise."""
        if self._timing is not None:
            self._timing.write(json.dumps(dict(event=event, time=round(time.time(), 3), **values)) + "\n")

    def _record(self, event, step, **values):
        if self._log is None:
            return
        self._log.write(json.dumps(dict(event=event, step=step, **values)) + "\n")
        if self._board is not None:
            for name, value in values.items():
                if name not in ("epoch", "passes", "images"):
                    self._board.add_scalar("{}/{}".format(event, name), value, step)

    def close(self):
        """Close the bar and the files."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        if self._board is not None:
            self._board.close()
        for file in [self._log, self._timing] + self._plain:
            if file is not None and not file.closed:
                file.close()


def _ends_a_line(path):
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - 1))
        return file.read(1) in (b"", b"\n")


def _summary_writer(folder):
    """Writes TensorBoard's events into ``folder``."""
    try:
        from tensorboardX import SummaryWriter
    except Exception as error:  # a version that does not fit protobuf's raises TypeError
        raise UserError(f"--tensorboard needs tensorboardX ({error}): pip install 'tensorboardX>=2.6,<3'") from None
    return SummaryWriter(folder)


def read(path):
    """The records of a ``.jsonl`` file, as dicts; half a last line, of a run that was killed, is left out."""
    with open(path) as file:
        return [json.loads(line) for line in file if line.endswith("\n")]
