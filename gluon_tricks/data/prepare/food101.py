"""Food-101 from its unpacked archive, food-101.tar.gz

750 training and 250 test images for each of 101 dishes.
"""

import os

from ...errors import UserError
from . import listed

PUBLISHED = listed.Published(classes=101, train=75750, val=25250)
LISTS = {"train": "train.txt", "val": "test.txt"}


def add_arguments(parser):
    listed.add_arguments(parser, "the folder food-101, which holds images and meta")


def read(args):
    """``({"train": Split, "val": Split}, class names, settings)``."""
    return listed.read(args, "food101", lists(args.source), PUBLISHED)


def lists(folder):
    """The Lists: lines such as ``apple_pie/1005649``."""
    meta = os.path.join(folder, "meta")
    classes = listed.lines(os.path.join(meta, "classes.txt"))
    label_of = {name: label for label, name in enumerate(classes)}

    def pairs(path):
        for line in listed.lines(path):
            name = line.partition("/")[0]
            if name not in label_of:
                raise UserError(f"{path}: {line} is of a class that is not in classes.txt")
            yield f"images/{line}.jpg", label_of[name]

    return listed.Lists(classes, listed.of_files(meta, LISTS, pairs))
