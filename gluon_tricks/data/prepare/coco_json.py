"""The annotations of COCO: one JSON file for all images.

These fields are read: images (id, file_name, height, width), categories (id, name) and annotations
(image_id, category_id, bbox, iscrowd). A bbox is left, top, width, height.
"""

import json
import os
from typing import Dict, List, Tuple

from ...errors import UserError
from ...files import plain_file
from ..box_records import CROWD, ORDINARY
from .box_labels import Annotation, Box

MOST_BYTES = 1 << 31  # COCO's own largest, instances_train2017.json, has 0.45 GB
MOST_PIXELS = 1 << 24  # a side
PARTS = ("images", "annotations", "categories")


def read_annotations(path: str) -> Tuple[Dict[str, Annotation], List[str]]:
    """``({file name: Annotation} sorted by name, class names in the order of their ids)``.

    Images without annotations have no boxes. UserError that names what is wrong.
    """
    found = load(path)
    try:
        refuse_other_forms(found)
        names = dict(sorted((one["id"], text_of(one["name"])) for one in found["categories"]))
        images = {one["id"]: one for one in found["images"]}
        refuse_twice(found, names, images)
        boxes: Dict[object, List[Box]] = {identity: [] for identity in images}
        for one in found["annotations"]:
            if one["image_id"] not in images or one["category_id"] not in names:
                raise ValueError(f"annotation {one.get('id')} is of an unknown image or category")
            boxes[one["image_id"]].append(box_of(one, names))
        annotations = [
            annotation_of(one, boxes[identity], path) for identity, one in images.items()
        ]
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        said = f"{error} is missing" if isinstance(error, KeyError) else error
        raise UserError(f"{path}: is not in COCO's form: {said}") from None
    return dict(sorted(annotations)), list(names.values())


def load(path):
    """The value in the JSON file; UserError if it is not JSON, or too large."""
    try:
        size = os.stat(path).st_size
        if size > MOST_BYTES:
            raise UserError(f"{path}: has {size:,} bytes; at most {MOST_BYTES:,} are read")
        with open(path, encoding="utf-8-sig", opener=plain_file) as file:
            return json.load(file)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: is not JSON: {error}") from None


def refuse_other_forms(found):
    """ValueError if it is not an object whose PARTS are lists of objects."""
    if not isinstance(found, dict):
        raise ValueError(f"it is not an object with {', '.join(PARTS)}")
    for part in PARTS:
        entries = found[part]
        if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
            raise ValueError(f"{part} is not a list of objects")


def refuse_twice(found, names, images):
    """ValueError if an id, a class or a file name is there twice."""
    files = [os.path.normpath(text_of(one["file_name"])) for one in found["images"]]
    for what, given, kept in (
        ("an id of images", found["images"], images),
        ("an id of categories", found["categories"], names),
        ("a name of categories", names, set(names.values())),
        ("a file name", files, set(files)),
    ):
        if len(given) != len(kept):
            raise ValueError(f"{what} is there twice")


def box_of(one, names):
    """The Box of an entry of annotations; its last pixels are inside (see box_records)."""
    numbers = one["bbox"]
    is_list = isinstance(numbers, list) and len(numbers) == 4
    if not is_list or not all(type(each) in (int, float) for each in numbers):
        raise ValueError(f"annotation {one.get('id')} has no bbox of 4 numbers")
    left, top, width, height = map(float, numbers)
    corners = left, top, left + width - 1, top + height - 1
    if one.get("iscrowd", 0) not in (0, 1):
        raise ValueError(f"annotation {one.get('id')} has an iscrowd that is neither 0 nor 1")
    return Box(names[one["category_id"]], corners, CROWD if one.get("iscrowd") else ORDINARY)


def annotation_of(one, boxes, path):
    """``(file name, Annotation)`` of an entry of images."""
    name, height, width = text_of(one["file_name"]), one["height"], one["width"]
    if os.path.isabs(name) or ".." in name.split("/"):
        raise ValueError(f"the file name {name} leads out of the folder of the images")
    if not all(type(side) is int and 0 < side < MOST_PIXELS for side in (height, width)):
        raise ValueError(f"{name} has {width!r} x {height!r} pixels")
    return name, Annotation(f"{path}, {name}", height, width, boxes)


def text_of(value):
    """A name; ValueError if it is something else."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is not a name")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise ValueError(f"{value!r} has half of a character")
    return value
