"""``gluon-tricks evaluate`` for segmentation: mIoU and pixel accuracy under a named protocol, a
table by class, and a picture of the confusion matrix.
"""

import time

import numpy as np

from ..deploy import arguments
from ..deploy.segmentation import confusion_picture, protocols
from ..deploy.segmentation.evaluation import confusion
from ..files import write_json
from ..flags import output_file
from ..tasks.confusion import of_classes, summary
from ..text import printable
from . import results


def add_arguments(add):
    """Add the flags: the protocol, and a picture."""
    add_protocol(add, protocols.NAMES)
    add(
        "--confusion",
        type=output_file("PNG"),
        metavar="PNG",
        help="draw the confusion matrix: which classes the pixels of each class were predicted as",
    )


def add_protocol(add, names):
    """Add the flags of the protocol, by which images are given to the network."""
    add(
        "--protocol",
        choices=names,
        default="single",
        help="single: each image at its original size; multi: at several scales, and mirrored"
        + ("; centre: only a centre crop, as in training's validation" if "centre" in names else "")
        + " [single]",
    )
    add(
        "--scales",
        type=scales,
        metavar="X,X",
        help="scales of multi [" + ",".join(f"{scale:g}" for scale in protocols.SCALES) + "]",
    )
    add(
        "--long-side",
        type=int,
        metavar="N",
        help="multi: length of the image's longer side at scale 1; 0: its original length "
        "[training's --base-size]",
    )
    add(
        "--window",
        type=int,
        metavar="N",
        help="images larger than this height and width are split into overlapping windows of that "
        f"size [single: {protocols.WINDOW}; multi: training's --input-size]",
    )


def scales(text):
    """The numbers in ``0.5,1,1.5``."""
    found = tuple(float(part) for part in text.split(","))
    if not all(0 < scale <= 8 for scale in found):
        raise ValueError
    return found


def protocol_of(args, model):
    """The :class:`.Protocol` that the flags ask for; UserError for one that has no effect."""
    given = {name: getattr(args, name) for name in ("scales", "long_side", "window")}
    given = {name: value for name, value in given.items() if value is not None}
    return protocols.protocol(args.protocol, model.preprocessing, **given)


def main(args, model):
    """Print the figures and a table by class."""
    how = protocol_of(args, model)
    record, index = arguments.validation_file(args, model)
    started = time.time()
    matrix, images = confusion(model, record, index, how)
    seconds = time.time() - started
    found = summary(matrix)
    print(results.headline(args, model, text(found), images, record))
    print(f"protocol {how.name}: {how.words}; {results.speed(args, images, seconds)}")
    print("\n".join(table(model, matrix)))
    if args.confusion:
        confusion_picture.draw(matrix, names(model), args.confusion)
    if args.json:
        write_json(args.json, as_json(args, model, matrix, images, how, record, seconds))
    return 0


def text(found):
    """The figures of all classes in a line."""
    means = f"mIoU {found['miou']:.2f} %, pixel accuracy {found['accuracy']:.2f} %"
    return f"{means}, mean class accuracy {found['class_accuracy']:.2f} %"


def names(model):
    """The names of all classes."""
    return [printable(model.label(number)) for number in range(model.classes)]


def table(model, matrix):
    """The lines of a table by class."""
    each, pixels = of_classes(matrix), max(1, matrix.sum())
    labels = names(model)
    width = max(5, *(len(label[:40]) for label in labels))
    yield f"{'class':{width}}  pixels %    IoU %  found %  most often predicted as"
    for number, label in enumerate(labels):
        share = 100 * each.labelled[number] / pixels
        line = f"{label[:40]:{width}} {share:9.2f} "
        if not each.occurs[number]:
            yield line + "       -        -  occurs nowhere"
            continue
        accuracy = f"{each.accuracy[number]:8.2f}" if each.labelled[number] else "       -"
        yield f"{line}{each.iou[number]:8.2f} {accuracy}  {mistaken(matrix, number, labels)}"
    found = summary(matrix)
    absent = model.classes - found["classes_occurring"]
    if absent:
        yield (
            f"{absent} of {model.classes} classes occur nowhere and count 0 in the mIoU; without "
            f"them it is {found['miou_occurring']:.2f} %"
        )


def mistaken(matrix, number, labels):
    """The other class that a class's pixels are most often predicted as, and how many of them."""
    others = np.array(matrix[number])
    others[number] = 0
    if not others.any():
        return "-"
    other = int(others.argmax())
    return f"{labels[other]} ({100 * others[other] / matrix[number].sum():.1f} %)"


def as_json(args, model, matrix, images, how, record, seconds):
    """The figures, for ``--json``."""
    each = of_classes(matrix)
    columns = ("labelled", "predicted", "iou", "accuracy")
    classes = [
        dict(
            number=number,
            label=model.label(number),
            **{name: getattr(each, name)[number].item() for name in columns},
        )
        for number in range(model.classes)
    ]
    views = how.views._asdict() if how.views else None
    return dict(
        summary(matrix),
        images=images,
        protocol=dict(name=how.name, words=how.words, views=views),
        by_class=classes,
        confusion=matrix.tolist(),
        **results.evaluated(args, model, rec_val=record, seconds=seconds),
    )
