"""The output that ``evaluate`` and ``predict`` have in common for all tasks."""

import sys

from ..deploy import arguments
from ..files import write_json
from ..text import counted, printable


def headline(args, model, figures, images, record):
    """The line with the ``figures`` (text) on a number of images of a RecordIO file."""
    where = f"on {counted(images, 'image')} of {printable(record)}"
    return f"{printable(args.source)} ({model.kind}{at_step(model)}): {figures} {where}"


def at_step(model):
    """``, step 90`` for a checkpoint, which may not be the run's last; "" for any other model."""
    step = model.trained and model.trained.step
    return "" if step is None else f", step {step}"


def speed(args, images, seconds, digits=2):
    """The speed, and the device."""
    return f"{images / seconds:.{digits}f} images/s, {arguments.device_in_words(args)}"


def evaluated(args, model, **about):
    """The contents of ``evaluate --json`` besides figures."""
    return dict(model=model.model, kind=model.kind, source=args.source, **about)


def sound(items, skipped):
    """Yield the items without an error; report the others on standard error and append them to the
    list ``skipped``.
    """
    for item in items:
        if item.error:
            skipped.append(dict(name=item.name, reason=item.error))
            print(f"gluon-tricks predict: {printable(item.error)}", file=sys.stderr)
        else:
            yield item


def finish(args, model, entries, skipped, **about):
    """Write the ``--json`` of ``predict``; return the exit code, 1 if images were skipped."""
    if args.json:
        found = dict(images=entries, skipped=skipped)
        write_json(args.json, dict(model=model.model, kind=model.kind, **about, **found))
    return 1 if skipped else 0
