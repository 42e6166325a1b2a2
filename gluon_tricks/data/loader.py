"""Batches of decoded and augmented images: exact, resumable, the same with any number of threads
and workers.

What a batch holds is a pure function of (seed, step): the order of an epoch is a permutation that
follows from (seed, epoch), an image's augmentation follows from (seed, epoch, key), and a step's
place in the order from the step alone. Threads only decide when the rows of a batch are filled. A
worker that owns the positions [first, first + count) of every global batch reads just those, so
that all workers together see the batches that one worker would see. How a batch is made:
:mod:`gluon_tricks.data.batches`.
"""

import dataclasses

import numpy as np

from ..errors import UserError
from . import randomness
from .augment import EvalTransform, TrainTransform
from .batches import BadRecords, Batch, Plan, RecordFiller, SyntheticFiller, checked_label
from .records import RecordFile
from .synthetic import SyntheticImages

__all__ = ["Batch", "eval_loader", "train_loader"]

# made-up images in an evaluation; --synthetic is for measuring the training step
MOST_SYNTHETIC = 256


def train_loader(config, global_batch, first=0, count=None):
    """The training images of ``config`` for the worker with positions [first, first + count) of a
    global batch.

    Has ``steps_per_epoch``, ``batches(start_step, stop_step)``, ``bad_records``, ``close()``.
    Raises UserError where the file is missing, damaged or too small for one batch.
    """
    count = global_batch - first if count is None else count
    if config.data_backend == "native" and not config.synthetic:
        from .native import NativeTrainLoader

        return NativeTrainLoader(config, global_batch, first, count)
    return TrainLoader(config, global_batch, first, count)


def eval_loader(config, batch_size, rank=0, world_size=1):
    """The validation images of ``config`` that fall to this rank, each exactly once in a pass (an
    iteration).

    Has ``images`` (in the whole file), ``close()``. The images are float32, also with
    ``--device-augment``. The last batch is filled up to ``batch_size`` and its ``valid`` says how
    many count. With ``--val-last-batch wrap`` the batches are those of ImageRecordIter; see
    :func:`wrapped_pass`.
    """
    if config.data_backend == "native" and not config.synthetic:
        from .native import NativeEvalLoader

        return NativeEvalLoader(config, batch_size, rank, world_size)
    return EvalLoader(config, batch_size, rank, world_size)


def check_labels(config, rank=0, world_size=1):
    """Look at the labels of this rank's validation images, which costs a small read each.

    Raises UserError naming the first record whose label is none of the classes: better now than
    after an epoch of training.
    """
    if config.synthetic:
        return
    with open_records(config, "rec_val", 0) as records:
        start, stop = (len(records) * number // world_size for number in (rank, rank + 1))
        for position in range(start, stop):
            checked_label(
                records.read_label(position),
                config.classes,
                records.path,
                int(records.keys[position]),
            )


class TrainLoader:
    """See :func:`train_loader`."""

    def __init__(self, config, global_batch, first, count):
        self._config = config
        self._global_batch, self._first, self._count = global_batch, first, count
        self._records = open_records(config, "rec_train", config.synthetic)
        self.images = epoch_length(config, len(self._records))  # in an epoch
        self.steps_per_epoch = steps_in(config, self.images, global_batch)
        transform = TrainTransform.from_config(config)
        self._filler = make_filler(
            config, self._records, transform, BadRecords(config.max_bad_records)
        )
        self._order = None, None

    @property
    def bad_records(self):
        """How many different records could not be decoded so far."""
        return len(self._filler.bad.keys)

    def order(self, epoch):
        """The positions in the file, in the order in which this epoch reads them (int64)."""
        if self._order[0] != epoch:
            self._order = (
                epoch,
                randomness.permutation(len(self._records), self._config.seed, epoch),
            )
        return self._order[1]

    def batches(self, start_step, stop_step):
        """Batches of the steps [start_step, stop_step), counted through all epochs."""
        return self._filler.run(map(self._plan, range(start_step, stop_step)))

    def _plan(self, step):
        epoch, index = divmod(step, self.steps_per_epoch)
        start = index * self._global_batch + self._first
        return Plan(self._count, epoch, self.order(epoch), start, self._count)

    def close(self):
        self._filler.close()
        self._records.close()


class EvalLoader:
    """See :func:`eval_loader`."""

    def __init__(self, config, batch_size, rank, world_size):
        self._batch_size, self._rank, self._world_size = batch_size, rank, world_size
        self._wrap = config.val_last_batch == "wrap"
        if self._wrap and world_size > 1:
            raise UserError(
                "--val-last-batch wrap counts images as ImageRecordIter does on one worker; "
                f"with {world_size} workers use exact"
            )
        config = dataclasses.replace(config, device_augment=False)
        self._records = open_records(config, "rec_val", min(config.synthetic, MOST_SYNTHETIC))
        self.images = len(self._records)
        self._filler = make_filler(config, self._records, EvalTransform.from_config(config), None)
        self._passes = 0

    def __iter__(self):
        """One pass over this rank's images."""
        self._passes += 1
        return self.batches(self._passes - 1)

    def batches(self, number):
        """The pass of this number, from 0; the number matters with ``--val-last-batch wrap`` alone."""
        if self._wrap:
            start, stop = wrapped_pass(self.images, self._batch_size, number)
        else:
            start, stop = (
                self.images * rank // self._world_size for rank in (self._rank, self._rank + 1)
            )
        order = np.arange(self.images)
        return self._filler.run(
            Plan(self._batch_size, 0, order, place, min(self._batch_size, stop - place))
            for place in range(start, stop, self._batch_size)
        )

    def close(self):
        self._filler.close()
        self._records.close()


def wrapped_pass(images, batch_size, number):
    """``(start, stop)``, the positions (modulo ``images``) of a pass with ImageRecordIter's
    ``round_batch``.

    Its last batch is filled from the file's beginning, and the next pass goes on where that one
    ended. So some images are counted twice in a pass and others not at all.
    """
    start = 0
    for _ in range(number + 1):
        stop = start + -(-(images - start) // batch_size) * batch_size
        start, before = (stop - images) % images, start
    return before, stop


def open_records(config, field, synthetic):
    """The RecordFile that a field of ``config`` names, or synthetic images; UserError where there
    is nothing."""
    if config.synthetic:
        return SyntheticImages(config, synthetic)
    path = getattr(config, field)
    flag = "--" + field.replace("_", "-")
    if not path:
        raise UserError(f"no images: give {flag} FILE.rec, --data-dir FOLDER or --synthetic")
    records = RecordFile(path, getattr(config, field + "_idx") or None)
    if not len(records):
        records.close()
        raise UserError(f"{path}: holds no records ({flag})")
    return records


def epoch_length(config, records):
    """How many images an epoch has: ``--num-training-samples`` or all."""
    if config.num_training_samples > records:
        raise UserError(
            "--num-training-samples {} is more than the {} records of {}".format(
                config.num_training_samples, records, config.rec_train or "--synthetic"
            )
        )
    return config.num_training_samples or records


def steps_in(config, images, global_batch):
    """Steps in an epoch; the images left over are other ones each epoch."""
    if images < global_batch:
        raise UserError(
            f"an epoch has {images} images, fewer than one global batch of {global_batch}: use a smaller --batch-size"
        )
    return images // global_batch


def make_filler(config, records, transform, bad):
    """What fills the rows of batches; ``bad`` takes note of broken records, and None makes them
    errors.
    """
    if config.synthetic:
        return SyntheticFiller(config, records, bad)
    return RecordFiller(config, records, transform, bad)
