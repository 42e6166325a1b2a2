"""What our loop costs: its images a second next to those of a bare record / backward / update loop,
in one process.
"""

import os
import statistics
import tempfile
import time

from .. import config as flags
from ..files import write_json
from ..training.loop import receive
from ..training.pending import Pending
from ..training.step import train_step


def add_arguments(parser):
    """Sizes of the measurement; small enough for a CPU by default."""
    parser.add_argument("--model", default="resnet18_v1d", help="network [resnet18_v1d]")
    parser.add_argument("--batch-size", type=int, default=32, help="images a step [32]")
    parser.add_argument("--input-size", type=int, default=64, help="height and width [64]")
    parser.add_argument("--steps", type=int, default=10, help="steps a round [10]")
    parser.add_argument(
        "--rounds", type=int, default=7, help="rounds; loop and bare take turns [7]"
    )
    parser.add_argument("--num-gpus", type=int, default=0, help="GPUs; 0: CPU [0]")


def main(args):
    """Print images a second of both and the median of their ratio over the rounds; the exit code is
    0.
    """
    with tempfile.TemporaryDirectory() as folder:
        result = measure(args, folder)
    print(
        "loop {loop:.1f} images/s, bare {bare:.1f} images/s, ratio {ratio:.3f} "
        "(rounds: {low:.3f} to {high:.3f})".format(**result)
    )
    if args.json:
        write_json(args.json, {name: result[name] for name in ("loop", "bare", "ratio")})
    return 0


def measure(args, folder):
    """``{"loop", "bare", "ratio", "low", "high"}``: medians over rounds, the ratio's extremes."""
    from ..training.run import build

    images = args.batch_size * args.steps
    size = dict(
        model=args.model,
        batch_size=args.batch_size,
        input_size=args.input_size,
        num_gpus=args.num_gpus,
    )
    never = dict(num_epochs=10**6, save_frequency=0, val_frequency=10**6)
    config = flags.resolve(
        dict(
            size,
            synthetic=images,
            log_interval=args.steps,
            save_dir=os.path.join(folder, "run"),
            **never,
        )
    )
    run = build(config)
    try:
        bare = BareLoop(run)
        loop = OurLoop(run)
        loop.round(2), bare.round(2)  # compilation and memory
        pairs = []
        for number in range(args.rounds):
            # The one that goes first changes, so that a slow moment of the machine hits both.
            order = (loop, bare) if number % 2 else (bare, loop)
            seconds = {one: one.round(args.steps) for one in order}
            pairs.append((images / seconds[loop], images / seconds[bare]))
    finally:
        run.close()
    ratios = [ours / plain for ours, plain in pairs]
    return dict(
        loop=statistics.median(ours for ours, _ in pairs),
        bare=statistics.median(plain for _, plain in pairs),
        ratio=statistics.median(ratios),
        low=min(ratios),
        high=max(ratios),
    )


class OurLoop:
    """The training loop's step with its data, counting and waiting: a round is what lies between
    two log lines.
    """

    def __init__(self, run):
        self.run = run
        self.pending = Pending(lambda result, step: receive(run, result, step))

    def round(self, steps):
        run, started = self.run, time.perf_counter()
        progress, learner, timetable = run.progress, run.learner, run.timetable
        devices = run.workers.devices
        for batch in run.data.train.batches(progress.step, progress.step + steps):
            step = progress.step
            learner.trainer.set_learning_rate(timetable.learning_rate(step))
            result = train_step(learner, run.layout, devices, batch, step)
            self.pending.push(result, step)
            progress.step += 1
        self.pending.drain()
        _wait(run)
        return time.perf_counter() - started


class BareLoop:
    """The least that trains the same network: the same images each step, already on the device, and
    no counting.
    """

    def __init__(self, run):
        from mxnet import gluon

        self.run = run
        self.loss = gluon.loss.SoftmaxCrossEntropyLoss()
        self.loss.hybridize()
        batch = next(run.data.train.batches(0, 1))
        device = run.workers.devices[0]
        self.images, self.labels = (
            batch.images.as_in_context(device),
            batch.labels.as_in_context(device),
        )

    def round(self, steps):
        from mxnet import autograd

        run, started = self.run, time.perf_counter()
        for _ in range(steps):
            with autograd.record():
                loss = self.loss(run.learner.net(self.images), self.labels)
            loss.backward()
            run.learner.trainer.step(self.images.shape[0])
        _wait(run)
        return time.perf_counter() - started


def _wait(run):
    for parameter in run.learner.trained:
        parameter.list_data()[0].wait_to_read()
