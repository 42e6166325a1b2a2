"""FGVC-Aircraft's 100 variants from the unpacked archive, fgvc-aircraft-2013b.tar.gz

The training images are those of its training and validation sets (trainval).
"""

import os

from . import listed

PUBLISHED = listed.Published(classes=100, train=6667, val=3333)
LISTS = {"train": "images_variant_trainval.txt", "val": "images_variant_test.txt"}


def add_arguments(parser):
    listed.add_arguments(parser, "the folder fgvc-aircraft-2013b, which holds data")


def read(args):
    """``({"train": Split, "val": Split}, class names, settings)``."""
    folder = os.path.join(args.source, "data")
    lists = listed.by_names(folder, "variants.txt", LISTS, entry)
    return listed.read(args, "aircraft", lists, PUBLISHED)


def entry(line):
    """``(path of an image, its variant)`` of a line such as ``1025794 707-320``; a variant's name
    may contain blanks.
    """
    image, _, variant = line.partition(" ")
    return f"data/images/{image}.jpg", variant
