"""ImageNet (ILSVRC 2012) from its official archives, which are not unpacked

The training archive is a tar of one tar for each class, none of them compressed, so that an image
is a range of bytes of the one big file: the headers are read once, then the images in their
shuffled order. Labels are the positions of the classes' WordNet ids in sorted order, as in every
framework's pretrained networks.
"""

import contextlib
import os
import re

import numpy as np

from ...config import user_path
from ...errors import UserError
from ..file_reading import open_for_reading
from ..parallel import Progress, ordered_map
from . import checksums, images
from .devkit import Devkit
from .tar_images import keep_members, members_of, recall_members, split_of

TRAIN, VAL, DEVKIT = (
    "ILSVRC2012_img_train.tar",
    "ILSVRC2012_img_val.tar",
    "ILSVRC2012_devkit_t12.tar.gz",
)
MD5 = {
    TRAIN: "1d675b47d978889d74fa0da5fadfb00e",
    VAL: "29b22e2961454d5413ddabcf34fc5622",
    DEVKIT: "fa75699e90414af021442c21a62c3abf",
}


def add_arguments(parser):
    parser.add_argument(
        "source",
        type=user_path,
        metavar="SOURCE",
        help=f"the folder with {TRAIN}, {VAL} and {DEVKIT}",
    )
    parser.add_argument("--only", choices=("train", "val"), help="write one of the two files")
    images.add_seed(parser)
    images.add_arguments(parser)
    parser.add_argument(
        "--allow-partial",
        action="store_true",
        help="continue if classes or images are missing; labels stay those of the whole data set",
    )
    parser.add_argument(
        "--md5", action="store_true", help="first compare the archives with the published MD5 sums"
    )


def read(args):
    """``({"train": Split, "val": Split}, class names, settings)``."""
    wanted = (args.only,) if args.only else ("train", "val")
    archives = [os.path.join(args.source, {"train": TRAIN, "val": VAL}[name]) for name in wanted]
    devkit_path = os.path.join(args.source, DEVKIT)
    missing = [path for path in archives + [devkit_path] if not os.path.exists(path)]
    if missing:
        raise UserError(
            "{}: missing{}".format(
                ", ".join(missing),
                "; --only train or --only val writes one of the two" if not args.only else "",
            )
        )
    if args.md5:
        for path in archives + [devkit_path]:
            checksums.compare(path, "md5", MD5[os.path.basename(path)])
    devkit = Devkit(devkit_path)
    if not args.allow_partial:
        devkit.check()
    splits = {}
    for name, path in zip(wanted, archives):
        split, wrong = (read_train if name == "train" else read_val)(path, devkit, args)
        if not len(split):
            raise UserError(f"{path}: holds no images")
        if wrong and not args.allow_partial:
            raise UserError(
                "{}: {}{}; --allow-partial continues with what is there".format(
                    path,
                    "; ".join(wrong[:5]),
                    f" and {len(wrong) - 5} more such" if len(wrong) > 5 else "",
                )
            )
        splits[name] = split.shuffled(args.seed) if name == "train" else split
    settings = dict(images.settings(args), data_set="imagenet", seed=args.seed)
    return splits, devkit.names, settings


def read_train(path, devkit, args):
    """``(Split, what is missing)`` of the tar of tars, classes in the order of their labels."""
    descriptor, size = open_for_reading(path)
    cache = os.path.join(args.directory, "train.members.npz")
    members = recall_members(cache, path)
    if members is None:
        members = scan_train(descriptor, size, path, devkit, args)
        with contextlib.suppress(OSError):  # reported when the folder has to be written
            keep_members(cache, path, *members)
    args.temporary = [cache]
    wrong, counts = [], np.bincount(members[1], minlength=len(devkit.ids))
    for wordnet_id, expected, count in zip(devkit.ids, devkit.counts, counts):
        if not count:
            wrong.append(f"class {wordnet_id} is missing")
        elif count != expected:
            wrong.append(f"class {wordnet_id} has {count} images instead of {expected}")
    return split_of(path, descriptor, *members, args), wrong


def scan_train(descriptor, size, path, devkit, args):
    """``(names, labels, offsets, sizes)`` of all images, read from the headers of the inner
    archives.
    """
    label_of = {wordnet_id: label for label, wordnet_id in enumerate(devkit.ids)}
    inner = {}
    for name, (start, length) in members_of(descriptor, 0, size, path).items():
        wordnet_id = name[: -len(".tar")]
        if not name.endswith(".tar") or wordnet_id not in label_of:
            raise UserError(f"{path}: holds {name}, which is not a class of {devkit.path}")
        inner[wordnet_id] = start, start + length

    def scan(wordnet_id):
        inside = f"{path} ({wordnet_id}.tar inside)"
        return sorted(members_of(descriptor, *inner[wordnet_id], inside).items())

    names, labels, offsets, sizes = [], [], [], []
    with Progress("headers", len(inner)) as progress:
        order = sorted(inner)
        # More threads than cores: they wait for the disk.
        for done, (wordnet_id, found) in enumerate(
            zip(order, ordered_map(scan, order, args.workers or 8)), 1
        ):
            names += [f"{wordnet_id}/{name}" for name, _ in found]
            labels += [label_of[wordnet_id]] * len(found)
            offsets += [offset for _, (offset, _) in found]
            sizes += [size for _, (_, size) in found]
            progress.show(done)
    return names, np.array(labels, np.int64), np.array(offsets, np.int64), np.array(sizes, np.int64)


def read_val(path, devkit, args):
    """``(Split, what is missing)`` of the validation archive, in the order of the numbers."""
    descriptor, size = open_for_reading(path)
    found = {}
    for name, (offset, length) in members_of(descriptor, 0, size, path).items():
        match = re.fullmatch(r"ILSVRC2012_val_(\d{8})\.JPEG", name)
        if not match or not 1 <= int(match.group(1)) <= len(devkit.truth):
            raise UserError(
                f"{path}: holds {name}, which is not one of the {len(devkit.truth):,} images "
                f"of {devkit.path}"
            )
        found[int(match.group(1))] = name, offset, length
    wrong = [f"image {i} is missing" for i in range(1, len(devkit.truth) + 1) if i not in found]
    order = sorted(found)
    names, offsets, sizes = zip(*(found[i] for i in order)) if found else ((), (), ())
    labels = [devkit.truth[i - 1] for i in order]
    return split_of(
        path, descriptor, list(names), labels, np.array(offsets), np.array(sizes), args
    ), wrong
