"""``gluon-tricks predict`` for detection: the objects in each image, and a picture with their
boxes.
"""

from ..deploy.detection import pictures
from ..deploy.detection.detector import detected
from ..text import printable
from . import evaluate_detection as evaluate
from . import results
from .paths import Paths, add_output

SCORE = 0.5


def add_arguments(add):
    """Add the flags: the thresholds of detections, and where pictures go."""
    evaluate.add_thresholds(add, f"[{SCORE:g}]")
    add_output(add)


def main(args, model, found):
    """Print the objects in the images ``found``; exit code 1 if an image was broken."""
    model.choose(SCORE if args.score is None else args.score, args.overlap)
    given = [] if args.rec else args.images
    paths = Paths(args.output, given, ".boxes.png") if args.output else None
    labels, entries, skipped = [model.label(i) for i in range(model.classes)], [], []
    for item in results.sound(detected(model, found), skipped):
        entry = as_json(item, labels)
        if paths:
            entry["picture"] = paths.of(item.name) + ".boxes.png"
            pictures.write_boxes(item.picture, item.found, labels, entry["picture"])
        entries.append(entry)
        if args.json != "-":
            print("\n".join(lines(entry)))
    return results.finish(args, model, entries, skipped)


def as_json(item, labels):
    """An image for ``--json``; a box is left, top, right, bottom in pixels."""
    height, width = item.picture.shape[:2]
    found = [
        {"class": int(number), "label": labels[number], "score": float(score), "box": box}
        for box, number, score in zip(
            item.found.corners.round(2).tolist(), item.found.classes, item.found.scores
        )
    ]
    return dict(name=item.name, height=height, width=width, objects=found)


def lines(entry):
    """An image as lines of text."""
    yield f"{printable(entry['name'])} ({entry['width']} x {entry['height']})"
    for one in entry["objects"]:
        box = ", ".join(str(round(side)) for side in one["box"])
        yield f"  {one['score']:.2f}  {printable(one['label'])} at {box}"
    if not entry["objects"]:
        yield "  nothing"
