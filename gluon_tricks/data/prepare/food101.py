"""Food-101 from its unpacked archive, food-101.tar.gz

750 training and 250 test images for each of 101 dishes.
"""

import os

from . import listed

PUBLISHED = listed.Published(classes=101, train=75750, val=25250)
LISTS = {"train": "train.txt", "val": "test.txt"}


def add_arguments(parser):
    listed.add_arguments(parser, "the folder food-101, which holds images and meta")


def read(args):
    """``({"train": Split, "val": Split}, class names, settings)``."""
    folder = os.path.join(args.source, "meta")
    lists = listed.by_names(folder, "classes.txt", LISTS, entry)
    return listed.read(args, "food101", lists, PUBLISHED)


def entry(line):
    """``(path of an image, its dish)`` of a line such as ``apple_pie/1005649``."""
    return f"images/{line}.jpg", line.partition("/")[0]
