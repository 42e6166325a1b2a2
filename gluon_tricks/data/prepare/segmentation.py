"""a folder of images and a folder of masks, which belong together by their names

A mask is a PNG, grey or with a palette, of the size of its image; its values are classes from
--first-class on, one for each line of --class-names, or --ignore. An image and its mask have the
same path below the two folders, except for their extensions, --image-suffix and --mask-suffix. Many
layouts fit: your own, Cityscapes' (with the suffixes), and VOC's (with its lists).
"""

import os
import sys

from ...config import user_path
from ...errors import UserError
from ...text import printable
from ..image_files import images_below, read_image
from ..mask_files import IGNORED
from . import images
from .folder import refuse_old_val
from .idx import read_names
from .pairs import Values, mask_split, read_pairs


def add_arguments(parser):
    parser.add_argument("source", type=user_path, metavar="IMAGES", help="the folder of images")
    parser.add_argument("masks", type=user_path, metavar="MASKS", help="the folder of masks")
    parser.add_argument(
        "--class-names",
        type=user_path,
        metavar="FILE",
        required=True,
        help="the classes' names, one a line, for labels.txt",
    )
    parser.add_argument(
        "--first-class",
        type=int,
        default=0,
        metavar="V",
        help="the value in the masks that is the first of the classes (default 0)",
    )
    parser.add_argument(
        "--ignore",
        type=numbers,
        default=[IGNORED],
        metavar="V,V",
        help=f'values of pixels that are not counted (default {IGNORED}; "": none)',
    )
    for what in ("image", "mask"):
        parser.add_argument(
            f"--{what}-suffix",
            default="",
            metavar="END",
            help=f"how the names of {what}s end before the extension; others are passed over",
        )
    images.add_lists(parser, ("IMAGES", "MASKS"), "two other folders, for validation")
    images.add_seed(parser, "the order and the held-out images")
    images.add_coding_arguments(parser)


def numbers(text):
    """The whole numbers between commas."""
    return [int(word) for word in text.split(",") if word]


def read(args):
    """``({"train": Split, "train.mask": Split, ...}, class names, settings)``, val only if it was
    asked for.
    """
    check(args)
    classes = read_names(args.class_names)
    if not classes:
        raise UserError(f"{args.class_names}: holds no names")
    values = Values(len(classes), args.first_class, args.ignore)
    say_if_classes_are_ignored(classes, args)
    found = pairs_below(args.source, args.masks, args)
    parts = {"train": (args.source, args.masks, listed(args.list, found))}
    if args.val_list:
        parts["val"] = (args.source, args.masks, listed(args.val_list, found))
        refuse_shared(args, parts["train"][2], parts["val"][2])
    elif args.val:
        parts["val"] = (*args.val, pairs_below(*args.val, args))
    splits = {}
    for name, (image_folder, mask_folder, pairs) in parts.items():
        refuse_single(image_folder, mask_folder, pairs)
        splits.update(splits_of(name, image_folder, mask_folder, pairs, values, args))
    if args.val_fraction:
        splits = held_out(splits, args)
    refuse_old_val(args.directory, splits)
    for name in ("train", mask_split("train")):
        splits[name] = splits[name].shuffled(args.seed)
    settings = dict(
        images.settings(args),
        data_set="segmentation",
        classes=len(classes),
        first_class=args.first_class,
        ignore=sorted(set(args.ignore)),
        seed=args.seed,
    )
    return splits, classes, settings


def check(args):
    """UserError for a flag out of range."""
    images.check_lists(args)
    for flag, value in [("first-class", args.first_class), *(("ignore", v) for v in args.ignore)]:
        if not 0 <= value <= 255:
            raise UserError(f"--{flag} {value}: masks have values from 0 to 255")


def say_if_classes_are_ignored(classes, args):
    """Warn that --ignore has values of classes."""
    numbered = dict(enumerate(classes, args.first_class))
    names = [numbered[value] for value in sorted(set(args.ignore)) if value in numbered]
    if names:
        print(
            f"--ignore leaves no pixels of {printable(', '.join(names))}: such a class counts 0 in "
            "the mIoU",
            file=sys.stderr,
        )


def pairs_below(image_folder, mask_folder, args):
    """``{name: [image or None, mask or None]}``, sorted by the names that images and masks have in
    common.
    """
    found = {}
    for place, (folder, suffix) in enumerate(
        ((image_folder, args.image_suffix), (mask_folder, args.mask_suffix))
    ):
        for path in paths_below(folder):
            name = os.path.splitext(os.path.relpath(path, folder))[0]
            if not name.endswith(suffix):
                continue
            pair = found.setdefault(name[: len(name) - len(suffix)], [None, None])
            if pair[place] is not None:
                raise UserError(
                    f"{path}: has the same name as {pair[place]}, except for the extension"
                )
            pair[place] = path
    return dict(sorted(found.items()))


def paths_below(folder):
    """The images in a folder and below; prints what is passed over."""
    found = images_below(folder)
    found.say(folder)
    return found.paths


def listed(path, found, what="neither an image nor a mask"):
    """Those of ``{name: ...}`` whose names are in a file, sorted; all if there is no file. A name
    that is not found is ``what``.
    """
    if path is None:
        return found
    names = read_names(path)
    seen = set()
    for name in names:
        if name not in found:
            raise UserError(f"{path}: {name} is {what}")
        if name in seen:
            raise UserError(f"{path}: has {name} twice")
        seen.add(name)
    return {name: found[name] for name in sorted(names)}


def refuse_shared(args, train, val):
    """UserError if an image is in the lists of both."""
    shared = sorted(set(train) & set(val))
    if shared:
        raise UserError(f"{args.val_list}: {shared[0]} is in {args.list}, too")


def refuse_single(image_folder, mask_folder, pairs):
    """UserError that names the first image without a mask, or mask without an image."""
    if not pairs:
        raise UserError(f"{image_folder}: holds no images whose masks are in {mask_folder}")
    single = [pair for pair in pairs.values() if None in pair]
    if single:
        image, mask = single[0]
        missing = f"mask in {mask_folder}" if mask is None else f"image in {image_folder}"
        raise UserError(f"{image or mask}: has no {missing}; {len(single)} such in all")


def splits_of(name, image_folder, mask_folder, pairs, values, args):
    """The splits of the images and of the masks."""

    def source(folder, paths):
        names = [os.path.relpath(path, folder) for path in paths]
        size = sum(os.path.getsize(path) for path in paths if os.path.exists(path))
        return names, lambda position: read_image(paths[position]), size

    image_paths, mask_paths = zip(*pairs.values())
    return read_pairs(
        name, source(image_folder, image_paths), source(mask_folder, mask_paths), values, args
    )


def held_out(splits, args):
    """The splits with a part of train as val; images and masks are drawn alike."""
    result = {}
    for train, val in (("train", "val"), (mask_split("train"), mask_split("val"))):
        result[train], result[val] = splits[train].hold_out(args.val_fraction, args.seed)
    if not len(result["val"]):
        raise UserError(
            f"--val-fraction {args.val_fraction}: there are too few images to hold one out"
        )
    return {name: result[name] for name in ("train", mask_split("train"), "val", mask_split("val"))}
