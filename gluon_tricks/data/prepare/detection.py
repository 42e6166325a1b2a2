"""a folder of images with boxes: COCO's JSON, or XML files in the form of VOC

ANNOTATIONS is a JSON file, whose images are in the folder IMAGES, or a folder of XML files, each
with the same path below it as its image below IMAGES, except for the extension.
"""

import os
import pathlib
from typing import Dict, List, NamedTuple

from ...config import user_path
from ...errors import UserError
from ...files import plain_file
from ..image_files import EXTENSIONS, images_below, read_image, refuse
from . import box_labels, coco_json, images, voc_xml
from .box_labels import Annotation
from .folder import refuse_old_val
from .idx import read_names
from .segmentation import listed, refuse_shared
from .split import Split

UNANNOTATED = ("refuse", "empty", "drop")


class Source(NamedTuple):
    """Images with their annotations: ``{name: (path, Annotation)}``, and the classes' names."""

    images: Dict[str, tuple]
    classes: List[str]


def add_arguments(parser):
    parser.add_argument("source", type=user_path, metavar="IMAGES", help="the folder of images")
    parser.add_argument(
        "annotations",
        type=user_path,
        metavar="ANNOTATIONS",
        help="COCO's JSON file, or a folder of VOC's XML files",
    )
    parser.add_argument(
        "--class-names",
        type=user_path,
        metavar="FILE",
        help="the classes' names, one a line, in the order of their numbers (default: COCO's "
        "categories in the order of their ids; the sorted names in the XML files)",
    )
    parser.add_argument(
        "--unannotated",
        choices=UNANNOTATED,
        default=UNANNOTATED[0],
        help="what to do with images without an XML file: refuse the data (default), take them as "
        "images without boxes, or leave them out",
    )
    box_labels.add_bad_boxes(parser)
    images.add_lists(
        parser, ("IMAGES", "ANNOTATIONS"), "another such folder and its annotations, for validation"
    )
    images.add_seed(parser, "the order and the held-out images")
    images.add_coding_arguments(parser)
    images.add_skip_broken(parser)


def read(args):
    """``({"train": Split, "val": Split}, class names, settings)``, val only if it was asked for."""
    images.check_lists(args)
    source = source_of(args.source, args.annotations, args)
    classes = read_names(args.class_names) if args.class_names else source.classes
    refuse_classes(classes, args)
    unknown = "not an image with an annotation"
    parts = {"train": listed(args.list, source.images, unknown)}
    if args.val_list:
        parts["val"] = listed(args.val_list, source.images, unknown)
        refuse_shared(args, parts["train"], parts["val"])
    elif args.val:
        parts["val"] = source_of(*args.val, args).images
    splits = {name: split_of(part, classes, args) for name, part in parts.items()}
    if args.val_fraction:
        splits["train"], splits["val"] = splits["train"].hold_out(args.val_fraction, args.seed)
    refuse_empty(splits, args)
    refuse_old_val(args.directory, splits)
    splits["train"] = splits["train"].shuffled(args.seed)
    settings = dict(
        images.settings(args), data_set="detection", seed=args.seed, bad_boxes=args.bad_boxes
    )
    return splits, classes, settings


def refuse_classes(classes, args):
    """UserError if there are no classes, or one twice."""
    where = args.class_names or args.annotations
    if not classes:
        raise UserError(f"{where}: names no classes")
    twice = sorted(name for name in set(classes) if classes.count(name) > 1)
    if twice:
        raise UserError(f"{where}: has {twice[0]} twice")


def refuse_empty(splits, args):
    for name, split in splits.items():
        if not len(split):
            raise UserError(f"{args.annotations}: there is no image for {name}.rec")


def source_of(folder, annotations, args) -> Source:
    """The Source of a folder of images and its annotations."""
    if os.path.isdir(annotations):
        return source_of_xml(folder, annotations, args.unannotated)
    found, classes = coco_json.read_annotations(annotations)
    paths = {name: os.path.join(folder, name) for name in found}
    if found and not any(map(os.path.exists, paths.values())):
        raise UserError(f"{folder}: has none of the {len(found)} images that {annotations} lists")
    if args.unannotated != UNANNOTATED[0]:
        raise UserError("--unannotated: an image that COCO's JSON lists has an annotation")
    return Source({name: (paths[name], found[name]) for name in found}, classes)


def source_of_xml(folder, annotations, unannotated):
    """The Source of a folder of images and one of XML files with the same names."""
    paths, found = stems_below(folder), {}
    files = xml_below(annotations, paths)
    refuse_single(paths, files, folder, annotations, unannotated)
    for stem, path in paths.items():
        if stem in files:
            found[stem] = path, sized(annotation_in(files[stem]), path)
        elif unannotated == "empty":
            found[stem] = path, sized(Annotation(path, 0, 0, ()), path)
    classes = {box.name for _, annotation in found.values() for box in annotation.boxes}
    return Source(found, sorted(classes))


def stems_below(folder):
    """``{path below the folder, without extension: path}`` of its images."""
    found = images_below(folder)
    found.say(folder)
    stems = {}
    for path in found.paths:
        stem = os.path.splitext(os.path.relpath(path, folder))[0]
        if stem in stems:
            raise UserError(f"{path}: has the same name as {stems[stem]}, except for the extension")
        stems[stem] = path
    if not stems:
        raise UserError(f"{folder}: holds no images ({' '.join(EXTENSIONS)})")
    return stems


def xml_below(folder, stems):
    """``{path below the folder, without extension: path}`` of its XML files."""
    found = {}
    for directory, files in folders_below(folder, folders_of(stems)):
        for name in files:
            stem, extension = os.path.splitext(os.path.join(directory, name))
            if extension.lower() == ".xml" and not name.startswith("."):
                name = os.path.relpath(stem, folder)
                if name in found:
                    raise UserError(f"{stem}{extension}: {found[name]} belongs to the same image")
                found[name] = stem + extension
    return found


def folders_below(top, with_images):
    """``(path, names of files)`` of a folder and those inside; UserError if one cannot be read.

    A link to a folder is followed if its path below ``top`` is one of ``with_images``: any other is
    a second name of a folder, or leads back or to other files.
    """

    def is_followed(path):
        return not os.path.islink(path) or os.path.relpath(path, top) in with_images

    for directory, folders, files in os.walk(top, onerror=refuse, followlinks=True):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and is_followed(os.path.join(directory, name))
        ]
        yield directory, files


def folders_of(stems):
    """The folders of these relative paths, and those around them."""
    folders = {pathlib.PurePath(os.path.dirname(stem)) for stem in stems}
    return {str(path) for folder in folders for path in (folder, *folder.parents)}


def refuse_single(paths, files, folder, annotations, unannotated):
    """UserError that names the first annotation without an image, or image without one."""
    single = sorted(set(files) - set(paths))
    if single:
        raise UserError(f"{files[single[0]]}: has no image in {folder}; {len(single)} such in all")
    single = sorted(set(paths) - set(files))
    if single and unannotated == UNANNOTATED[0]:
        raise UserError(
            f"{paths[single[0]]}: has no XML file in {annotations}; {len(single)} such in all "
            "(--unannotated empty takes them as images without boxes, drop leaves them out)"
        )


def annotation_in(path):
    """The Annotation of a VOC XML file; UserError if it is none."""
    try:
        with open(path, "rb", opener=plain_file) as file:
            data = file.read(voc_xml.MOST_BYTES + 1)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    return voc_xml.read_annotation(data, path)


def sized(annotation, path):
    """The annotation, with the size of its image if it has none."""
    if annotation.height and annotation.width:
        return annotation
    try:
        height, width = images.upright_size(read_image(path))
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
    return annotation._replace(height=height, width=width)


def split_of(part, classes, args):
    """The Split of ``{name: (path, Annotation)}``."""
    names, paths = list(part), [path for path, _ in part.values()]
    annotations = [annotation for _, annotation in part.values()]

    def read_sized(position):
        data = read_image(paths[position])
        box_labels.refuse_size(data, annotations[position])
        return data

    return Split(
        names,
        None,
        read_sized,
        lambda data: images.stored_form(data, args),
        sum(os.path.getsize(path) for path in paths if os.path.exists(path)),
        box_labels.labels_of(annotations, classes, args.bad_boxes),
    )
