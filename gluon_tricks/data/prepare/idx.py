"""MNIST-style idx files, packed by gzip or not

The format of MNIST, Fashion-MNIST, KMNIST and EMNIST: two zero bytes, a type byte (8: unsigned
bytes), the number of dimensions, each dimension as a big-endian uint32, the values. A folder holds
train-images-idx3-ubyte, train-labels-idx1-ubyte and the same with t10k for the test images, each
with or without .gz. EMNIST's files begin with emnist-SET-, have test instead of t10k, and their
images are transposed.
"""

import gzip
import os
import re
import struct
import zlib

import numpy as np

from ...config import user_path
from ...errors import UserError
from ...text import counted
from .images import add_seed, encode_png
from .split import Split

PREFIXES = {"train": ("train",), "val": ("t10k", "test")}
EMNIST = re.compile(r"emnist-([a-z]+)-")
UNSIGNED_BYTE = 0x08
MOST_BYTES = 1 << 31  # EMNIST's largest has 0.6 billion
# of a packed file; MNIST's become 5 times as large
MOST_UNPACKED_OF_ANY, MOST_UNPACKED_PER_BYTE = 1 << 26, 100


def add_arguments(parser):
    parser.add_argument(
        "source", type=user_path, metavar="SOURCE", help="the folder with the idx files"
    )
    add_seed(parser)
    parser.add_argument(
        "--class-names",
        type=user_path,
        metavar="FILE",
        help="one name a line, for labels.txt (default: EMNIST's mapping, or 0, 1, ...)",
    )
    parser.add_argument(
        "--emnist",
        metavar="SET",
        help="which of EMNIST's sets, as letters, if the folder holds several",
    )


def read(args):
    """``({"train": Split, "val": Split}, class names, settings)``; images become PNGs of their own
    size.
    """
    prefix = emnist_prefix(args.source, args.emnist)
    splits = {
        name: read_split(
            args.source, tuple(prefix + part for part in parts), transposed=bool(prefix)
        )
        for name, parts in PREFIXES.items()
    }
    # The letters of EMNIST begin with 1.
    first = min(1, *(int(split.labels.min()) for split in splits.values())) if prefix else 0
    for split in splits.values():
        split.labels -= first
    count = 1 + max(int(split.labels.max()) for split in splits.values())
    absent = np.setdiff1d(np.arange(count), splits["train"].labels)
    if absent.size:
        raise UserError(
            f"{args.source}: the class with label {absent[0] + first} has no training images"
        )
    classes = class_names(args, prefix) or [str(label + first) for label in range(count)]
    if len(classes) < count:
        raise UserError(
            f"{args.class_names or args.source}: has {len(classes)} names, "
            f"and there are {count} classes"
        )
    splits["train"] = splits["train"].shuffled(args.seed)
    return splits, classes, {"data_set": "idx", "seed": args.seed}


def class_names(args, prefix):
    """The names that a file gives, or None."""
    if args.class_names:
        return read_names(args.class_names)
    mapping = os.path.join(args.source, prefix + "mapping.txt")
    return read_mapping(mapping) if prefix and os.path.exists(mapping) else None


def emnist_prefix(folder, wanted):
    """What the names of the files of one of EMNIST's sets begin with, or "" if they are none of
    EMNIST's.
    """
    found = sorted({match.group(1) for match in map(EMNIST.match, list_folder(folder)) if match})
    if wanted and wanted not in found:
        raise UserError(f"--emnist {wanted}: {folder} has no files emnist-{wanted}-...")
    if len(found) > 1 and not wanted:
        raise UserError(
            f"{folder}: holds several of EMNIST's sets; choose one with --emnist: "
            f"{', '.join(found)}"
        )
    return f"emnist-{wanted or found[0]}-" if found else ""


def list_folder(folder):
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        raise UserError(f"{folder}: cannot be read: {error.strerror}") from error


def read_split(folder, prefixes, transposed=False):
    """The Split of the two files, images and labels, whose names begin with one of the prefixes."""
    images_path, images = read_idx(find(folder, prefixes, "images"))
    labels_path, labels = read_idx(find(folder, prefixes, "labels"))
    if labels.ndim != 1 or not (images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3)):
        raise UserError(
            f"{images_path}: images of shape {images.shape} and labels of shape {labels.shape} "
            "do not go together"
        )
    if len(images) != len(labels):
        raise UserError(
            f"{images_path} holds {counted(len(images), 'image')}, "
            f"and {labels_path} holds {counted(len(labels), 'label')}"
        )
    if 0 in images.shape:
        raise UserError(f"{images_path}: has images of shape {images.shape}")

    def pixels(position):
        return (
            np.ascontiguousarray(images[position].swapaxes(0, 1))
            if transposed
            else images[position]
        )

    names = [f"{os.path.basename(images_path)}/{i}" for i in range(len(images))]
    return Split(
        names,
        labels,
        pixels,
        lambda image: (encode_png(image), "png"),
        images.nbytes + 100 * len(images),
    )


def find(folder, prefixes, what):
    """The file in the folder that holds the images or the labels."""
    for name in list_folder(folder):
        plain = name[:-3] if name.endswith(".gz") else name
        if plain.startswith(prefixes) and what in plain and plain.endswith("ubyte"):
            return os.path.join(folder, name)
    raise UserError(
        "{}: has no {}-{}-idx{}-ubyte, packed (.gz) or not".format(
            folder, prefixes[0], what, 3 if what == "images" else 1
        )
    )


def read_idx(path):
    """``(path, uint8 array)``; UserError if the file is damaged or holds anything but unsigned
    bytes.
    """
    try:
        with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
            head = file.read(4)
            if (
                len(head) < 4
                or head[:2] != b"\0\0"
                or head[2] != UNSIGNED_BYTE
                or not 1 <= head[3] <= 4
            ):
                raise UserError(f"{path}: is not an idx file of unsigned bytes")
            shape = struct.unpack(f">{head[3]}I", file.read(4 * head[3]))
            count = int(np.prod([int(size) for size in shape], dtype=object))
            there = os.fstat(file.fileno()).st_size
            most = (
                MOST_UNPACKED_OF_ANY + MOST_UNPACKED_PER_BYTE * there
                if path.endswith(".gz")
                else MOST_BYTES
            )
            if count > min(most, MOST_BYTES):
                raise UserError(
                    f"{path}: announces {count} bytes; of {there} bytes at most {most} are read"
                )
            data = file.read(count + 1)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
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
        with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
            return [line.strip() for line in file if line.strip()]
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


def read_mapping(path):
    """The classes' names in EMNIST's file of lines "label code code", where codes are those of
    characters.
    """
    try:
        rows = sorted([int(number) for number in line.split()] for line in read_names(path))
        return ["".join(map(chr, codes)) for _, *codes in rows]
    except (ValueError, OverflowError) as error:
        raise UserError(f"{path}: is not a mapping of labels to characters: {error}") from error
