"""The exact figures of a classifier on a RecordIO file, every image counted once."""

import contextlib
from typing import Dict, Iterator, NamedTuple

import numpy as np

from ..data import loader, processes
from ..errors import UserError
from ..tasks.classification import Classification as Task
from .classifier import Classifier


class Images(NamedTuple):
    """A batch of evaluation images, without padding."""

    images: np.ndarray  # float32 (n, 3, size, size)
    labels: np.ndarray  # int64 (n,)
    keys: np.ndarray  # of their records


def evaluate(
    model: Classifier, record: str, index: str = "", batch_size: int = 32, threads: int = 4
) -> Dict[str, float]:
    """The figures of the task on all images of a RecordIO file.

    Returns a dict: loss (mean cross entropy in nats), top1 and top5 in percent, images. ``threads``
    is the number of decoding threads. Raises UserError naming a record that is broken, or whose
    label is not one of the model's classes.
    """
    sums, count = np.zeros(len(Task.sums)), 0
    for batch in batches(model, record, index, batch_size, threads):
        logits = model.predict(batch.images, batch.keys)
        sums += Task.count_each(logits, batch.labels).sum(axis=1)
        count += len(batch.labels)
    return Task.summary(sums.tolist(), count)


def batches(
    model: Classifier,
    record: str,
    index: str = "",
    batch_size: int = 32,
    threads: int = 4,
    skip: int = 0,
) -> Iterator[Images]:
    """Yield each image of a RecordIO file once, as ``model.predict`` takes them, except for the
    first ``skip``.
    """
    config = model.preprocessing.config(
        classes=model.classes, rec_val=record, rec_val_idx=index or "", num_data_workers=threads
    )
    with processes.started(config) as data_processes, contextlib.closing(
        loader.eval_loader(
            config, batch_size, processes=data_processes, transform=model.preprocessing.transform()
        )
    ) as images:
        seen = skip
        for batch in images.batches(0, skip):
            seen += batch.valid
            yield Images(
                batch.images.asnumpy()[: batch.valid],
                batch.labels.asnumpy()[: batch.valid].astype(np.int64),
                batch.keys[: batch.valid],
            )
        if seen != images.images:
            raise UserError(f"{record}: {seen} images were read, but it has {images.images}")
