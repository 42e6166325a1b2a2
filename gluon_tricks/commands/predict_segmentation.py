"""``gluon-tricks predict`` for segmentation: the share of each class in each image, its mask and
its overlay.
"""

from ..deploy.segmentation import pictures, protocols
from ..deploy.segmentation.segmenter import segmented
from ..text import printable
from . import evaluate_segmentation as evaluate
from . import results
from .paths import Paths, add_output
from .predict_classification import add_top


def add_arguments(add):
    """Add the flags: the protocol, and where pictures go."""
    names = [name for name in protocols.NAMES if protocols.FLAGS[name]]  # of whole images
    evaluate.add_protocol(add, names)
    add_output(add)
    add_top(add)


def main(args, model, found):
    """Print the classes of the images ``found``; exit code 1 if an image was broken."""
    how = evaluate.protocol_of(args, model)
    given = [] if args.rec else args.images
    paths = Paths(args.output, given, ".mask.png") if args.output else None
    labels, entries, skipped = [model.label(i) for i in range(model.classes)], [], []
    for item in results.sound(segmented(model, found, how.views), skipped):
        classes = pictures.shares(item.mask, labels)
        entry = as_json(item, classes)
        if paths:
            entry.update(write(item, classes, paths.of(item.name)))
        entries.append(entry)
        if args.json != "-":
            print("\n".join(lines(item, classes, args.top)))
    return results.finish(args, model, entries, skipped, protocol=how.words)


def write(item, classes, path):
    """Write the mask and the overlay; return their paths, for ``--json``."""
    made = dict(mask=path + ".mask.png", overlay=path + ".overlay.png")
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
    """An image as lines of text."""
    height, width = item.mask.shape
    yield f"{printable(item.name)} ({width} x {height})"
    for share in classes[:top]:
        yield f"  {100 * share.share:6.2f} %  {printable(share.label)}"
