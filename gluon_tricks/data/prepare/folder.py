"""a folder with one folder of images for each class

The classes are the sorted names of the folders, so that labels are 0, 1, ... in that order; images may lie
deeper inside. Files that do not have the name of an image are passed over.
"""

import os

from ...config import user_path
from ...errors import UserError
from . import images
from .conversion import Split

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


def add_arguments(parser):
    parser.add_argument("source", type=user_path, metavar="SOURCE", help="the folder with the classes' folders")
    held_out = parser.add_mutually_exclusive_group()
    held_out.add_argument("--val", type=user_path, metavar="FOLDER", help="another such folder with the validation images")
    held_out.add_argument(
        "--val-fraction",
        type=float,
        default=0.0,
        metavar="F",
        help="hold out this part of each class for validation (default 0: no val.rec)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the order and the held out images (default 0)"
    )
    images.add_arguments(parser)


def read(args):
    """``({"train": Split, "val": Split}, class names, settings)``, val only where it was asked for."""
    if not 0 <= args.val_fraction < 1:
        raise UserError(
            "--val-fraction {}: is a part of the images, from 0 to below 1".format(args.val_fraction)
        )
    classes = class_folders(args.source, args.directory)
    splits = {"train": read_split(args.source, classes, args)}
    if args.val:
        strange = sorted(set(class_folders(args.val)) - set(classes))
        if strange:
            raise UserError(
                "{}: {} has no such class".format(os.path.join(args.val, strange[0]), args.source)
            )
        splits["val"] = read_split(args.val, classes, args)
    elif args.val_fraction:
        splits["train"], splits["val"] = splits["train"].hold_out(args.val_fraction, args.seed)
        if not len(splits["val"]):
            raise UserError(
                "--val-fraction {}: no class has enough images to hold one out".format(args.val_fraction)
            )
    splits["train"] = splits["train"].shuffled(args.seed)
    settings = dict(images.settings(args), data_set="folder", seed=args.seed)
    return splits, classes, settings


def class_folders(source, result=None):
    """The sorted names of the folders inside, without hidden ones and without the folder of the result."""
    try:
        with os.scandir(source) as entries:
            names = sorted(
                entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")
            )
    except OSError as error:
        raise UserError("{}: cannot be read: {}".format(source, error.strerror)) from error
    if result:
        names = [
            name for name in names if os.path.realpath(os.path.join(source, name)) != os.path.realpath(result)
        ]
    if not names:
        raise UserError("{}: holds no folders; it has to hold one for each class".format(source))
    return names


def read_split(source, classes, args):
    """The Split of all images below the classes' folders, in the order of their paths."""
    names, labels, size = [], [], 0
    for label, name in enumerate(classes):
        paths = image_paths(os.path.join(source, name))
        names += [os.path.relpath(path, source) for path in paths]
        labels += [label] * len(paths)
        size += sum(os.path.getsize(path) for path in paths)
        if not paths and source == args.source:
            raise UserError(
                "{}: the class has no images ({})".format(os.path.join(source, name), " ".join(EXTENSIONS))
            )

    def load(position):
        try:
            with open(os.path.join(source, names[position]), "rb") as file:
                data = file.read()
        except OSError as error:
            raise ValueError("cannot be read: {}".format(error.strerror)) from error
        return images.stored_form(data, args)

    return Split(names, labels, load, images.size_after(size, len(names), args.resize))


def refuse(error):
    raise UserError("{}: cannot be read: {}".format(error.filename, error.strerror))


def image_paths(folder):
    """Sorted paths of the images below a folder."""
    found = []
    for directory, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            os.path.join(directory, name)
            for name in files
            if name.lower().endswith(EXTENSIONS)
            and not name.startswith(".")
            and os.path.isfile(os.path.join(directory, name))
        ]
    return sorted(found)
