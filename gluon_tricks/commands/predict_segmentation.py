"""``gluon-tricks predict`` for segmentation: how much of each picture is of which class, its mask
and its overlay.
"""

import os
import sys

from ..config import user_path
from ..deploy.segmentation import pictures, protocols
from ..deploy.segmentation.segmenter import segmented
from ..errors import UserError
from ..files import write_json
from ..text import printable
from . import evaluate_segmentation as evaluate


def add_arguments(add):
    """Add the flags: how an image is shown to the network, and where pictures go."""
    names = [name for name in protocols.NAMES if protocols.FLAGS[name]]  # of whole images
    evaluate.add_protocol(add, names)
    add(
        "--output",
        "-o",
        type=user_path,
        metavar="DIR",
        help="write NAME.mask.png, whose pixels are the classes, and NAME.overlay.png of each "
        "image into this folder; of a folder of images its folders stay",
    )


def main(args, model, found):
    """Print the classes of the images ``found``; exit code 1 if an image was broken."""
    how = evaluate.protocol_of(args, model)
    paths = Paths(args.output, [] if args.rec else args.images) if args.output else None
    labels, entries, skipped = [model.label(i) for i in range(model.classes)], [], []
    for item in segmented(model, found, how.views):
        if item.error:
            skipped.append(dict(name=item.name, reason=item.error))
            print(f"gluon-tricks predict: {printable(item.error)}", file=sys.stderr)
            continue
        classes = pictures.shares(item.mask, labels)
        entry = as_json(item, classes)
        if paths:
            entry.update(write(item, classes, paths.of(item.name)))
        entries.append(entry)
        if args.json != "-":
            print("\n".join(lines(item, classes, args.top)))
    if args.json:
        about = dict(model=model.model, kind=model.kind, protocol=how.words)
        write_json(args.json, dict(about, images=entries, skipped=skipped))
    return 1 if skipped else 0


class Paths:
    """Where the pictures of an image go: its name in the folder ``output``, below the folder in
    which it was found.
    """

    def __init__(self, output, given):
        self._output, self._used = output, {}
        self._folders = [path for path in given if os.path.isdir(path)]

    def of(self, name):
        """The path without an ending; UserError if another image has it already."""
        inside = str(name)
        if isinstance(name, str):
            folder = next((one for one in self._folders if _is_below(name, one)), None)
            inside = os.path.relpath(name, folder) if folder else os.path.basename(name)
            inside = os.path.splitext(inside)[0]
        path = os.path.join(self._output, inside)
        if self._used.setdefault(path, name) != name:
            raise UserError(
                f"{printable(name)} and {printable(self._used[path])} would both become "
                f"{printable(path)}.mask.png: give them to two commands"
            )
        return path


def _is_below(path, folder):
    return os.path.commonpath([os.path.abspath(path), os.path.abspath(folder)]) == os.path.abspath(
        folder
    )


def write(item, classes, path):
    """Write the mask and the overlay; their paths, for ``--json``."""
    made = dict(mask=path + ".mask.png", overlay=path + ".overlay.png")
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    except OSError as error:
        raise UserError(f"{printable(path)}: cannot be written: {error.strerror}") from None
    pictures.write_mask(item.mask, made["mask"])
    pictures.write_overlay(item.picture, item.mask, classes, made["overlay"])
    return made


def as_json(item, classes):
    """An image for ``--json``."""
    keys = ("class", "label", "pixels", "share")
    height, width = item.mask.shape
    found = [dict(zip(keys, share)) for share in classes]
    return dict(name=item.name, height=height, width=width, classes=found)


def lines(item, classes, top):
    """An image for a person."""
    height, width = item.mask.shape
    yield f"{printable(item.name)} ({width} x {height})"
    for share in classes[:top]:
        yield f"  {100 * share.share:6.2f} %  {printable(share.label)}"
