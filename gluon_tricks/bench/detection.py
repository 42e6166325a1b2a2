"""``gluon-tricks bench detection``: a step of our Faster-RCNN and one of GluonCV's script, with the
same settings on the same images, in one process.

The proposals' targets are computed in our step but in GluonCV's loader. So both are also measured
with images that are read and augmented for each step.
"""

import os
import tempfile
import time

from .. import config as configuration
from ..config import user_path
from ..errors import UserError
from ..files import write_json
from .numbers import add_numbers
from .step import PARTS, OurLoop

LOOPS = "ours", "gluoncv", "ours_with_images", "gluoncv_with_images"
MEASURED = "seconds", "cpu_seconds"
FLAGS = (
    *("model", "rec_train_idx", "classes", "input_size", "max_side", "max_boxes", "batch_size"),
    *("anchor_scales", "rpn_channels", "roi_size", "proposals", "rpn_sample", "roi_sample"),
)
MODEL = "faster_rcnn_resnet50_v1b"  # GluonCV's own
DEFAULTS = dict(configuration.DEFAULTS_OF_TASKS["detection"], model=MODEL)


def add_arguments(parser):
    """The file, what to measure, and the flags of the network."""
    parser.add_argument(
        "--rec",
        type=user_path,
        required=True,
        metavar="FILE",
        help="RecordIO file of images with boxes",
    )
    add_numbers(parser, steps=(3, "steps a round"), rounds=(5, "rounds; all loops take turns"))
    configuration.add_arguments(parser, FLAGS, dict(detection=DEFAULTS))


def main(args):
    """Print the seconds and CPU seconds of a step in the fastest round, because other work on the
    machine only adds to them, and their ratios. Returns the exit code 0.
    """
    with tempfile.TemporaryDirectory() as folder:
        rounds = measure(args, folder)
    found = {
        name: {what: min(each[name][what] for each in rounds) for what in MEASURED}
        for name in LOOPS
    }
    for name, least in found.items():
        print("{:20} {seconds:.3f} s a step, {cpu_seconds:.3f} CPU s".format(name, **least))
    for ours, theirs in zip(LOOPS[::2], LOOPS[1::2]):
        for what in MEASURED:
            ratios = [each[theirs][what] / each[ours][what] for each in rounds]
            ratio, words = found[theirs][what] / found[ours][what], what.replace("_", " ")
            spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
            print(f"{words}, {theirs} : {ours} {ratio:.2f} (rounds: {spread})")
    if args.json:
        write_json(args.json, found)
    return 0


def measure(args, folder):
    """For each round and each of LOOPS, what is MEASURED of a step."""
    from ..training.run import build
    from .gluoncv_boxes import Loop

    config = config_of(args, folder)
    if not config.model.endswith("v1b"):
        raise UserError(f"--model {config.model}: GluonCV's Faster-RCNN has a ResNet called v1b")
    run = build(config)
    try:
        keys = next(run.data.train.batches(0, 1)).keys
        made = OurLoop(run, PARTS[:1]), Loop(config, keys), OurLoop(run), Loop(config, keys, True)
        loops = dict(zip(LOOPS, made))
        for loop in loops.values():
            loop.round(2)  # compilation and memory
        rounds = []
        for number in range(args.rounds):
            order = list(loops)[:: 1 if number % 2 else -1]  # as in step.py
            rounds.append({name: timed(loops[name], args.steps) for name in order})
    finally:
        run.close()
    return rounds


def config_of(args, folder):
    """The Config of a run that never saves or validates."""
    given = {name: getattr(args, name) for name in FLAGS if hasattr(args, name)}
    return configuration.resolve(
        dict(
            {"model": MODEL, **given},
            task="detection",
            rec_train=args.rec,
            lr=0.001,
            num_epochs=10**6,
            save_frequency=0,
            save_dir=os.path.join(folder, "run"),
        )
    )


def timed(loop, steps):
    """What is MEASURED of a step, as the mean over so many."""
    wall, cpu = time.perf_counter(), time.process_time()
    loop.round(steps)
    spent = time.perf_counter() - wall, time.process_time() - cpu
    return {what: value / steps for what, value in zip(MEASURED, spent)}
