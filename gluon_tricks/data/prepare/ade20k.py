"""ADE20K's images with masks of 150 classes, from ADEChallengeData2016.zip, which is not unpacked

In its masks 0 is a pixel of none of the 150 classes, which is not counted; 1 to 150 are the lines
of objectInfo150.txt, which become 0 to 149.
"""

import os
import re

from ...config import user_path
from ...errors import UserError
from ..file_reading import open_for_reading
from . import checksums, images, zip_archive
from .counts import refuse_partial
from .pairs import Values, mask_split, read_pairs

ARCHIVE, INFO = "ADEChallengeData2016.zip", "objectInfo150.txt"
SHA1 = "219e1696abb36c8ba3a3afe7fb2f4b4606a897c7"
CLASSES = 150
IMAGES = {"train": 20210, "val": 2000}
FOLDERS = {"training": "train", "validation": "val"}
PLACE = re.compile(
    r"(?:.*/)?(?:images/(training|validation)/(ADE_(?:train|val)_\d{8})\.jpg"
    r"|annotations/(training|validation)/(ADE_(?:train|val)_\d{8})\.png)"
)


def add_arguments(parser):
    parser.add_argument("source", type=user_path, metavar="ARCHIVE", help=ARCHIVE)
    images.add_seed(parser)
    images.add_coding_arguments(parser)
    parser.add_argument(
        "--allow-partial", action="store_true", help="continue if images are missing"
    )
    parser.add_argument(
        "--sha1", action="store_true", help="first compare the archive with the published SHA-1"
    )


def read(args):
    """``({"train": Split, "train.mask": Split, "val": ...}, class names, settings)``."""
    path = args.source
    descriptor, _ = open_for_reading(path)
    if args.sha1:
        checksums.compare(path, "sha1", SHA1)
    pictures, masks, info = contents(path)
    if info is None:
        raise UserError(f"{path}: has no {INFO}; is it {ARCHIVE}?")
    try:
        classes = class_names(zip_archive.read(descriptor, info, path))
    except ValueError as error:
        raise UserError(f"{path}: {INFO} {error}") from None
    counts = {name: len(found) for name, found in pictures.items()}
    refuse_partial(path, counts, IMAGES, args.allow_partial)
    splits, values = {}, Values(CLASSES, first=1, ignored=(0,))
    for name, found in pictures.items():
        refuse_single(path, found, masks[name])
        order = sorted(found)
        images_and_masks = (
            source(descriptor, [kind[stem] for stem in order], path)
            for kind in (found, masks[name])
        )
        splits.update(read_pairs(name, *images_and_masks, values, args))
    for name in ("train", mask_split("train")):
        splits[name] = splits[name].shuffled(args.seed)
    return splits, classes, dict(images.settings(args), data_set="ade20k", seed=args.seed)


def contents(path):
    """``(images, masks, the member of objectInfo150.txt or None)``; the first two ``{split: {name
    without extension: member}}``.
    """
    pictures, masks = ({name: {} for name in IMAGES} for _ in range(2))
    info = None
    for member in zip_archive.members(path):
        if os.path.basename(member.name).startswith("."):
            continue  # macOS adds such files to a zip that is packed again
        place = PLACE.fullmatch(member.name)
        if place:
            image_folder, image, mask_folder, mask = place.groups()
            found = (pictures if image else masks)[FOLDERS[image_folder or mask_folder]]
            if (image or mask) in found:
                raise UserError(f"{path}: holds {image or mask} twice")
            found[image or mask] = member
        elif os.path.basename(member.name) == INFO:
            info = member
        elif re.search(r"(^|/)(images|annotations)/", member.name):
            raise UserError(f"{path}: holds {member.name}, which is not one of ADE20K's files")
    return pictures, masks, info


def refuse_single(path, pictures, masks):
    """UserError that names the first image without a mask, or mask without an image."""
    for there, missing, what in ((pictures, masks, "mask"), (masks, pictures, "image")):
        single = sorted(set(there) - set(missing))
        if single:
            raise UserError(
                f"{path}: {there[single[0]].name} has no {what}; {len(single)} such in all"
            )


def source(descriptor, members, path):
    """``(names, read, size)`` of members of the zip."""
    return (
        [member.name for member in members],
        lambda position: zip_archive.read(descriptor, members[position], path),
        sum(member.size for member in members),
    )


def class_names(data):
    """The 150 names in the lines of objectInfo150.txt, "number TAB ... TAB name" below a header;
    ValueError if it is anything else.
    """
    lines = data.decode("utf-8", "surrogateescape").splitlines()[1:]
    rows = [line.split("\t") for line in lines if line.strip()]
    if [row[0].strip() for row in rows] != [str(number) for number in range(1, CLASSES + 1)]:
        raise ValueError(f"does not number its lines from 1 to {CLASSES}")
    return [row[-1].strip() for row in rows]
