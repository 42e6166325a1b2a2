"""The annotations of PASCAL VOC: an XML file for each image, as labelImg and others write, too.

They may come from anybody, so a file has a bounded size, and no document type, which could declare
entities that grow without bounds or name other files.
"""

import math
from xml.etree import ElementTree
from xml.parsers import expat

from ...errors import UserError
from ..box_records import DIFFICULT, ORDINARY
from .box_labels import Annotation, Box

MOST_BYTES = 1 << 20
MOST_PIXELS = 1 << 24  # a side


def read_annotation(data: bytes, source: str) -> Annotation:
    """The Annotation in an XML file's bytes; height and width are 0 if it has none.

    VOC counts pixels from 1, an Annotation from 0. UserError that names ``source`` if it is
    damaged or lacks something.
    """
    try:
        root = parse(data)
        if root.tag != "annotation":
            raise ValueError(f"it begins with <{root.tag[:40]}>")
        size = root.find("size")
        height, width = (
            0 if size is None else length_in(size, name) for name in ("height", "width")
        )
        return Annotation(source, height, width, [box_in(one) for one in root.findall("object")])
    except (ValueError, LookupError, expat.ExpatError) as error:
        raise UserError(f"{source}: is not an annotation in VOC's form: {error}") from None


def parse(data):
    """The root element; ValueError if the file is too large or has a document type."""
    if len(data) > MOST_BYTES:
        raise ValueError(f"it has {len(data):,} bytes; at most {MOST_BYTES:,} are read")
    builder, parser = ElementTree.TreeBuilder(), expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    parser.Parse(data, True)
    return builder.close()


def refuse(*doctype):
    raise ValueError("it has a document type, which may declare entities")


def box_in(element):
    """The Box of an <object>."""
    corners = element.find("bndbox")
    if corners is None:
        raise ValueError("an object has no bndbox")
    name = (element.findtext("name") or "").strip()
    if not name:
        raise ValueError("an object has no name")
    where = tuple(number_in(corners, side) - 1 for side in ("xmin", "ymin", "xmax", "ymax"))
    difficult = (element.findtext("difficult") or "").strip() == "1"
    return Box(name, where, DIFFICULT if difficult else ORDINARY)


def length_in(element, name):
    """The height or width that an element inside has as its text, 0 if it is unknown."""
    number = number_in(element, name)
    if not 0 <= number < MOST_PIXELS or number != int(number):
        raise ValueError(f"<{name}> in <{element.tag}> is {number:g}")
    return int(number)


def number_in(element, name):
    """The number that an element inside has as its text."""
    text = (element.findtext(name) or "").strip()
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"<{name}> in <{element.tag}> is not a number: {text[:40]!r}") from None
    if not math.isfinite(number):
        raise ValueError(f"<{name}> in <{element.tag}> is {text[:40]}")
    return number
