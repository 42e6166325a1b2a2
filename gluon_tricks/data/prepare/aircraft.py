"""FGVC-Aircraft's 100 variants from the unpacked archive, fgvc-aircraft-2013b.tar.gz

The training images are those of its training and validation sets (trainval).
"""

import os

from ...errors import UserError
from . import listed

PUBLISHED = listed.Published(classes=100, train=6667, val=3333)
LISTS = {"train": "images_variant_trainval.txt", "val": "images_variant_test.txt"}


def add_arguments(parser):
    listed.add_arguments(parser, "the folder fgvc-aircraft-2013b, which holds data")


def read(args):
    """``({"train": Split, "val": Split}, class names, settings)``."""
    return listed.read(args, "aircraft", lists(args.source), PUBLISHED)


def lists(folder):
    """The Lists: lines such as ``1025794 707-320``; a variant's name may have blanks."""
    data = os.path.join(folder, "data")
    classes = listed.lines(os.path.join(data, "variants.txt"))
    label_of = {name: label for label, name in enumerate(classes)}

    def pairs(path):
        for line in listed.lines(path):
            image, _, variant = line.partition(" ")
            if variant not in label_of:
                raise UserError(f"{path}: {line} is of a class that is not in variants.txt")
            yield f"data/images/{image}.jpg", label_of[variant]

    return listed.Lists(classes, listed.of_files(data, LISTS, pairs))
