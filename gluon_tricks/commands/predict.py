"""``gluon-tricks predict``: the likeliest classes of images: files, folders, or records.

The exit code is 0 if every image could be read, and 1 if some were broken: those are named and left
out.
"""

import sys

from ..config import user_path
from ..deploy import arguments, images, sheet
from ..deploy.prediction import predictions
from ..errors import UserError
from ..files import write_json
from ..text import printable

MOST_KEYS = 10_000_000  # of a range


def add_arguments(parser):
    """What to open, which images, and how to say what is in them."""
    arguments.add_arguments(parser)
    add = parser.add_argument
    # With "*" the list would end at the first flag, so that MODEL --top 1 IMAGE would be refused.
    named = add(
        "images",
        type=user_path,
        metavar="IMAGE",
        nargs="+",
        help="image files, or folders with images",
    )
    named.required = False
    add("--rec", type=user_path, metavar="FILE", help="take records of this RecordIO file instead")
    add("--keys", metavar="K,K", help="with --rec: the keys of the records")
    add("--top", type=int, default=5, metavar="N", help="how many classes to name [5]")
    add(
        "--json",
        type=user_path,
        metavar="FILE",
        help="write the predictions to this file; - for standard output",
    )
    add("--sheet", type=user_path, metavar="PNG", help="draw the images with their labels")


def main(args):
    """Print a table; exit code 1 if an image was broken."""
    check(args)
    keys = parse_keys(args.keys) if args.rec else None
    files = None if args.rec else images.files_in(args.images)
    model = arguments.open_from(args)
    if args.rec:
        found = images.from_records(model.preprocessing, args.rec, keys)
    else:
        found = images.from_files(model.preprocessing, files)
    entries, skipped, shown = [], [], []
    for item in predictions(model, found, args.top):
        if item.error:
            skipped.append(dict(name=item.name, reason=item.error))
            print(f"gluon-tricks predict: {printable(item.error)}", file=sys.stderr)
            continue
        entries.append(as_json(item))
        if args.sheet and len(shown) < sheet.MOST_IMAGES:
            shown.append((item, model.preprocessing.pixels(item.image[None])[0]))
        if args.json != "-":
            print("\n".join(lines(item)))
    if args.sheet:
        sheet.draw_sheet(shown, args.sheet)
    if args.json:
        about = dict(model=model.model, kind=model.kind)
        write_json(args.json, dict(about, images=entries, skipped=skipped))
    return 1 if skipped else 0


def check(args):
    """UserError for flags that do not go together."""
    if bool(args.images) == bool(args.rec):
        raise UserError("name images or folders, or --rec FILE with --keys; one of the two")
    if args.keys and not args.rec:
        raise UserError("--keys has no effect without --rec")
    if args.top < 1:
        raise UserError(f"--top {args.top}: at least 1 is needed")


def parse_keys(text):
    """Record keys from ``1,2`` (a list) or ``1-3`` (a range), in that order."""
    keys = []
    try:
        for part in (text or "").split(","):
            first, _, last = part.partition("-")
            span = range(int(first), int(last or first) + 1)
            if len(span) > MOST_KEYS:
                raise UserError(f"--keys {part}: at most {MOST_KEYS:,} keys at once")
            keys += span
    except (ValueError, OverflowError):
        keys = []
    if not keys:
        raise UserError(f"--keys {text}: give the records' keys, as in 1,2 or 10-19")
    return keys


def as_json(item):
    """A prediction for ``--json``."""
    keys = ("class", "label", "probability")
    entry = dict(name=item.name, top=[dict(zip(keys, guess)) for guess in item.top])
    if item.true is not None:
        entry.update(true=item.true, true_label=item.true_label)
    return entry


def lines(item):
    """A prediction for a person."""
    true = ""
    if item.true is not None:
        true = f" (true: {printable(item.true_label or item.true)})"
    yield printable(item.name) + true
    for place, guess in enumerate(item.top, 1):
        yield f"  {place:2d}  {100 * guess.probability:6.2f} %  {printable(guess.label)}"
