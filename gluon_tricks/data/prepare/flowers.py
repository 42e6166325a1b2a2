"""Oxford's 102 flowers from the unpacked 102flowers.tgz, imagelabels.mat and setid.mat

The training images are those of its training and validation sets, ten of each for a class.
"""

import os

from ...config import user_path
from ...errors import UserError
from . import listed
from .idx import read_names

PUBLISHED = listed.Published(classes=102, train=2040, val=6149)
SETS = {"train": ("trnid", "valid"), "val": ("tstid",)}


def add_arguments(parser):
    listed.add_arguments(parser, "the folder with jpg, imagelabels.mat and setid.mat")
    parser.add_argument(
        "--class-names",
        type=user_path,
        metavar="FILE",
        help="one name a line, for labels.txt (default: the numbers in imagelabels.mat)",
    )


def read(args):
    """``({"train": Split, "val": Split}, class names, settings)``."""
    return listed.read(args, "flowers", lists(args.source, args.class_names), PUBLISHED)


def lists(folder, class_names=None):
    """The Lists; image and class numbers begin with 1."""
    labels_path, sets_path = (os.path.join(folder, n) for n in ("imagelabels.mat", "setid.mat"))
    labels = listed.whole(labels_path, *listed.mat(labels_path, "labels"))

    def pairs(keys):
        for numbers in listed.mat(sets_path, *keys):
            for number in listed.whole(sets_path, numbers):
                if not 1 <= number <= len(labels):
                    raise UserError(f"{sets_path}: image {number} has no label in {labels_path}")
                yield f"jpg/image_{number:05d}.jpg", labels[number - 1] - 1

    found = {name: listed.labelled(sets_path, pairs(keys)) for name, keys in SETS.items()}
    numbers = [str(number) for number in range(1, PUBLISHED.classes + 1)]
    return listed.Lists(read_names(class_names) if class_names else numbers, found)
