"""Images a second of 1 to N workers on this machine, one thread each, with Horovod and with the
parameter server.

A worker's rate is compared with that of one process alone, so the efficiency includes what workers
on one machine take from each other: caches, memory bandwidth, the clock rate of the cores.
"""

import os
import statistics
import subprocess
import sys
import tempfile

from ..child_processes import end_with_parent
from ..distributed.launch_plan import KVSTORES
from ..errors import UserError
from ..files import write_json
from ..threads import CHOSEN_HERE, NAME, cores
from .numbers import add_numbers


def add_arguments(parser):
    """What is trained, and how long."""
    parser.add_argument(
        "--workers", type=int, default=cores(), metavar="N", help="most workers [the cores]"
    )
    parser.add_argument(
        "--launches",
        default="horovod,dist_sync",
        metavar="L,L",
        help="launches to measure [horovod,dist_sync]",
    )
    parser.add_argument(
        "--model", default="resnet50_v1d", metavar="S", help="network [resnet50_v1d]"
    )
    add_numbers(
        parser,
        batch_size=(256, "images a step and worker"),
        input_size=(64, "height and width"),
        steps=(2, "steps a round"),
        rounds=(5, "rounds, of which the first does not count"),
        repeats=(3, "how many times to measure all launches in turn"),
    )


def main(args):
    """Print a row for each launch and number of workers. Returns the exit code 0."""
    launches = args.launches.split(",")
    if (
        not set(launches) <= set(KVSTORES)
        or args.workers < 1
        or args.rounds < 2
        or args.steps < 1
        or args.repeats < 1
    ):
        raise UserError(
            f"bench scaling: --launches are of {', '.join(KVSTORES)}; "
            "--workers, --steps and --repeats at least 1, --rounds at least 2"
        )
    cases = [("local", 1)] + [
        (launch, count) for launch in launches for count in range(1, args.workers + 1)
    ]
    # Each repeat measures all cases in turn, and so compares what was measured within minutes of
    # each other: a machine's speed changes.
    repeats = []
    for number in range(1, args.repeats + 1):
        repeats.append({})
        for launch, count in cases:
            print(
                f"turn {number} of {args.repeats}: {launch}, workers: {count}",
                file=sys.stderr,
                flush=True,
            )
            repeats[-1][launch, count] = measure(args, launch, count)
    rows = [row(case, repeats) for case in cases]
    for found in rows:
        print(
            "{launch:16} {workers:3} workers {images_per_second:8.1f} images/s, "
            "efficiency {efficiency:.3f} ({efficiency_worst:.3f} to {efficiency_best:.3f})".format(
                **found
            ),
            flush=True,
        )
    if args.json:
        write_json(args.json, rows)
    return 0


def row(case, repeats):
    """Medians over the repeats, each {case: images a second}. Efficiencies are within a repeat."""
    launch, workers = case
    efficiencies = [speeds[case] / workers / speeds["local", 1] for speeds in repeats]
    return dict(
        launch=launch,
        workers=workers,
        images_per_second=statistics.median(speeds[case] for speeds in repeats),
        efficiency=statistics.median(efficiencies),
        efficiency_worst=min(efficiencies),
        efficiency_best=max(efficiencies),
    )


def command(launch, workers, arguments):
    """The command line that starts this many workers, which train with these ``arguments``."""
    package = [sys.executable, "-m", "gluon_tricks"]
    if launch == "local":
        return package + ["train"] + arguments
    servers = [] if launch == "horovod" else ["-s", "1"]
    return (
        package
        + ["launch", "--kvstore", launch, "-n", str(workers)]
        + servers
        + ["--", "train"]
        + arguments
    )


def train_arguments(args, images, steps, folder):
    """The flags of ``train`` for ``steps`` steps, with this many synthetic images."""
    # The checkpoint and validation of the last step come after the timed rounds.
    return (
        f"--model {args.model} --batch-size {args.batch_size} --input-size {args.input_size} -j 1 "
        f"--synthetic {images} --num-epochs 2 --max-steps {steps} --val-frequency 2 "
        f"--save-frequency 0 --log-interval {args.steps}"
    ).split() + ["--save-dir", folder]


def one_thread(environment):
    """The ``environment`` with one thread for each worker, as if the user had asked for it: a
    launch shares out the cores otherwise.
    """
    kept = {name: value for name, value in environment.items() if name != CHOSEN_HERE}
    return {**kept, NAME: "1"}


def measure(args, launch, workers):
    """Images a second of all workers together: the median of all rounds except the first."""
    from ..training.log_files import read

    steps = args.steps * args.rounds
    with tempfile.TemporaryDirectory() as folder:
        run = os.path.join(folder, "run")
        arguments = train_arguments(args, args.batch_size * workers * steps, steps, run)
        done = subprocess.run(
            command(launch, workers, arguments),
            env=one_thread(os.environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=end_with_parent(),
        )
        if done.returncode:
            raise UserError(
                f"{launch} with {workers} workers ended with {done.returncode}:\n"
                f"{done.stdout[-2000:]}"
            )
        speeds = [
            row["images_per_second"]
            for row in read(os.path.join(run, "timing.jsonl"))
            if row["event"] == "train"
        ]
    return statistics.median(speeds[1:])
