"""``gluon-tricks evaluate``: the exact figures of a model on a RecordIO file."""

import time

from ..config import user_path
from ..deploy import arguments, evaluation
from ..errors import UserError
from ..files import write_json
from ..flags import at_least, check_range
from ..tasks.classification import Classification as Task
from ..text import printable
from ..threads import in_words


def add_arguments(parser):
    """What to open, on what, and where the figures go."""
    arguments.add_arguments(parser)
    add = parser.add_argument
    add(
        "--rec-val",
        type=user_path,
        metavar="FILE",
        help="RecordIO file of the images; default: that of the run",
    )
    add(
        "--rec-val-idx",
        type=user_path,
        metavar="FILE",
        default="",
        help="its index [the same name with .idx]",
    )
    add("--batch-size", type=int, default=32, metavar="N", help="images at once [32]")
    add(
        "--num-data-workers", "-j", type=int, default=4, metavar="N", help="threads that decode [4]"
    )
    add(
        "--json",
        type=user_path,
        metavar="FILE",
        help="also write the figures to this file; - for standard output",
    )


def main(args):
    """Print one line of figures."""
    check_range("batch_size", args.batch_size, at_least(1))
    model = arguments.open_from(args)
    record, index = args.rec_val, args.rec_val_idx
    if not record and model.trained and model.trained.run:
        record, index = model.trained.run.validation_file(index)
    if not record:
        raise UserError(f"--rec-val FILE.rec is needed: {args.source} names no validation file")
    started = time.time()
    figures = evaluation.evaluate(model, record, index, args.batch_size, args.num_data_workers)
    seconds = time.time() - started
    images, device = figures["images"], in_words() if args.gpu is None else f"GPU {args.gpu}"
    print(
        f"{printable(args.source)} ({model.kind}): {text(figures)} on {images} images of "
        f"{printable(record)}; {images / seconds:.1f} images/s, {device}"
    )
    if args.json:
        about = dict(model=model.model, kind=model.kind, source=args.source, rec_val=record)
        write_json(args.json, dict(figures, **about, seconds=seconds))
    return 0


def text(figures):
    """The figures of the task; the loss, of which less is better, comes last."""
    ordered = sorted(Task.figures, key=lambda figure: not figure.higher_is_better)
    return ", ".join(figure.text(figures[figure.name]) for figure in ordered)
