"""What ``evaluate`` and ``predict`` say of models of every task in the same words."""

import sys

from ..deploy import arguments
from ..files import write_json
from ..text import printable


def headline(args, model, figures, images, record):
    """The line with the ``figures``, which are text, on so many images of a RecordIO file."""
    where = f"on {images} images of {printable(record)}"
    return f"{printable(args.source)} ({model.kind}): {figures} {where}"


def speed(args, images, seconds, digits=2):
    """How fast it was, and on what."""
    return f"{images / seconds:.{digits}f} images/s, {arguments.device_in_words(args)}"


def evaluated(args, model, **about):
    """What ``evaluate --json`` says besides figures."""
    return dict(model=model.model, kind=model.kind, source=args.source, **about)


def sound(items, skipped):
    """Yield the items, which have a name, that have no error; the others are named on standard
    error and noted in the list ``skipped``.
    """
    for item in items:
        if item.error:
            skipped.append(dict(name=item.name, reason=item.error))
            print(f"gluon-tricks predict: {printable(item.error)}", file=sys.stderr)
        else:
            yield item


def finish(args, model, entries, skipped, **about):
    """Write ``--json`` of ``predict``; the exit code, 1 if images were skipped."""
    if args.json:
        found = dict(images=entries, skipped=skipped)
        write_json(args.json, dict(model=model.model, kind=model.kind, **about, **found))
    return 1 if skipped else 0
