"""MNIST-style idx files, packed by gzip or not

The format of MNIST, Fashion-MNIST, KMNIST and EMNIST: two zero bytes, a type byte (8: unsigned bytes), the
number of dimensions, each dimension as a big-endian uint32, the values. A folder holds
train-images-idx3-ubyte, train-labels-idx1-ubyte and the same with t10k for the test images, each with or
without .gz.
"""

import gzip
import os
import struct
import zlib

import numpy as np

from ...config import user_path
from ...errors import UserError
from .conversion import Split
from .images import encode_png

PREFIXES = {"train": ("train",), "val": ("t10k", "test")}
UNSIGNED_BYTE = 0x08
MOST_BYTES = 1 << 34  # a few hundred times the largest of these data sets


def add_arguments(parser):
    parser.add_argument("source", type=user_path, metavar="SOURCE", help="the folder with the idx files")
    parser.add_argument("--seed", type=int, default=0, help="of the order of the training images (default 0)")
    parser.add_argument(
        "--class-names", type=user_path, metavar="FILE",
        help="one name a line, for labels.txt (default: 0, 1, ...)"
    )


def read(args):
    """``({"train": Split, "val": Split}, class names, settings)``; images become PNGs of their own size."""
    splits = {name: read_split(args.source, prefixes) for name, prefixes in PREFIXES.items()}
    count = 1 + max(int(split.labels.max()) for split in splits.values())
    classes = [str(label) for label in range(count)]
    if args.class_names:
        classes = read_names(args.class_names)
        if len(classes) < count:
            raise UserError(
                "{}: has {} names, and there are {} classes".format(args.class_names, len(classes), count)
            )
    splits["train"] = splits["train"].shuffled(args.seed)
    return splits, classes, {"data_set": "idx", "seed": args.seed}


def read_split(folder, prefixes):
    """The Split of the pair of files, images and labels, that begins with one of the prefixes."""
    images_path, images = read_idx(find(folder, prefixes, "images"))
    labels_path, labels = read_idx(find(folder, prefixes, "labels"))
    if labels.ndim != 1 or not (images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3)):
        raise UserError(
            "{}: images of shape {} and labels of shape {} do not go together".format(
                images_path, images.shape, labels.shape
            )
        )
    if len(images) != len(labels):
        raise UserError(
            "{} holds {} images, and {} holds {} labels".format(
                images_path, len(images), labels_path, len(labels)
            )
        )
    if 0 in images.shape:
        raise UserError("{}: has images of shape {}".format(images_path, images.shape))

    def load(position):
        return encode_png(images[position]), "png"

    names = ["{}/{}".format(os.path.basename(images_path), i) for i in range(len(images))]
    return Split(names, labels, load, images.nbytes + 100 * len(images))


def find(folder, prefixes, what):
    """The file in the folder that holds the images or the labels."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise UserError("{}: cannot be read: {}".format(folder, error.strerror)) from error
    for name in names:
        plain = name[:-3] if name.endswith(".gz") else name
        if plain.startswith(prefixes) and what in plain and plain.endswith("ubyte"):
            return os.path.join(folder, name)
    raise UserError(
        "{}: has no {}-{}-idx{}-ubyte, packed (.gz) or not".format(
            folder, prefixes[0], what, 3 if what == "images" else 1
        )
    )


def read_idx(path):
    """``(path, uint8 array)``; UserError where the file is damaged or holds anything but unsigned bytes."""
    try:
        with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
            head = file.read(4)
            if len(head) < 4 or head[:2] != b"\0\0" or head[2] != UNSIGNED_BYTE or not 1 <= head[3] <= 4:
                raise UserError("{}: is not an idx file of unsigned bytes".format(path))
            shape = struct.unpack(">{}I".format(head[3]), file.read(4 * head[3]))
            count = int(np.prod([int(size) for size in shape], dtype=object))
            if count > MOST_BYTES:
                raise UserError("{}: says it holds {} bytes".format(path, count))
            data = file.read(count + 1)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise UserError("{}: cannot be read: {}".format(path, error)) from error
    if len(data) != count:
        raise UserError(
            "{}: holds {} values than its header says ({})".format(
                path, "fewer" if len(data) < count else "more", count
            )
        )
    return path, np.frombuffer(data, np.uint8).reshape(shape)


def read_names(path):
    """The lines of a file of class names."""
    try:
        with open(path, encoding="utf-8") as file:
            return [line.strip() for line in file if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError("{}: cannot be read: {}".format(path, error)) from error
