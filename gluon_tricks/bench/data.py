"""``gluon-tricks bench data``: the loader compared with decoding, ImageRecordIter and
GluonCV's DataLoader, in one run.

All read the same file and, but for ``decode``, do the same augmentation: random crop, flip,
brightness, contrast and saturation +-0.4, PCA noise, normalisation (the authors' form, the only one
that ImageRecordIter knows). The pipelines take turns in short rounds and the median round counts,
because other work on the machine comes and goes. CPU seconds are those of the whole process and its
children, so they compare what a core does even if the numbers of threads differ.
"""

import concurrent.futures
import contextlib
import os
import statistics
import threading
import time

from .. import config as configuration
from ..config import user_path
from ..errors import UserError
from ..files import write_json

PIPELINES = ("decode", "loader_float32", "loader_uint8", "image_record_iter", "gluoncv")
# only if asked for: they do more than the others
WITH_POLICY = ("loader_autoaugment", "loader_randaugment", "pillow_autoaugment")
# whose images for the same CPU time are compared with whose
COMPARED = (
    *(("loader_float32", other) for other in ("image_record_iter", "decode")),
    *(("loader_uint8", other) for other in ("image_record_iter", "decode")),
    *((name, "loader_float32") for name in WITH_POLICY[:2]),
    *((name, "pillow_autoaugment") for name in WITH_POLICY[:2]),
)
WARM_UP = 6  # batches; as many as a pipeline may have in memory, whose pages are new the first time
FLAGS = (
    "rec_train_idx",
    "input_size",
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
        "--images", type=int, default=512, metavar="N", help="images of a measurement [512]"
    )
    parser.add_argument(
        "--rounds", type=int, default=5, metavar="N", help="rounds; the median counts [5]"
    )
    parser.add_argument(
        "--pipelines",
        default=",".join(PIPELINES),
        metavar="A,B",
        help=f"which of these and {', '.join(WITH_POLICY)} [%(default)s]",
    )
    configuration.add_arguments(parser, only=FLAGS)


def main(args):
    """Print the table and the ratios, write the rows to ``--json``; the exit code is 0."""
    threads = parse_list(args.threads, "--threads", int)
    pipelines = parse_list(args.pipelines, "--pipelines", str)
    for name in pipelines:
        if name not in PIPELINES + WITH_POLICY:
            text = "--pipelines {}: there is no such pipeline; there are {}"
            raise UserError(text.format(name, ", ".join(PIPELINES + WITH_POLICY)))
    if min(threads) < 1 or args.rounds < 1 or args.images < 1:
        raise UserError("--threads, --rounds and --images have to be at least 1")
    rows = measure(args, pipelines, threads)
    print_rows(rows)
    if args.json:
        keys = ("pipeline", "threads", "images_per_second", "cpu_seconds_per_1000")
        write_json(args.json, [{key: row[key] for key in keys} for row in rows])
    return 0


def parse_list(text, flag, kind):
    try:
        values = [kind(part) for part in text.split(",") if part]
    except ValueError:
        values = []
    if not values:
        raise UserError(f"{flag} {text!r}: not a list such as 1,2")
    return values


def measure(args, pipelines, threads):
    """A row for each pipeline and number of threads, with the figures of every round."""
    given = {name: getattr(args, name) for name in FLAGS if hasattr(args, name)}
    defaults = dict(color_form="gluoncv", rec_train=args.rec, classes=1 << 24, batch_size=64)
    given = dict(defaults, **given)
    if given.get("color_jitter") == 0:
        del given["color_form"]
    rounds = {(name, count): [] for count in threads for name in pipelines}
    for number in range(args.rounds):
        for name, count in rounds:
            config = configuration.resolve(dict(given, num_data_workers=count, seed=number))
            rounds[name, count].append(timed(globals()[name], config, args.images))
    return [
        dict(
            pipeline=name,
            threads=count,
            images_per_second=statistics.median(speeds(figures)),
            cpu_seconds_per_1000=statistics.median(costs(figures)),
            rounds=figures,
        )
        for (name, count), figures in rounds.items()
    ]


def speeds(figures):
    """Images a second of each round."""
    return [images / wall for images, wall, _ in figures]


def costs(figures):
    """CPU seconds per 1,000 images of each round."""
    return [1000 * cpu / images for images, _, cpu in figures]


def timed(pipeline, config, images):
    """``(images, wall seconds, CPU seconds)`` of at least ``images`` images, once the pipeline is
    warm.
    """
    warm_up = WARM_UP * config.batch_size
    done, start = -warm_up, None
    with contextlib.closing(pipeline(config, images + warm_up)) as batches:
        for size in batches:
            done += size
            if start is None and done >= 0:
                done, start, cpu = 0, time.perf_counter(), cpu_seconds()
            elif done >= images:
                return done, time.perf_counter() - start, cpu_seconds() - cpu
    raise UserError(f"--images {images}: too few images came")


def cpu_seconds():
    """CPU time of this process and of its living children."""
    total, tick = time.process_time(), os.sysconf("SC_CLK_TCK")
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError):
            with open(f"/proc/{int(name)}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
            if int(fields[1]) == os.getpid():
                total += (int(fields[11]) + int(fields[12])) / tick
    return total


def decode(config, images):
    """Yields batch sizes: full decoding by libjpeg-turbo of the images that our loader reads, and
    nothing else.
    """
    import simplejpeg

    from ..data import randomness
    from ..data.records import RecordFile

    slots = threading.Semaphore(8 * config.num_data_workers)
    with RecordFile(config.rec_train, config.rec_train_idx) as records:
        order = randomness.permutation(len(records), config.seed, epoch=0)

        def decode_one(position):
            try:
                simplejpeg.decode_jpeg(records.read(order[position % len(records)])[1])
            finally:
                slots.release()

        pool = concurrent.futures.ThreadPoolExecutor(config.num_data_workers)
        try:
            for start in range(0, images + config.batch_size, config.batch_size):
                tasks = []
                for position in range(start, start + config.batch_size):
                    slots.acquire()
                    tasks.append(pool.submit(decode_one, position))
                for task in tasks:
                    task.result()
                yield len(tasks)
        finally:
            pool.shutdown()


def loader_float32(config, images):
    """Our loader, float32 batches ready for the network."""
    from ..data.loader import train_loader

    loader = train_loader(config, config.batch_size)
    try:
        for batch in loader.batches(0, images // config.batch_size + 2):
            yield batch.valid
    finally:
        loader.close()


def loader_uint8(config, images):
    """Our loader, uint8 batches whose colour step is left to the device."""
    config.device_augment = True
    return loader_float32(config, images)


def loader_autoaugment(config, images):
    """Our loader, float32, with AutoAugment."""
    config.auto_augment = "imagenet"
    return loader_float32(config, images)


def loader_randaugment(config, images):
    """Our loader, float32, with two operations of RandAugment."""
    config.auto_augment = "randaugment"
    return loader_float32(config, images)


def pillow_autoaugment(config, images):
    """The same by Pillow, as torchvision does it, without PCA noise."""
    from .pillow import batches

    config.auto_augment = "imagenet"
    return batches(config, images)


def image_record_iter(config, images):
    """MXNet's ImageRecordIter."""
    from ..data.native import refuse_what_it_cannot, train_iterator

    refuse_what_it_cannot(config)
    iterator = train_iterator(config, config.batch_size)
    done = 0
    while done < images + config.batch_size:
        iterator.reset()
        for batch in iterator:
            batch.data[0].wait_to_read()
            done += config.batch_size
            yield config.batch_size


def gluoncv(config, images):
    """GluonCV's way: Gluon's DataLoader, with worker processes, over ImageRecordDataset and its
    transforms."""
    import mxnet as mx
    from mxnet.gluon.data.vision import ImageRecordDataset, transforms

    jitter = config.color_jitter
    transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(
                config.input_size, scale=config.crop_area, ratio=config.crop_aspect
            ),
            transforms.RandomFlipLeftRight(),
            transforms.RandomColorJitter(brightness=jitter, contrast=jitter, saturation=jitter),
            transforms.RandomLighting(config.pca_noise),
            transforms.ToTensor(),
            transforms.Normalize(
                [mean / 255 for mean in config.rgb_mean], [std / 255 for std in config.rgb_std]
            ),
        ]
    )
    loader = mx.gluon.data.DataLoader(
        ImageRecordDataset(config.rec_train).transform_first(transform),
        batch_size=config.batch_size,
        shuffle=True,
        last_batch="discard",
        num_workers=config.num_data_workers,
    )
    done = 0
    while done < images + config.batch_size:
        for data, _ in loader:
            data.wait_to_read()
            done += config.batch_size
            yield config.batch_size


def print_rows(rows):
    """A table, and the ratios that matter, each the median over the rounds with its range."""
    head = ("pipeline", "threads", "images/s", "slowest to fastest", "CPU s / 1000")
    print("{:18} {:>7} {:>9} {:>19} {:>15}".format(*head))
    for row in rows:
        spread = "{:.0f} to {:.0f}".format(min(speeds(row["rounds"])), max(speeds(row["rounds"])))
        line = (
            "{pipeline:18} {threads:7} {images_per_second:9.0f} {spread:>19} "
            "{cpu_seconds_per_1000:15.2f}"
        )
        print(line.format(spread=spread, **row))
    rounds = {(row["pipeline"], row["threads"]): row["rounds"] for row in rows}
    first = rows[0]["threads"]
    for name, other in COMPARED:
        if (name, first) in rounds and (other, first) in rounds:
            print_ratio(
                f"images for the same CPU time, {name} : {other}",
                costs(rounds[other, first]),
                costs(rounds[name, first]),
            )
    for name in ("loader_float32", "loader_uint8"):
        if (name, 1) in rounds and (name, 2) in rounds:
            text = f"images a second, {name}, 2 threads : 1"
            print_ratio(text, speeds(rounds[name, 2]), speeds(rounds[name, 1]))


def print_ratio(text, over, under):
    ratios = [one / other for one, other in zip(over, under)]
    print(f"{text:68} {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
