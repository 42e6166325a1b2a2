"""The cost of our loop: its images a second compared with those of a bare record / backward /
update loop in the same process, and the time that each of its parts adds to a step.
"""

import os
import statistics
import tempfile
import time

from .. import config as flags
from ..files import write_json
from ..training.feeding import place, placed, steps_ahead
from ..training.loop import receive
from ..training.pending import Pending
from ..training.step import train_step
from .numbers import add_numbers

# The parts of a step, in the order in which they are switched off; the last one is what remains.
PARTS = ("data", "copy", "update", "compute")


def add_arguments(parser):
    """The sizes of the measurement, by default small enough for a CPU."""
    parser.add_argument(
        "--model", default="resnet18_v1d", metavar="S", help="network [resnet18_v1d]"
    )
    dtypes = ("float32", "float16")
    parser.add_argument(
        "--dtype", default="float32", choices=dtypes, help="of the network [float32]"
    )
    add_numbers(
        parser,
        batch_size=(32, "images a device"),
        input_size=(64, "height and width"),
        steps=(10, "steps a round"),
        rounds=(7, "rounds; all loops take turns"),
        num_gpus=(0, "GPUs; 0: CPU"),
    )


def main(args):
    """Print images a second of both loops, the median of their ratio over the rounds, and the
    shares of a step's parts. Returns the exit code 0.
    """
    with tempfile.TemporaryDirectory() as folder:
        result = measure(args, folder)
    print(
        "loop {loop:.1f} images/s, bare {bare:.1f} images/s, ratio {ratio:.3f} "
        "(rounds: {low:.3f} to {high:.3f})".format(**result)
    )
    said = [f"{part} {100 * result[part]:.1f} %" for part in PARTS]
    is_noise = min(result[part] for part in PARTS) < -0.005
    advice = " (below 0 is noise: use more --steps and --rounds)" if is_noise else ""
    print("of a step's time: " + ", ".join(said) + advice)
    if args.json:
        names = ("loop", "bare", "ratio", *PARTS)
        write_json(args.json, {name: result[name] for name in names})
    return 0


def measure(args, folder):
    """``{"loop", "bare", "ratio", "low", "high"}``, medians over the rounds and the ratio's
    extremes, and for each of PARTS the share of a step's time that it adds.
    """
    from ..training.run import build

    run = build(_config(args, folder))
    images = run.layout.global_batch * args.steps
    try:
        loops = dict(
            loop=OurLoop(run),
            bare=BareLoop(run),
            data=OurLoop(run, without=PARTS[:1]),
            copy=OurLoop(run, without=PARTS[:2]),
            update=OurLoop(run, without=PARTS[:3]),
        )
        for loop in loops.values():
            loop.round(2)  # compilation and memory
        rounds = []
        for number in range(args.rounds):
            # The order changes, so that a slow moment of the machine affects all alike.
            order = list(loops)[:: 1 if number % 2 else -1]
            rounds.append({name: timed(loops[name], args.steps) for name in order})
    finally:
        run.close()
    return summary(rounds, images)


def timed(loop, steps):
    """Seconds of this many steps, after one that clears up after the previous loop: on a CPU,
    weights that were not updated are still in oneDNN's own layout.
    """
    loop.round(1)
    return loop.round(steps)


def _config(args, folder):
    devices = max(1, args.num_gpus)
    never = dict(num_epochs=10**6, save_frequency=0, val_frequency=10**6)
    return flags.resolve(
        dict(
            model=args.model,
            dtype=args.dtype,
            batch_size=args.batch_size,
            input_size=args.input_size,
            num_gpus=args.num_gpus,
            synthetic=args.batch_size * args.steps * devices,
            log_interval=args.steps,
            save_dir=os.path.join(folder, "run"),
            **never,
        )
    )


def summary(rounds, images):
    """The figures of ``rounds``, dicts of each loop's seconds for ``images`` images."""
    ratios = [seconds["bare"] / seconds["loop"] for seconds in rounds]
    whole, *without = (
        statistics.median(seconds[name] for seconds in rounds)
        for name in ("loop", "data", "copy", "update")
    )
    times = [whole, *without, 0.0]
    shares = [(more - less) / whole for more, less in zip(times, times[1:])]
    return dict(
        loop=images / whole,
        bare=statistics.median(images / seconds["bare"] for seconds in rounds),
        ratio=statistics.median(ratios),
        low=min(ratios),
        high=max(ratios),
        **dict(zip(PARTS, shares)),
    )


class OurLoop:
    """The training loop's step with its data, counting and waiting. A round is what lies between
    two lines of the log.

    Parts may be switched off. Without ``data``, each step has the first batch; without ``copy``,
    that batch is already on the devices; without ``update``, gradients are not summed and
    parameters stay as they are.
    """

    def __init__(self, run, without=()):
        self.run, self._update = run, run.learner.update
        self.pending = Pending(lambda result, step: receive(run, result, step))
        self._batch = next(run.data.train.batches(0, 1)) if without else None
        self._placed = None
        if "copy" in without:
            self._placed = place(self._batch, run.layout, run.workers.devices)
        if "update" in without:
            self._update = WithoutUpdate(run.learner.update)

    def round(self, steps):
        run, started = self.run, time.perf_counter()
        progress, learner, timetable = run.progress, run.learner, run.timetable
        update, learner.update = learner.update, self._update
        for batch in self._batches(progress.step, progress.step + steps):
            step = progress.step
            learner.trainer.set_learning_rate(timetable.learning_rate(step))
            result = train_step(learner, run.layout, run.workers.devices, batch, step)
            self.pending.push(result, step)
            progress.step += 1
        self.pending.drain()
        learner.update = update
        _wait(run)
        return time.perf_counter() - started

    def _batches(self, start, stop):
        if self._placed:
            return [self._placed] * (stop - start)
        run, devices = self.run, self.run.workers.devices
        if self._batch is None:
            batches = run.data.train.batches(start, stop)
        else:
            batches = [self._batch] * (stop - start)
        return placed(batches, run.layout, devices, steps_ahead(devices))


class WithoutUpdate:
    """An Update that changes nothing."""

    def __init__(self, update):
        self._update = update

    def __getattr__(self, name):
        return getattr(self._update, name)

    def __call__(self, step):
        return None


class BareLoop:
    """The least work that trains the same network: the same images in each step, already on the
    devices, and no counting.
    """

    def __init__(self, run):
        from mxnet import gluon

        self.run = run
        self.loss = gluon.loss.SoftmaxCrossEntropyLoss()
        self.loss.hybridize()
        batch = place(next(run.data.train.batches(0, 1)), run.layout, run.workers.devices)
        self.parts = [
            (images.astype(run.config.dtype, copy=False), labels)
            for images, labels, _ in batch.parts.values()
        ]

    def round(self, steps):
        from mxnet import autograd

        run, started = self.run, time.perf_counter()
        for _ in range(steps):
            with autograd.record():
                losses = [
                    self.loss(run.learner.net(images), labels) for images, labels in self.parts
                ]
            autograd.backward(losses)
            run.learner.trainer.step(run.layout.global_batch)
        _wait(run)
        return time.perf_counter() - started


def _wait(run):
    for parameter in run.learner.trained:
        for data in parameter.list_data():
            data.wait_to_read()
