"""``gluon-tricks predict``: what a model in any form sees in files, folders of them, or records.

The exit code is 0 when every image could be read, 1 when some were broken: those are named and left
out.
"""

import os
import sys

import numpy as np

from ..config import user_path
from ..errors import UserError
from ..files import write_json
from ..text import printable
from . import classifier, images
from . import evaluation as evaluate

BATCH = 32
MOST_ON_SHEET = 100


def add_arguments(parser):
    """What to load, which images, and how to say what is in them."""
    classifier.add_arguments(parser)
    # With "*" the list would end at the first flag, so that MODEL --top 1 IMAGE would be refused.
    pictures = parser.add_argument(
        "images",
        type=user_path,
        metavar="IMAGE",
        nargs="+",
        help="image files, or folders with images",
    )
    pictures.required = False
    parser.add_argument(
        "--rec", type=user_path, metavar="FILE", help="take records of this RecordIO file instead"
    )
    parser.add_argument("--keys", metavar="K,K", help="with --rec: the keys of the records")
    parser.add_argument(
        "--top", type=int, default=5, metavar="N", help="how many classes to name [5]"
    )
    parser.add_argument(
        "--json",
        type=user_path,
        metavar="FILE",
        help="write the predictions to this file; - for standard output",
    )
    parser.add_argument(
        "--sheet", type=user_path, metavar="PNG", help="draw the images with their labels"
    )


def main(args):
    """Print a table; exit code 1 where an image was broken."""
    if bool(args.images) == bool(args.rec):
        raise UserError("name images or folders, or --rec FILE with --keys; one of the two")
    if args.keys and not args.rec:
        raise UserError("--keys has no effect without --rec")
    if args.top < 1:
        raise UserError(f"--top {args.top}: at least 1 is needed")
    keys = parse_keys(args.keys) if args.rec else None
    files = None if args.rec else images.files_in(args.images)
    model = classifier.from_arguments(args)
    found = images.records(model, args.rec, keys) if args.rec else images.files(model, files)
    shown, skipped = [], []
    for item in predict(model, found, args.top):
        if "reason" in item:
            skipped.append(item)
            print("gluon-tricks predict: {}".format(printable(item["reason"])), file=sys.stderr)
        else:
            if args.sheet and len(shown) < MOST_ON_SHEET:
                item["pixels"] = images.pixels_of(
                    item["input"][None], model.rgb_mean, model.rgb_std
                )[0]
            del item["input"]
            shown.append(item)
            if args.json != "-":
                print("\n".join(table(item)))
    if args.sheet:
        draw_sheet(shown[:MOST_ON_SHEET], args.sheet)
    for item in shown:
        item.pop("pixels", None)
    if args.json:
        write_json(
            args.json, dict(model=model.model, kind=model.kind, images=shown, skipped=skipped)
        )
    return 1 if skipped else 0


def parse_keys(text):
    """Record keys from ``1,2`` (a list) or ``1-3`` (a range), in that order."""
    keys = []
    try:
        for part in (text or "").split(","):
            first, _, last = part.partition("-")
            keys += range(int(first), int(last or first) + 1)
    except ValueError:
        keys = []
    if not keys:
        raise UserError(f"--keys {text}: give the records' keys, as in 1,2 or 10-19")
    return keys


def predict(model, found, top=5):
    """Name the likeliest classes of images.

    ``found`` yields ``(name, true class or None, float32 (3, size, size) or the error)``. Yields
    for each a dict: name, true (a class, where known), top (a list of class, label, probability)
    and input; or name and reason where it is broken. Of equal probabilities the smaller class index
    comes first.
    """
    waiting = []
    for name, true, image in found:
        waiting.append((name, true, image))
        if len(waiting) == BATCH:
            yield from _predict_batch(model, waiting, top)
            waiting = []
    yield from _predict_batch(model, waiting, top)


def _predict_batch(model, items, top):
    inputs = [image for _, _, image in items if not isinstance(image, Exception)]
    rows = iter(())
    if inputs:
        names = [name for name, _, image in items if not isinstance(image, Exception)]
        logits = evaluate.check_logits(model.predict(np.stack(inputs)), model, names).astype(
            np.float64
        )
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        rows = iter(shares / shares.sum(axis=1, keepdims=True))
    for name, true, image in items:
        if isinstance(image, Exception):
            yield dict(name=name, reason=str(image))
            continue
        row = next(rows)
        best = np.argsort(-row, kind="stable")[:top]
        likeliest = [
            dict({"class": int(i)}, label=model.label(i), probability=float(row[i])) for i in best
        ]
        known = (
            {}
            if true is None
            else dict(
                true=true, true_label=model.label(true) if 0 <= true < model.classes else None
            )
        )
        yield dict(name=name, top=likeliest, input=image, **known)


def table(item):
    """Lines for a person."""
    true = (
        " (true: {})".format(printable(item["true_label"] or item["true"]))
        if "true" in item
        else ""
    )
    yield "{}{}".format(printable(item["name"]), true)
    for place, guess in enumerate(item["top"], 1):
        yield "  {:2d}  {:6.2f} %  {}".format(
            place, 100 * guess["probability"], printable(guess["label"])
        )


def draw_sheet(items, path):
    """A PNG of the images as the network sees them, each with its first label; red where it is
    wrong.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = max(1, min(len(items), 5))
    rows = max(1, -(-len(items) // columns))
    figure = Figure(figsize=(2.2 * columns, 2.6 * rows))
    for place, item in enumerate(items):
        axes = figure.add_subplot(rows, columns, place + 1)
        axes.imshow(item["pixels"])
        axes.set_axis_off()
        guess = item["top"][0]
        wrong = "true" in item and item["true"] != guess["class"]
        text = "{}\n{} {:.0f} %".format(
            printable(os.path.basename(str(item["name"])))[:28],
            printable(guess["label"])[:24],
            100 * guess["probability"],
        )
        text += (
            "\ntrue: {}".format(printable(item["true_label"] or item["true"])[:24]) if wrong else ""
        )
        # Without parse_math a dollar in a file's name would be read as a formula.
        axes.set_title(text, fontsize=8, color="firebrick" if wrong else "black", parse_math=False)
    figure.tight_layout()
    try:
        FigureCanvasAgg(figure).print_png(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
