"""Places365-Standard from its official archives and lists, which are not unpacked

The archives are tars of JPEGs. A training image lies in the folder of its class, which may be deep
("a/apartment_building/outdoor"); the list gives the classes of the validation images.
"""

import contextlib
import os

import numpy as np

from ...config import user_path
from ...errors import UserError
from ..file_reading import open_for_reading, read_bytes
from ..parallel import Progress
from . import checksums, images, tar
from .counts import refuse_partial
from .tar_images import keep_members, members_of, recall_members, split_of

LISTS = "filelist_places365-standard.tar"
ARCHIVES = {
    "small": {"train": "train_256_places365standard.tar", "val": "val_256.tar"},
    "large": {"train": "train_large_places365standard.tar", "val": "val_large.tar"},
}
MD5 = {
    "train_256_places365standard.tar": "53ca1c756c3d1e7809517cc47c5561c5",
    "val_256.tar": "e27b17d8d44f4af9a78502beb927f808",
    "train_large_places365standard.tar": "67e186b496a84c929568076ed01a8aa1",
    "val_large.tar": "9b71c4993ad89d2d8bcbdc4aef38042f",
    LISTS: "35a0585fee1fa656440f3ab298f8479c",
}
CATEGORIES, VAL = "categories_places365.txt", "places365_val.txt"
CLASSES = 365
IMAGES = {"train": 1803460, "val": 36500}
MOST_OF_A_LIST = 1 << 24  # bytes; that of the validation images has one million


def add_arguments(parser):
    small = ARCHIVES["small"]
    parser.add_argument(
        "source",
        type=user_path,
        metavar="SOURCE",
        help=f"the folder with {small['train']}, {small['val']} and {LISTS}",
    )
    parser.add_argument("--only", choices=("train", "val"), help="write one of the two files")
    parser.add_argument(
        "--large",
        action="store_true",
        help="read the archives of large images instead of those of 256x256 pixels",
    )
    images.add_seed(parser)
    images.add_arguments(parser)
    parser.add_argument(
        "--allow-partial", action="store_true", help="continue if images are missing"
    )
    parser.add_argument(
        "--md5", action="store_true", help="first compare the archives with the published MD5 sums"
    )


def read(args):
    """``({"train": Split, "val": Split}, class names, settings)``."""
    archives = ARCHIVES["large" if args.large else "small"]
    wanted = (args.only,) if args.only else ("train", "val")
    paths = {name: os.path.join(args.source, archives[name]) for name in wanted}
    lists_path = os.path.join(args.source, LISTS)
    missing = [path for path in (*paths.values(), lists_path) if not os.path.exists(path)]
    if missing:
        raise UserError(f"{', '.join(missing)}: missing")
    if args.md5:
        for path in (*paths.values(), lists_path):
            checksums.compare(path, "md5", MD5[os.path.basename(path)])
    label_of, val_labels = read_lists(lists_path)
    splits = {}
    if "train" in paths:
        splits["train"] = read_train(paths["train"], label_of, args)
    if "val" in paths:
        splits["val"] = read_val(paths["val"], val_labels, args)
    for name, split in splits.items():
        expected = {name: IMAGES[name]}
        refuse_partial(paths[name], {name: len(split)}, expected, args.allow_partial)
    if "train" in splits:
        splits["train"] = splits["train"].shuffled(args.seed)
    settings = dict(images.settings(args), data_set="places365", seed=args.seed, large=args.large)
    return splits, [name.lstrip("/") for name in label_of], settings


def read_lists(path):
    """``({class: label} in the order of the labels, {validation image: label})``."""
    descriptor, size = open_for_reading(path)
    try:
        places = members_of(descriptor, 0, size, path)
        classes = read_list(descriptor, places, CATEGORIES, path)
        val = read_list(descriptor, places, VAL, path)
    finally:
        os.close(descriptor)
    if list(classes.values()) != list(range(CLASSES)):
        raise UserError(f"{path}: {CATEGORIES} does not number {CLASSES} classes from 0 on")
    strange = [name for name, label in val.items() if not 0 <= label < CLASSES]
    if strange:
        raise UserError(f"{path}: {VAL} gives {strange[0]} a class that is not one of {CLASSES}")
    return classes, val


def read_list(descriptor, places, name, path):
    """``{first word: number}`` of the lines of a list."""
    if name not in places:
        raise UserError(f"{path}: has no {name}")
    offset, size = places[name]
    if size > MOST_OF_A_LIST:
        raise UserError(f"{path}: {name} has {size:,} bytes; at most {MOST_OF_A_LIST:,} are read")
    found = {}
    text = read_bytes(descriptor, size, offset, path).decode("utf-8", "surrogateescape")
    for number, line in enumerate(text.splitlines(), 1):
        try:
            word, label = line.split()
            label = int(label)
        except ValueError:
            raise UserError(f"{path}: line {number} of {name} is not 'name number'") from None
        if word in found:
            raise UserError(f"{path}: {name} has {word} twice")
        found[word] = label
    return found


def read_train(path, label_of, args):
    """The Split of the training images, in the order of their names."""
    descriptor, size = open_for_reading(path)
    cache = os.path.join(args.directory, "train.members.npz")
    members = recall_members(cache, path)
    if members is None:
        members = scan_train(descriptor, size, path, label_of)
        with contextlib.suppress(OSError):  # reported when the folder has to be written
            keep_members(cache, path, *members)
    args.temporary = [cache]
    return split_of(path, descriptor, *members, args)


def scan_train(descriptor, size, path, label_of):
    """``(names, labels, offsets, sizes)`` of all images, sorted by name: "/a/airfield/1.jpg"."""
    with Progress("headers", 1) as progress:
        found = sorted(tar.members(descriptor, 0, size, path))
        progress.show(1)
    names, labels, previous = [], [], None
    for name, _, _ in found:
        # below the archive's own folder
        inside = "/" + name[2 * name.startswith("./") :].partition("/")[2]
        label = label_of.get(inside.rpartition("/")[0])
        if label is None:
            raise UserError(f"{path}: holds {name}, which lies in the folder of no class")
        if inside == previous:
            raise UserError(f"{path}: holds {inside} twice")
        names.append(inside)
        labels.append(label)
        previous = inside
    offsets, sizes = ([entry[place] for entry in found] for place in (1, 2))
    return names, *(np.array(column, np.int64) for column in (labels, offsets, sizes))


def read_val(path, labels, args):
    """The Split of the validation images, in the order of their names."""
    descriptor, size = open_for_reading(path)
    places = members_of(descriptor, 0, size, path)
    strange = sorted(set(places) - set(labels))
    if strange:
        raise UserError(f"{path}: holds {strange[0]}, which is not in {VAL}")
    names = sorted(places)
    offsets, sizes = (np.array([places[name][i] for name in names], np.int64) for i in (0, 1))
    return split_of(path, descriptor, names, [labels[name] for name in names], offsets, sizes, args)
