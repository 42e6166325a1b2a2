"""``gluon-tricks evaluate``: exact top-1, top-5 and loss of a model in any form, every image
counted once.

An image counts at top-k when fewer than k classes come before its own: those with a greater logit,
and of equal logits those with a smaller index. So top-1 is what ``argmax`` gives, and with fewer
than five classes top-5 is 100 %.
"""

import os
import time

import numpy as np

from ..config import user_path
from ..errors import UserError
from ..files import write_json
from ..text import printable
from ..threads import CHOSEN_HERE
from . import classifier


def add_arguments(parser):
    """What to load, on what, and where the figures go."""
    classifier.add_arguments(parser)
    parser.add_argument(
        "--rec-val",
        type=user_path,
        metavar="FILE",
        help="RecordIO file of the images; default: that of the run",
    )
    parser.add_argument(
        "--rec-val-idx",
        type=user_path,
        metavar="FILE",
        default="",
        help="its index [the same name with .idx]",
    )
    parser.add_argument(
        "--batch-size", type=int, default=32, metavar="N", help="images at once [32]"
    )
    parser.add_argument(
        "--num-data-workers", "-j", type=int, default=4, metavar="N", help="threads that decode [4]"
    )
    parser.add_argument(
        "--json",
        type=user_path,
        metavar="FILE",
        help="also write the figures to this file; - for standard output",
    )


def main(args):
    """Print one line of figures."""
    if args.batch_size < 1:
        raise UserError(f"--batch-size {args.batch_size}: at least 1 is needed")
    model = classifier.from_arguments(args)
    record, index = args.rec_val, args.rec_val_idx
    if not record and model.run:
        record, index = model.run.validation_file(index)
    if not record:
        raise UserError(f"--rec-val FILE.rec is needed: {args.source} names no validation file")
    started = time.time()
    figures = evaluate(model, record, index, args.batch_size, args.num_data_workers)
    seconds = time.time() - started
    where = f"OMP_NUM_THREADS={threads()}" if args.gpu is None else f"GPU {args.gpu}"
    print(
        "{} ({}): top-1 {top1:.2f} %, top-5 {top5:.2f} %, loss {loss:.4f} on {images} images of {}; "
        "{:.1f} images/s, {}".format(
            printable(args.source),
            model.kind,
            printable(record),
            figures["images"] / seconds,
            where,
            **figures,
        )
    )
    if args.json:
        about = dict(
            model=model.model, kind=model.kind, source=args.source, rec_val=record, seconds=seconds
        )
        write_json(args.json, dict(figures, **about))
    return 0


def threads():
    """How many threads MXNet computes on, and who said so."""
    number = os.environ.get("OMP_NUM_THREADS", "1")
    return number + (" (all cores, as it was not set)" if os.environ.get(CHOSEN_HERE) else "")


def evaluate(model, record, index="", batch_size=32, threads=4):
    """Figures of a :class:`gluon_tricks.deploy.classifier.Classifier` on all images of a RecordIO
    file.

    Returns a dict: top1 and top5 in percent, loss (mean cross entropy in nats), images. Raises
    UserError naming the record whose label is none of the model's classes, or that is broken.
    """
    totals, count = np.zeros(3), 0
    for batch in batches(model, record, index, batch_size, threads):
        logits = model.predict(batch.images)
        totals += statistics(check_logits(logits, model, batch.keys), batch.labels).sum(axis=1)
        count += len(batch.labels)
    return summary(totals, count)


def summary(totals, images):
    """The figures of :func:`evaluate` from the sums of :func:`statistics` over ``images`` images."""
    return dict(
        loss=totals[0] / images,
        top1=100 * totals[1] / images,
        top5=100 * totals[2] / images,
        images=images,
    )


class Images:
    """Evaluation images as numpy arrays, none of them padding."""

    def __init__(self, batch):
        self.images = batch.images.asnumpy()[: batch.valid]
        self.labels = batch.labels.asnumpy()[: batch.valid].astype(np.int64)
        self.keys = batch.keys[: batch.valid]


def batches(model, record, index="", batch_size=32, threads=4):
    """Yield all images of a RecordIO file once, as :class:`Images` that ``model.predict`` takes."""
    from ..data import loader

    made = loader.eval_loader(
        model.data_config(rec_val=record, rec_val_idx=index or "", num_data_workers=threads),
        batch_size,
    )
    seen = 0
    try:
        for batch in made:
            seen += batch.valid
            yield Images(batch)
        if seen != made.images:
            raise UserError(f"{record}: {seen} images were read, but it has {made.images}")
    finally:
        made.close()


def check_logits(logits, model, keys):
    """The logits, if their shape is right and they are finite; else UserError."""
    if logits.shape != (len(keys), model.classes):
        raise UserError(
            f"{model.path}: gives outputs of shape {logits.shape} for {len(keys)} images and {model.classes} classes"
        )
    broken = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if broken.size:
        raise UserError(f"{model.path}: its outputs for record {keys[broken[0]]} are not finite")
    return logits


def statistics(logits, labels):
    """float64 (3, n): loss, right at top-1, right at top-5 of each image; logits (n, K), int labels
    (n,).
    """
    logits = np.asarray(logits, np.float64)
    rows = np.arange(len(labels))
    own = logits[rows, labels][:, None]
    before = (logits > own) | ((logits == own) & (np.arange(logits.shape[1]) < labels[:, None]))
    rank = before.sum(axis=1)
    top = logits.max(axis=1, keepdims=True)
    losses = np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0] - own[:, 0]
    return np.stack([losses, rank < 1, rank < 5])
