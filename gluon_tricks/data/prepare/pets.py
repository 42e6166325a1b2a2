"""Oxford-IIIT Pet's 37 breeds from the unpacked images.tar.gz and annotations.tar.gz

The names of the images are those of their breeds, with numbers. Images that are in neither list are
left out, as in all published results.
"""

import os

from ...errors import UserError
from . import listed

PUBLISHED = listed.Published(classes=37, train=3680, val=3669)
LISTS = {"train": "trainval.txt", "val": "test.txt"}


def add_arguments(parser):
    listed.add_arguments(parser, "the folder with images and annotations")


def read(args):
    """``({"train": Split, "val": Split}, class names, settings)``."""
    return listed.read(args, "pets", lists(args.source), PUBLISHED)


def lists(folder):
    """The Lists, of lines such as ``great_pyrenees_5 16 2 9``: the first number, from 1 on, is the
    class.
    """
    name_of = {}

    def pairs(path):
        for line in listed.lines(path):
            if line.startswith("#"):
                continue
            image, _, numbers = line.partition(" ")
            number, breed = numbers.partition(" ")[0], image.rpartition("_")[0]
            if not number.isdecimal() or not breed:
                raise UserError(f"{path}: {line} is not 'BREED_NUMBER CLASS ...'")
            if name_of.setdefault(int(number), breed) != breed:
                raise UserError(f"{path}: {line} has the class of {name_of[int(number)]}")
            yield f"images/{image}.jpg", int(number) - 1

    labels = listed.of_files(os.path.join(folder, "annotations"), LISTS, pairs)
    return listed.Lists([name_of[number] for number in sorted(name_of)], labels)
