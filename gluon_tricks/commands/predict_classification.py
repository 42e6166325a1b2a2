"""``gluon-tricks predict`` for classifiers: the likeliest classes of each image, and a sheet of the
images.
"""

from ..deploy import sheet
from ..deploy.prediction import predictions
from ..flags import output_file
from ..text import printable
from . import results


def add_arguments(add):
    """Add the flags."""
    add_top(add)
    add("--sheet", type=output_file("PNG"), metavar="PNG", help="draw the images with their labels")


def add_top(add):
    """Add the flag for the number of classes to print."""
    add("--top", type=int, default=5, metavar="N", help="number of classes to print [5]")


def main(args, model, found):
    """Print the classes of the images ``found``; exit code 1 if an image was broken."""
    entries, skipped, shown = [], [], []
    for item in results.sound(predictions(model, found, args.top), skipped):
        entries.append(as_json(item))
        if args.sheet and len(shown) < sheet.MOST_IMAGES:
            shown.append((item, model.preprocessing.pixels(item.image[None])[0]))
        if args.json != "-":
            print("\n".join(lines(item)))
    if args.sheet:
        sheet.draw_sheet(shown, args.sheet)
    return results.finish(args, model, entries, skipped)


def as_json(item):
    """A prediction for ``--json``."""
    keys = ("class", "label", "probability")
    entry = dict(name=item.name, top=[dict(zip(keys, guess)) for guess in item.top])
    if item.true is not None:
        entry.update(true=item.true, true_label=item.true_label)
    return entry


def lines(item):
    """A prediction as lines of text."""
    true = ""
    if item.true is not None:
        true = f" (true: {printable(item.true_label or item.true)})"
    yield printable(item.name) + true
    for place, guess in enumerate(item.top, 1):
        yield f"  {place:2d}  {100 * guess.probability:6.2f} %  {printable(guess.label)}"
