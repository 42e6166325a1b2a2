"""``gluon-tricks evaluate`` for classifiers: top-1 and top-5 on a RecordIO file, or errors on
ImageNet-C.
"""

import sys
import time

from ..config import user_path
from ..deploy import arguments, evaluation, imagenet_c
from ..errors import UserError
from ..files import write_json
from ..flags import at_least, check_range
from ..tasks.classification import Classification as Task
from ..text import counted, printable
from . import results


def add_arguments(add):
    """Add the flags."""
    add(
        "--imagenet-c",
        type=user_path,
        metavar="DIR",
        help="evaluate on ImageNet-C instead: a folder with gaussian_noise/1/n01440764/*.JPEG and "
        "the like; its images are not cropped, unless --crop-ratio is given",
    )
    add_loading(add)


def add_loading(add):
    """Add the flags of the reading of images."""
    add("--batch-size", type=int, default=32, metavar="N", help="images per batch [32]")
    add("--num-data-workers", "-j", type=int, default=4, metavar="N", help="decoding threads [4]")


def check_loading(args):
    """UserError if one of them is out of its range."""
    for name in ("batch_size", "num_data_workers"):
        check_range(name, getattr(args, name), at_least(1))


def main(args, model):
    """Print one line of figures, or a table of ImageNet-C's."""
    check_loading(args)
    if args.imagenet_c and args.rec_val:
        raise UserError("--imagenet-c and --rec-val contradict each other: give one of the two")
    return on_imagenet_c(args, model) if args.imagenet_c else on_records(args, model)


def on_records(args, model):
    """Print the figures on a RecordIO file."""
    record, index = arguments.validation_file(args, model)
    started = time.time()
    figures = evaluation.evaluate(model, record, index, args.batch_size, args.num_data_workers)
    seconds = time.time() - started
    images = figures["images"]
    line = results.headline(args, model, text(figures), images, record)
    print(f"{line}; {results.speed(args, images, seconds, digits=1)}")
    _write(args, model, figures, rec_val=record, seconds=seconds)
    return 0


def on_imagenet_c(args, model):
    """Print the errors on ImageNet-C; the exit code is 1 if it is incomplete."""
    found = imagenet_c.evaluate(
        model,
        args.imagenet_c,
        getattr(args, "crop_ratio", None),
        args.batch_size,
        args.num_data_workers,
    )
    print("\n".join(table(found)))
    _write(args, model, found, imagenet_c=args.imagenet_c)
    if found["missing"]:
        first, count = ", ".join(found["missing"][:5]), len(found["missing"])
        more = f" and {count - 5} more" if count > 5 else ""
        print(
            f"gluon-tricks evaluate: {printable(args.imagenet_c)}: missing: "
            f"{printable(first)}{more}; the mCE needs them",
            file=sys.stderr,
        )
    return 1 if found["missing"] else 0


def _write(args, model, figures, **about):
    if args.json:
        write_json(args.json, dict(figures, **results.evaluated(args, model, **about)))


def table(found):
    """The lines of a table of errors by corruption and severity."""
    yield (
        f"{'error in % at severity':22}"
        + "".join(f"{level:8}" for level in (1, 2, 3, 4, 5))
        + (f"{'mean':>8}{'CE':>8}")
    )
    for name, errors in found["errors"].items():
        ce = found["ce"][name]
        mean = None if ce is None else sum(errors) / len(errors)
        yield f"{name:22}" + "".join(f"{_percent(value):>8}" for value in (*errors, mean, ce))
    of = "the mean CE, where CE is the error as a percentage of AlexNet's"
    yield f"mCE {_percent(found['mce'])} on {counted(found['images'], 'image')}: {of}"


def _percent(value):
    return "-" if value is None else f"{value:.2f}"


def text(figures):
    """The figures of the task, with the loss, of which less is better, last."""
    ordered = sorted(Task.figures, key=lambda figure: not figure.higher_is_better)
    return ", ".join(figure.text(figures[figure.name]) for figure in ordered)
