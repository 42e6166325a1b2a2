"""``gluon-tricks show``: draws a sheet of images, original and augmented."""

import contextlib

from .. import config as configuration
from ..config import user_path
from ..data.loader import eval_transform, train_transform
from ..data.order import Reading
from ..data.records import RecordFile
from ..errors import UserError
from ..flags import output_file
from ..reporting import contact_sheet, targets
from ..tasks import registry
from ..text import counted, printable

FLAGS = (
    *("task", "classes", "rec_train", "rec_train_idx", "seed", "fidelity"),
    *configuration.in_groups("augmentation", "batch mixing"),
)
MIXED = 3  # columns of mixed images
MOST_PICTURES = 10_000  # on a sheet, which is built in memory


def add_arguments(parser):
    parser.add_argument(
        "--rec",
        type=user_path,
        metavar="FILE",
        help="RecordIO file of images; the same as --rec-train",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=output_file("PNG"),
        required=True,
        metavar="FILE.png",
        help="the file to write",
    )
    parser.add_argument("--images", type=int, default=6, metavar="N", help="number of images [6]")
    parser.add_argument(
        "--epochs",
        type=int,
        default=5,
        metavar="N",
        help="number of epochs shown for each image [5]",
    )
    parser.add_argument("--keys", metavar="K,K-K", help="keys of the images [the first of epoch 0]")
    configuration.add_arguments(parser, only=FLAGS)


def main(args):
    config = config_of(args)
    train, evaluation = train_transform(config), eval_transform(config)
    with RecordFile(config.rec_train, config.rec_train_idx) as records:
        positions = contact_sheet.choose(records, args.keys, args.images, config.seed)
        check_size(len(positions), args.epochs)
        with contextlib.closing(targets.targets_of(config, records)) as shown:
            how = train, evaluation, config.seed, args.epochs, shown.read
            rows = [contact_sheet.row_of(records, position, *how) for position in positions]
    from ..tricks.mixing import mixings  # with MXNet, which takes a second to import

    made = mixings(config, steps_per_epoch=1)
    if made:
        if config.mixup_type == 2 and len(rows) % 2:
            raise UserError(
                "--mixup-type 2 mixes the two halves of a batch, but there is an odd number of "
                f"images, {len(rows)}"
            )
        reads = Reading.of_config(config, len(rows)).reads
        contact_sheet.add_mixed(rows, made, min(args.epochs, MIXED), train.normalise, reads)
    contact_sheet.draw(rows, args.output, shown.legend())
    print(printable(f"{args.output}: {counted(len(rows), 'image')} of {config.rec_train}"))
    return 0


def config_of(args):
    given = {name: getattr(args, name) for name in FLAGS if hasattr(args, name)}
    if args.rec:
        given["rec_train"] = args.rec
    if not given.get("rec_train"):
        raise UserError("no images: give --rec FILE.rec")
    registry.of(given)  # UserError if there is no such task
    has_labels = given.get("task", configuration.Config.task) not in targets.OF_TASK
    if not has_labels:
        given.setdefault("classes", targets.classes_next_to(given["rec_train"]))
    elif not given.get("cutmix") and not given.get("progressive_resizing"):
        given.setdefault("mixup", given.get("mixup_alpha") != 0)
    config = configuration.resolve(given)
    if args.images < 1 or args.epochs < 1:
        raise UserError("--images and --epochs have to be at least 1")
    return config


def check_size(images, epochs):
    """UserError if the sheet would have too many pictures."""
    if images * epochs > MOST_PICTURES:
        raise UserError(
            f"{images} images and --epochs {epochs}: a sheet has at most {MOST_PICTURES:,} pictures"
        )
