"""``gluon-tricks evaluate`` for detection: VOC's and COCO's average precision, also by class."""

import time

from ..deploy import arguments
from ..deploy.detection.evaluation import evaluate, figures
from ..files import write_json
from ..flags import output_file
from ..tasks.detection import Detection
from ..text import printable
from . import results


def add_arguments(add):
    """Add the flags: thresholds, the comparison of recalls, and a file of results."""
    add_thresholds(add, "[that of training's validation]")
    add(
        "--float-steps",
        action="store_true",
        help="compare recalls with the 11 points of the mAP as GluonCV does, where recalls of "
        "exactly 0.3, 0.6 and 0.7 miss their points",
    )
    add(
        "--coco",
        type=output_file("JSON"),
        metavar="FILE",
        help="write the detections in COCO's result format, with the record's key as image_id and "
        "the class number from 0 as category_id",
    )


def add_thresholds(add, default):
    """Add the thresholds of detections."""
    add("--score", type=float, metavar="X", help=f"the lowest score of a detection {default}")
    add(
        "--overlap",
        type=float,
        metavar="X",
        help="the highest IoU of two detections of a class [that of training's validation]",
    )


def main(args, model):
    """Print the figures and a table by class."""
    model.choose(args.score, args.overlap)
    record, index = arguments.validation_file(args, model)
    started = time.time()
    found = evaluate(model, record, index, args.float_steps)
    seconds = time.time() - started
    means = figures(found)
    said = ", ".join(figure.text(means[figure.name]) for figure in Detection.figures)
    print(results.headline(args, model, said, found.images, record))
    print(results.speed(args, found.images, seconds))
    print("\n".join(table(model, found)))
    if args.coco:
        write_json(args.coco, found.results)
    if args.json:
        write_json(args.json, as_json(args, model, found, record, seconds))
    return 0


def table(model, found):
    """The lines of a table by class."""
    labels = [printable(model.label(number))[:40] for number in range(model.classes)]
    width = max(5, *map(len, labels))
    titles = [figure.title for figure in Detection.figures]
    yield f"{'class':{width}}  objects  " + "  ".join(f"{title:>11}" for title in titles)
    for number, label in enumerate(labels):
        line = f"{label:{width}}  {found.objects[number]:7}  "
        if found.objects[number]:
            yield line + "  ".join(f"{100 * values[number]:11.2f}" for values in found.precision)
        else:
            yield line + "none, left out of the means"


def as_json(args, model, found, record, seconds):
    """The figures, for ``--json``; null for those of a class without objects."""
    names = [figure.name for figure in Detection.figures]
    classes = [
        dict(
            number=number,
            label=model.label(number),
            objects=int(count),
            **{
                name: 100 * float(values[number]) if count else None
                for name, values in zip(names, found.precision)
            },
        )
        for number, count in enumerate(found.objects)
    ]
    return dict(
        figures(found),
        by_class=classes,
        **results.evaluated(args, model, rec_val=record, seconds=seconds),
    )
