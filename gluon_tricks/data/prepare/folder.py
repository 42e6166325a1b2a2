"""a folder with one folder of images for each class

The classes are the sorted names of the folders, so that labels are 0, 1, ... in that order; images
may lie deeper inside. Files that do not have the name of an image are skipped, and counted by their
extensions.
"""

import collections
import os

from ...config import user_path
from ...errors import UserError
from ...text import printable
from ..image_files import (
    EXTENSIONS,
    Found,
    extension_of,
    images_below,
    read_image,
    refuse_dead_link,
)
from . import images
from .split import Split


def add_arguments(parser):
    parser.add_argument(
        "source", type=user_path, metavar="SOURCE", help="the folder with the classes' folders"
    )
    held_out = parser.add_mutually_exclusive_group()
    held_out.add_argument(
        "--val",
        type=user_path,
        metavar="FOLDER",
        help="another such folder with the validation images",
    )
    held_out.add_argument(
        "--val-fraction",
        type=float,
        default=0.0,
        metavar="F",
        help="hold out this fraction of each class for validation (default 0: no val.rec)",
    )
    images.add_seed(parser, "the order and the held-out images")
    images.add_arguments(parser)


def read(args):
    """``({"train": Split, "val": Split}, class names, settings)``, val only if it was asked for."""
    images.check_fraction(args)
    classes = class_folders(args.source, args.directory)
    splits = {"train": read_split(args.source, classes, args)}
    if args.val:
        strange = sorted(set(class_folders(args.val)) - set(classes))
        if strange:
            raise UserError(
                f"{os.path.join(args.val, strange[0])}: {args.source} has no such class"
            )
        splits["val"] = read_split(args.val, classes, args)
    elif args.val_fraction:
        splits["train"], splits["val"] = splits["train"].hold_out(args.val_fraction, args.seed)
        if not len(splits["val"]):
            raise UserError(
                f"--val-fraction {args.val_fraction}: no class has enough images to hold one out"
            )
    refuse_old_val(args.directory, splits)
    splits["train"] = splits["train"].shuffled(args.seed)
    settings = dict(images.settings(args), data_set="folder", seed=args.seed)
    return splits, classes, settings


def refuse_old_val(directory, splits):
    """UserError for a val.rec of an earlier command, which training would validate on."""
    old = os.path.join(directory, "val.rec")
    if "val" not in splits and os.path.exists(old):
        raise UserError(
            f"{printable(old)}: is from an earlier command; its images may be among the training "
            "images now: give --val-fraction or --val as before, or move it away with its index"
        )


def class_folders(source, result=None):
    """The sorted names of the folders inside, without hidden ones and without the folder of the
    result.
    """
    try:
        with os.scandir(source) as entries:
            entries = [entry for entry in entries if not entry.name.startswith(".")]
            names = sorted(entry.name for entry in entries if entry.is_dir())
    except OSError as error:
        raise UserError(f"{source}: cannot be read: {error.strerror}") from error
    for entry in entries:
        refuse_dead_link(entry.path)
    if result:
        names = [
            name
            for name in names
            if os.path.realpath(os.path.join(source, name)) != os.path.realpath(result)
        ]
    if not names:
        raise UserError(f"{source}: has no folders inside; it needs one for each class")
    return names


def read_split(source, classes, args):
    """The Split of all images below the classes' folders, in the order of their paths."""
    names, labels, everything = [], [], Found([], files_next_to(source), [])
    for label, name in enumerate(classes):
        folder = os.path.join(source, name)
        found = images_below(folder)
        names += [os.path.relpath(path, source) for path in found.paths]
        labels += [label] * len(found.paths)
        everything.paths.extend(found.paths)
        everything.passed_over.update(found.passed_over)
        everything.linked.extend(found.linked)
        if not found.paths and source == args.source:
            raise UserError(f"{folder}: the class has no images ({' '.join(EXTENSIONS)})")
    everything.say(source)
    size = sum(os.path.getsize(path) for path in everything.paths if os.path.exists(path))
    return Split(
        names,
        labels,
        lambda position: read_image(os.path.join(source, names[position])),
        lambda data: images.stored_form(data, args),
        images.size_after(size, len(names), args.resize),
    )


def files_next_to(source):
    """The Counter of the extensions of the files next to the classes' folders."""
    with os.scandir(source) as entries:
        files = [
            entry.name for entry in entries if not entry.is_dir() and not entry.name.startswith(".")
        ]
    return collections.Counter(map(extension_of, files))
