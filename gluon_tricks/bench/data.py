"""``gluon-tricks bench data``: the loader compared with decoding, ImageRecordIter and
GluonCV's DataLoader, in one run.

All read the same file and, except ``decode``, do the same augmentation: random crop, flip,
brightness, contrast and saturation +-0.4, PCA noise, normalisation (in the authors' form, the only
one that ImageRecordIter knows). With ``--task segmentation`` or ``detection`` they also read masks
or boxes and augment them as in training. Our own pipelines can also run in data processes of one
thread each. The pipelines take turns in short rounds and the median round counts, because other
work on the machine comes and goes. CPU seconds are those of the whole process and its children, so
they compare the work of a core even if the numbers of threads differ.
"""

import contextlib
import os
import statistics
import time

from .. import config as configuration
from ..config import user_path
from ..data.processes import DataProcesses
from ..errors import UserError
from ..files import write_json
from . import memory, pipelines
from .numbers import add_numbers

OURS = ("decode", "loader_float32", "loader_uint8")  # these can run in data processes
PIPELINES = (*OURS, "image_record_iter", "gluoncv")
OF_TASK = {  # in place of PIPELINES
    "segmentation": (*OURS, "gluoncv_masks"),
    "detection": (*OURS, "gluoncv_boxes"),
}
# Only on request: they do more work than the others.
OURS_WITH_POLICY = ("loader_autoaugment", "loader_randaugment")
WITH_POLICY = (*OURS_WITH_POLICY, "pillow_autoaugment")
IN_PROCESSES = OURS + OURS_WITH_POLICY
# The pairs whose images for the same CPU time are compared.
COMPARED = (
    *(("loader_float32", other) for other in ("image_record_iter", "decode")),
    *(("loader_uint8", other) for other in ("image_record_iter", "decode")),
    *((name, other) for other in ("gluoncv_masks", "gluoncv_boxes") for name in OURS[1:]),
    *((name, "loader_float32") for name in OURS_WITH_POLICY),
    *((name, "pillow_autoaugment") for name in OURS_WITH_POLICY),
)
DETECTOR = "faster_rcnn_resnet50_v1b"  # GluonCV has it too, and its loader needs the anchors
# Defaults of this measurement. There are as many classes as labels can have.
OWN_DEFAULTS = dict(
    classification=dict(classes=1 << 24, batch_size=64, color_form="gluoncv"),
    segmentation=dict(classes=configuration.MOST_CLASSES_OF_MASKS),
    detection=dict(model=DETECTOR, classes=1000),
)
DEFAULTS = {
    task: dict(usual, **OWN_DEFAULTS[task])
    for task, usual in configuration.DEFAULTS_OF_TASKS.items()
}
# Batches until a pipeline is as fast as in a long run: it keeps about as many in memory, whose
# pages are new the first time, and new to each data process.
WARM_UP, WARM_UP_OF_PROCESSES = 6, 16
# Seconds of a round below which a moment's other work counts more than the pipeline. Rounds of the
# default number of photographs take longer.
SHORT = 0.2
FLAGS = (
    "task",
    "rec_train_idx",
    "input_size",
    "base_size",
    "scale_range",
    "scale_side",
    "blur",
    "max_side",
    "batch_size",
    "crop_area",
    "crop_aspect",
    "crop_fallback",
    "flip",
    "color_jitter",
    "color_form",
    "pca_noise",
)


def add_arguments(parser):
    """The file, what to measure, and the flags of the augmentation."""
    parser.add_argument(
        "--rec", type=user_path, required=True, metavar="FILE", help="RecordIO file of images"
    )
    parser.add_argument(
        "--threads", default="1,2", metavar="N,N", help="numbers of threads to measure [1,2]"
    )
    parser.add_argument(
        "--processes",
        default="0",
        metavar="N,N",
        help="numbers of data processes, of one thread each, to measure; 0: none but this one, "
        "with the numbers of --threads [0]",
    )
    add_numbers(
        parser, images=(512, "images of a measurement"), rounds=(5, "rounds; the median counts")
    )
    parser.add_argument(
        "--pipelines",
        metavar="A,B",
        help=f"some of these and of {', '.join(WITH_POLICY)} [{_usual_pipelines()}]",
    )
    configuration.add_arguments(parser, FLAGS, DEFAULTS)


def _usual_pipelines():
    """The pipelines that are measured by default, for the help."""
    of_tasks = (f"{task}: {','.join(names)}" for task, names in OF_TASK.items())
    return "; ".join([",".join(PIPELINES), *of_tasks])


def main(args):
    """Print the table and the ratios, and write the rows to ``--json``. Returns the exit code 0."""
    threads = parse_list(args.threads, "--threads", int)
    processes = parse_list(args.processes, "--processes", int)
    known = OF_TASK.get(getattr(args, "task", ""), PIPELINES)
    names = parse_list(args.pipelines or ",".join(known), "--pipelines", str)
    for name in names:
        if name not in (*known, *WITH_POLICY):
            text = "--pipelines {}: there is no such pipeline; there are {}"
            raise UserError(text.format(name, ", ".join((*known, *WITH_POLICY))))
    if min(threads) < 1 or args.rounds < 1 or args.images < 1:
        raise UserError("--threads, --rounds and --images have to be at least 1")
    if min(processes) < 0:
        raise UserError(f"--processes {args.processes}: needs numbers of at least 0")
    if not list(places(names, threads, processes)):
        raise UserError(
            f"--processes {args.processes}: data processes run only {', '.join(IN_PROCESSES)}; "
            f"add 0 for --pipelines {args.pipelines}"
        )
    rows = measure(args, names, threads, processes)
    print_rows(rows)
    print_doubt(rows)
    memory.print_share(rows, side_of(args))
    if args.json:
        keys = ("pipeline", "processes", "threads", "images_per_second", "cpu_seconds_per_1000")
        write_json(args.json, [{key: row[key] for key in keys} for row in rows])
    return 0


def side_of(args):
    """The side of the loader's images, in pixels."""
    name = "max_side" if getattr(args, "task", "") == "detection" else "input_size"
    return getattr(args, name, getattr(configuration.Config, name))


def parse_list(text, flag, kind):
    """The values of a flag like ``1,2``; UserError if it is not such a list."""
    try:
        values = [kind(part) for part in text.split(",") if part]
    except ValueError:
        values = []
    if not values:
        raise UserError(f"{flag} {text!r}: not a list such as 1,2")
    return values


def measure(args, names, threads, processes):
    """A row for each pipeline and number of threads or processes, with its figures by round."""
    given = given_or_own(args)
    rounds = {place: [] for place in places(names, threads, processes)}
    with contextlib.ExitStack() as stack:
        pools = {
            count: stack.enter_context(contextlib.closing(DataProcesses(count)))
            for count in processes
            if count
        }
        for number in range(args.rounds):
            for name, count, each in rounds:
                flags = dict(given, num_data_workers=each, seed=number)
                config, pool = configuration.resolve(flags), pools.get(count)
                pipeline = getattr(pipelines, name)
                rounds[name, count, each].append(timed(pipeline, config, args.images, pool))
    return [
        dict(
            pipeline=name,
            processes=count,
            threads=each,
            images_per_second=statistics.median(speeds(figures)),
            cpu_seconds_per_1000=statistics.median(costs(figures)),
            rounds=figures,
        )
        for (name, count, each), figures in rounds.items()
    ]


def given_or_own(args):
    """The given flags, and this measurement's defaults for the others."""
    given = {name: getattr(args, name) for name in FLAGS if hasattr(args, name)}
    own = dict(OWN_DEFAULTS.get(given.get("task", "classification"), {}), rec_train=args.rec)
    if given.get("color_jitter") == 0:  # then the form would have no effect
        own.pop("color_form", None)
    return dict(own, **given)


def places(names, threads, processes):
    """``(pipeline, data processes, threads of each)`` for each row."""
    for count in processes:
        for each in (1,) if count else threads:
            for name in names:
                if not count or name in IN_PROCESSES:
                    yield name, count, each


def speeds(figures):
    """Images a second of each round."""
    return [images / wall for images, wall, _ in figures]


def costs(figures):
    """CPU seconds per 1,000 images of each round."""
    return [1000 * cpu / images for images, _, cpu in figures]


def timed(pipeline, config, images, processes=None):
    """``(images, wall seconds, CPU seconds)`` of at least ``images`` images, after a warm-up."""
    warm_up = (WARM_UP_OF_PROCESSES if processes else WARM_UP) * config.batch_size
    done, start = -warm_up, None
    with contextlib.closing(pipeline(config, images + warm_up, processes)) as batches:
        for size in batches:
            done += size
            if start is None and done >= 0:
                done, start, cpu = 0, time.perf_counter(), cpu_seconds()
            elif done >= images:
                return done, time.perf_counter() - start, cpu_seconds() - cpu
    raise UserError(f"--images {images}: too few images came")


def cpu_seconds():
    """CPU seconds of this process and of its living children."""
    total, tick = time.process_time(), os.sysconf("SC_CLK_TCK")
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError):
            with open(f"/proc/{int(name)}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
            if int(fields[1]) == os.getpid():
                total += (int(fields[11]) + int(fields[12])) / tick
    return total


def print_rows(rows):
    """Print a table, and the ratios that matter: the median over the rounds, and its range."""
    head = ("pipeline", "processes", "threads", "images/s", "slowest to fastest", "CPU s / 1000")
    print("{:18} {:>9} {:>7} {:>9} {:>19} {:>15}".format(*head))
    for row in rows:
        spread = "{:.0f} to {:.0f}".format(min(speeds(row["rounds"])), max(speeds(row["rounds"])))
        line = (
            "{pipeline:18} {processes:9} {threads:7} {images_per_second:9.0f} {spread:>19} "
            "{cpu_seconds_per_1000:15.2f}"
        )
        print(line.format(spread=spread, **row))
    rounds = {(row["pipeline"], *at(row)): row["rounds"] for row in rows}
    first = at(rows[0])
    for name, other in COMPARED:
        if (name, *first) in rounds and (other, *first) in rounds:
            text = f"images for the same CPU time, {name} : {other}"
            print_ratio(text, costs(rounds[(other, *first)]), costs(rounds[(name, *first)]))
    for name in IN_PROCESSES[1:]:
        print_scaling(name, {at(row): row["rounds"] for row in rows if row["pipeline"] == name})
        print_shares_of_decoding(name, rounds, first)


def print_doubt(rows):
    """Say that rounds are too short to be compared, if the shortest is."""
    shortest = min(wall for row in rows for _, wall, _ in row["rounds"])
    if shortest < SHORT:
        print(
            f"a round took only {shortest:.2g} s: so few images tell little, whatever the ratios "
            "are; raise --images"
        )


def at(row):
    """Where a row was measured: (processes, threads)."""
    return row["processes"], row["threads"]


def in_words(count, each):
    return f"{count} processes" if count else f"{each} threads"


def print_scaling(name, rounds):
    """Compare a pipeline with itself on one thread, and processes with as many threads."""
    for count, each in rounds:
        text = f"images a second, {name}, {in_words(count, each)}"
        if (count, each) != (0, 1) and (0, 1) in rounds:
            print_ratio(f"{text} : 1 thread", speeds(rounds[count, each]), speeds(rounds[0, 1]))
        if count and (0, count) in rounds:
            few = speeds(rounds[0, count])
            print_ratio(f"{text} : as many threads", speeds(rounds[count, each]), few)


def print_shares_of_decoding(name, rounds, first):
    """Compare a pipeline with decoding alone, on more cores than in the first row."""
    for other, *place in rounds:
        if other == name and tuple(place) != first and ("decode", *place) in rounds:
            text = f"images a second, {name} : decode, {in_words(*place)}"
            print_ratio(text, speeds(rounds[(name, *place)]), speeds(rounds[("decode", *place)]))


def print_ratio(text, over, under):
    """Print the ratio of two pipelines, round by round: its median and its range."""
    ratios = [one / other for one, other in zip(over, under)]
    print(f"{text:68} {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
