"""ImageNet's development kit: the classes, the number of training images of each, and the class of
each validation image.

It is a small archive that anybody may have packed, so all that is read of it is bounded.
"""

import gzip
import io
import os
import tarfile
import zlib

import numpy as np

from ...errors import UserError
from ...text import first_line
from . import mat_file

MOST_UNPACKED = 1 << 26  # bytes; the development kit has 2.5 million packed, and some more unpacked
GZIP = b"\x1f\x8b"
CLASSES, TRAIN_IMAGES, VAL_IMAGES = 1000, 1281167, 50000


class Devkit:
    """The contents of the development kit.

    For each label the WordNet id (``ids``), the same with its words (``names``) and the number of
    training images (``counts``); for each validation image the label (``truth``).
    """

    def __init__(self, path):
        meta, truth = self.unpack(path)
        found = mat_file.variables(meta, f"{path}: its meta.mat", MOST_UNPACKED)
        try:
            synsets = np.atleast_1d(found["synsets"])
            leaves = sorted(
                (
                    str(entry["WNID"]),
                    int(entry["ILSVRC2012_ID"]),
                    str(entry["words"]),
                    int(entry["num_train_images"]),
                )
                for entry in synsets
                if int(entry["num_children"]) == 0
            )
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise UserError(f"{path}: its meta.mat cannot be read: {error}") from error
        self.path = path
        self.ids = [entry[0] for entry in leaves]
        self.names = [f"{entry[0]} {entry[2]}" for entry in leaves]
        self.counts = [entry[3] for entry in leaves]
        label_of = {entry[1]: label for label, entry in enumerate(leaves)}
        try:
            self.truth = [label_of[int(line)] for line in truth.split()]
        except (ValueError, KeyError) as error:
            raise UserError(
                f"{path}: the validation ground truth names a class that meta.mat lacks: {error}; "
                "the kit of another year or task?"
            ) from None

    @staticmethod
    def unpack(path):
        """The contents of meta.mat and of the validation images' ground truth."""
        found = {"meta.mat": None, "ILSVRC2012_validation_ground_truth.txt": None}
        try:
            with tarfile.open(fileobj=io.BytesIO(unpacked(path))) as archive:
                for member in archive:
                    name = os.path.basename(member.name)
                    if member.isreg() and not member.issparse() and name in found:
                        found[name] = archive.extractfile(member).read()
        except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
            raise UserError(f"{path}: cannot be read: {first_line(error)}") from error
        for name, data in found.items():
            if data is None:
                raise UserError(f"{path}: has no {name}; the kit of another year?")
        return found.values()

    def check(self):
        """UserError if this is not the whole kit of 2012."""
        found = len(self.ids), sum(self.counts), len(self.truth)
        if found != (CLASSES, TRAIN_IMAGES, VAL_IMAGES):
            raise UserError(
                "{}: lists {:,} classes, {:,} training and {:,} validation images, and "
                "ImageNet has {:,}, {:,} and {:,}; --allow-partial continues with it".format(
                    self.path, *found, CLASSES, TRAIN_IMAGES, VAL_IMAGES
                )
            )


def unpacked(path):
    """The bytes of a file, unpacked if gzip packed it; UserError for more than MOST_UNPACKED."""
    with open(path, "rb") as file:
        packed = file.read(len(GZIP)) == GZIP
    with (gzip.open if packed else open)(path, "rb") as file:
        data = file.read(MOST_UNPACKED + 1)
    if len(data) > MOST_UNPACKED:
        raise UserError(
            f"{path}: holds more than {MOST_UNPACKED:,} bytes; the kit has a few million"
        )
    return data
