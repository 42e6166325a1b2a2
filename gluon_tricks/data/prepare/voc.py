"""PASCAL VOC's boxes of 20 classes, from its official archives, which are not unpacked

train.rec holds the trainval images of 2007 and of 2012, val.rec the test images of 2007, as in the
paper and nearly all others. Difficult objects are kept, and marked. The archives are tars, whose
lists, annotations and images are read in place.
"""

import os
import re
import sys
from typing import Dict, List, NamedTuple, Tuple

from ...config import user_path
from ...errors import UserError
from ..box_records import DIFFICULT
from ..file_reading import open_for_reading, read_bytes
from ..parallel import Progress, ordered_map
from ..recordio import LENGTH_MASK
from . import box_labels, checksums, images, tar, voc_xml
from .counts import refuse_partial
from .split import Split

CLASSES = (
    "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike "
    "person pottedplant sheep sofa train tvmonitor"
).split()


class Part(NamedTuple):
    """A list of images in an official archive, and its published counts."""

    archive: str
    year: int
    list: str
    images: int
    objects: int  # that are not difficult

    @property
    def name(self):
        return f"{self.year} {self.list}"


PARTS = {
    "train": [
        Part("VOCtrainval_06-Nov-2007.tar", 2007, "trainval", 5011, 12608),
        Part("VOCtrainval_11-May-2012.tar", 2012, "trainval", 11540, 27450),
    ],
    "val": [Part("VOCtest_06-Nov-2007.tar", 2007, "test", 4952, 12032)],
}
SHA1 = {
    "VOCtrainval_06-Nov-2007.tar": "34ed68851bce2a36e2a223fa52c661d592c66b3c",
    "VOCtest_06-Nov-2007.tar": "41a8d6e12baa5ab18ee7f8f8029b9e11805b4ef1",
    "VOCtrainval_11-May-2012.tar": "4e443f8a2eca6b1dac8a6c57641b67dd40621a49",
}
PLACE = re.compile(
    r"(?:.*/)?VOC(\d{4})/(?:(ImageSets/Main)/(\w+)\.txt|(Annotations)/(\w+)\.xml"
    r"|(JPEGImages)/(\w+)\.jpg)"
)
MOST_BYTES = {  # of a file
    "ImageSets/Main": 1 << 24,
    "Annotations": voc_xml.MOST_BYTES,
    "JPEGImages": LENGTH_MASK,  # of a record
}


class Archive(NamedTuple):
    """An open tar, and ``{(folder, stem): (offset, size)}`` of the files of one year in it."""

    path: str
    descriptor: int
    places: Dict[Tuple[str, str], Tuple[int, int]]

    def read(self, folder, stem):
        offset, size = self.places[folder, stem]
        return read_bytes(self.descriptor, size, offset, self.path)


class Image(NamedTuple):
    """An image in an archive, and what is in it."""

    name: str
    archive: Archive
    stem: str
    annotation: box_labels.Annotation


def add_arguments(parser):
    parser.add_argument(
        "source", type=user_path, metavar="FOLDER", help=f"the folder with {', '.join(SHA1)}"
    )
    parser.add_argument("--only", choices=("train", "val"), help="write one of the two files")
    images.add_seed(parser)
    images.add_coding_arguments(parser)
    box_labels.add_bad_boxes(parser)
    parser.add_argument(
        "--allow-partial", action="store_true", help="continue if images are missing"
    )
    parser.add_argument(
        "--sha1", action="store_true", help="first compare the archives with the published SHA-1"
    )


def read(args):
    """``({"train": Split, "val": Split}, class names, settings)``."""
    wanted = [args.only] if args.only else ["train", "val"]
    paths = {
        part: os.path.join(args.source, part.archive) for name in wanted for part in PARTS[name]
    }
    missing = [path for path in paths.values() if not os.path.exists(path)]
    if missing:
        raise UserError(f"{', '.join(missing)}: missing")
    if args.sha1:
        for path in paths.values():
            checksums.compare(path, "sha1", SHA1[os.path.basename(path)])
    splits = {}
    for name in wanted:
        found = [image for part in PARTS[name] for image in images_of(part, paths[part], args)]
        splits[name] = split_of(found, args)
    if "train" in splits:
        splits["train"] = splits["train"].shuffled(args.seed)
    settings = dict(images.settings(args), data_set="voc", seed=args.seed, bad_boxes=args.bad_boxes)
    return splits, CLASSES, settings


def images_of(part, path, args) -> List[Image]:
    """The images of a list, in its order."""
    archive = open_archive(path, part.year)
    stems = stems_of(archive, part)
    for stem in stems:
        for folder, what in (("JPEGImages", "image"), ("Annotations", "annotation")):
            if (folder, stem) not in archive.places:
                raise UserError(f"{path}: has no {what} of {stem}, which is in {part.list}.txt")
    refuse_partial(path, {part.name: len(stems)}, {part.name: part.images}, args.allow_partial)

    def image_of(stem):
        source = f"{path}, {stem}.xml"
        annotation = voc_xml.read_annotation(archive.read("Annotations", stem), source)
        return Image(f"VOC{part.year}/{stem}.jpg", archive, stem, annotation)

    with Progress(f"annotations of {part.name}", len(stems)) as progress:
        found = []
        for image in ordered_map(image_of, stems, args.workers or 4):
            found.append(image)
            progress.show(len(found))
    say_if_objects_differ(found, part, path)
    return found


def open_archive(path, year):
    """The Archive at a path."""
    descriptor, size = open_for_reading(path)
    places = {}
    for name, offset, length in tar.members(descriptor, 0, size, path):
        match = PLACE.fullmatch(name)
        if not match or int(match.group(1)) != year:
            continue  # the archives hold masks and more
        folder, stem = filter(None, match.groups()[1:])
        if (folder, stem) in places:
            raise UserError(f"{path}: holds {name} twice")
        most = MOST_BYTES[folder]
        if length > most:
            raise UserError(f"{path}: {name} has {length:,} bytes; at most {most:,} are read")
        places[folder, stem] = offset, length
    return Archive(path, descriptor, places)


def stems_of(archive, part):
    """The names in a part's list."""
    key = "ImageSets/Main", part.list
    if key not in archive.places:
        raise UserError(f"{archive.path}: has no list {part.list}.txt of VOC{part.year}")
    stems = archive.read(*key).decode("utf-8", "surrogateescape").split()
    if len(set(stems)) != len(stems):
        raise UserError(f"{archive.path}: {part.list}.txt names an image twice")
    return stems


def say_if_objects_differ(found, part, path):
    """Warn if the number of objects is not the published one."""
    count = sum(box.kind != DIFFICULT for image in found for box in image.annotation.boxes)
    if len(found) == part.images and count != part.objects:
        said = f"{count:,} objects that are not difficult instead of {part.objects:,}"
        print(f"{path}: holds {said}", file=sys.stderr)


def split_of(found: List[Image], args):
    """The Split of images with their boxes."""
    annotations = [image.annotation for image in found]

    def read_sized(position):
        image = found[position]
        data = image.archive.read("JPEGImages", image.stem)
        box_labels.refuse_size(data, image.annotation)
        return data

    return Split(
        [image.name for image in found],
        None,
        read_sized,
        lambda data: images.stored_form(data, args),
        sum(image.archive.places["JPEGImages", image.stem][1] for image in found),
        box_labels.labels_of(annotations, CLASSES, args.bad_boxes),
    )
