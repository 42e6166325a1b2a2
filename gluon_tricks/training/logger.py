"""A run's output: its log, lines for people, a progress bar on a terminal, TensorBoard."""

import contextlib
import os
import sys
import time

from tqdm import tqdm

from ..errors import UserError
from ..tasks.figure import in_training, loss_last
from ..text import printable
from .feeding import WaitingTime
from .log_files import LogFiles, named


class Logger:
    """Writes a run's records. With ``folder=None`` (every rank but 0) it writes nothing."""

    def __init__(self, task, folder, log_file="", tensorboard=False):
        self._task = task
        self._files = LogFiles(folder, log_file, self.say) if folder else None
        self._board = None
        if folder and tensorboard:
            self._board = _board(os.path.join(folder, "tensorboard"))
        self._terminal = Terminal()
        self._since, self._steps = time.time(), 0  # the last line of the log, the steps since then
        self._steps_per_epoch = None
        self.waiting = WaitingTime()  # since the last line of the log
        self.training_seconds = 0.0  # without validation and checkpoints

    def contents(self):
        """All of ``log.jsonl`` so far (bytes), on the disk; see :meth:`.LogFiles.contents`."""
        return self._files.contents() if self._files else b""

    def rewind(self, size, log=None, elsewhere=False):
        """Forget what was logged after a checkpoint; see :meth:`.LogFiles.rewind`."""
        if self._files:
            self._files.rewind(size, log, elsewhere)

    def start(self, step, steps_per_epoch, total):
        """Note that the loop begins, at ``step`` of ``total``."""
        self._steps_per_epoch = steps_per_epoch
        self.restart_clock()
        if self._files:
            self._terminal.open_bar(step, total)

    def progress(self, step, epoch, learning_rate):
        """Note that one more step is on its way, after which ``step`` steps are done."""
        self._steps += 1
        self._terminal.advance(step, epoch, lr=f"{learning_rate:.4g}")

    def train(self, step, epoch, learning_rate, figures, images_per_step):
        """Log the steps since the last line, all of which are finished: the loss, the best figure,
        and the speed.

        The line gives the place in epochs too, because ``--elastic scale-lr`` renumbers the steps
        when their size changes.
        """
        elapsed = time.time() - self._since
        self.training_seconds += elapsed
        speed = images_per_step * self._steps / max(elapsed, 1e-9)
        waited, advice = self.waiting.share(), self.waiting.advice()
        self.restart_clock()
        passes = round(step / self._steps_per_epoch, 6)
        shown = in_training(self._task)
        values = {figure.name: figures[figure.name] for figure in shown}
        about = dict(epoch=epoch, passes=passes, learning_rate=learning_rate)
        self._record("train", step, about, dict(values, images=figures["images"]))
        times = dict(images_per_second=speed, waited_for_data=round(waited, 4))
        self.clock("train", step=step, passes=passes, **times)
        loss, percent = f"{figures['loss']:.4f}", f"{100 * waited:.0f} %"
        self._terminal.show(loss=loss, img_s=f"{speed:.0f}", waited=percent)
        said = " ".join(figure.text(values[figure.name]) for figure in shown)
        self.say(
            f"epoch {epoch} step {step}: {said} lr {learning_rate:.6f} {speed:.0f} images/s, "
            f"{percent} waiting for data",
            bar=False,
        )
        if advice:
            self.say(advice)

    def epoch(self, step, epoch, figures):
        """Log the training set's figures over a whole epoch."""
        self._record("epoch", step, dict(epoch=epoch), figures)

    def validation(self, step, epoch, figures, seconds):
        """Log the validation set's figures after ``step`` steps."""
        self._record("validation", step, dict(epoch=epoch), figures)
        self.clock("validation", step=step, seconds=seconds)
        said = " ".join(figure.text(figures[figure.name]) for figure in loss_last(self._task))
        self.say(f"epoch {epoch} validation: {said} on {figures['images']} images")
        self.restart_clock()

    def restart_clock(self):
        """Measure times from now on: what has passed since the last line was not training."""
        self._since, self._steps = time.time(), 0
        self.waiting.restart()

    def clock(self, event, **values):
        """Add a line to ``timing.jsonl``: what would differ in another run with the same flags."""
        if self._files:
            self._files.add_timing(dict(event=event, time=round(time.time(), 3), **values))

    def say(self, text, bar=True):
        """Print and keep a line for people. With ``bar=False`` it is not printed next to a progress
        bar, which shows the same.
        """
        if self._files:
            text = printable(text)  # it may name a file
            self._files.add_plain(text)
            self._terminal.print(text, bar)

    def _record(self, event, step, about, figures):
        if self._files:
            self._files.add_record(dict(event=event, step=step, **about, **figures))
        if self._board:
            drawn = dict(figures, **about)
            names = [name for name in drawn if name not in ("epoch", "passes", "images")]
            self._board(event, step, {name: drawn[name] for name in names})

    def close(self):
        """Close the bar and the files."""
        self._terminal.close()
        if self._files:
            self._files.close()


class Terminal:
    """Printed lines, and a progress bar if standard error is a terminal.

    If they can no longer be written, as when the terminal is closed, the run continues in silence.
    """

    def __init__(self):
        self._bar, self._shown, self._is_open = None, {}, True

    def open_bar(self, step, total):
        """Open the progress bar at ``step`` of ``total``."""
        if sys.stderr.isatty():
            with self._listening():
                self._bar = tqdm(
                    total=total, initial=step, unit="step", dynamic_ncols=True, smoothing=0.05
                )

    def advance(self, step, epoch, **values):
        """Move the bar to ``step`` and show ``values`` behind it."""
        if self._bar is not None:
            with self._listening():
                self._bar.set_description(f"epoch {epoch}", refresh=False)
                self.show(**values)
                self._bar.update(step - self._bar.n)

    def show(self, **values):
        """Show ``values`` behind the bar, next to those that it shows already."""
        if self._bar is not None:
            self._shown.update(values)
            with self._listening():
                self._bar.set_postfix(self._shown, refresh=False)

    def print(self, text, bar=True):
        """Print a line; next to a bar only with ``bar``."""
        with self._listening():
            if self._bar is not None:
                if bar:
                    self._bar.write(text, file=sys.stdout)
            elif self._is_open:
                print(text, flush=True)

    def close(self):
        """Close the bar."""
        if self._bar is not None:
            with self._listening():
                self._bar.close()
            self._bar = None

    @contextlib.contextmanager
    def _listening(self):
        try:
            yield
        except OSError:
            self._is_open, self._bar = False, None


def _board(folder):
    """A function that adds (event, step, values) to a TensorBoard file, at once and in this thread.

    ``SummaryWriter`` writes in a thread of its own. On a full disk that thread dies, and the run
    would wait for it forever.
    """
    try:
        from tensorboardX import summary
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event
    except Exception as error:  # TypeError if its version does not fit protobuf's
        raise UserError(
            f"--tensorboard needs tensorboardX ({error}): pip install 'tensorboardX>=2.6,<3'"
        ) from None

    with named(folder):
        os.makedirs(folder, exist_ok=True)
        writer = EventsWriter(os.path.join(folder, "events"))

    def add(event, step, values):
        with named(folder):
            for name, value in values.items():
                scalar = summary.scalar(f"{event}/{name}", value)
                writer.write_event(Event(wall_time=time.time(), step=step, summary=scalar))
            writer.flush()

    return add
