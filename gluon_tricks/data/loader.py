"""Batches of decoded and augmented images: exact, resumable, the same with any number of threads,
processes and workers.

The contents of a batch are a pure function of (seed, step): the order of an epoch is a permutation
derived from (seed, epoch), an image's augmentation from (seed, epoch, key), and a step's place in
the order from the step alone. Threads and processes only decide when the rows of a batch are
filled. A worker that owns the positions [first, first + count) of every global batch reads only
those, so all workers together see the batches that a single worker would see.
:mod:`gluon_tricks.data.batches` makes the batches.

:func:`train_loader` and :func:`eval_loader` read the flags; the loaders take values.
"""

import contextlib
from typing import Any, Iterator, Optional, Tuple, Union

import numpy as np

from ..config import Config
from ..errors import UserError
from .batches import Batch, BatchMaker, BatchPlan
from .index_gaps import refuse_gaps
from .masks import MaskFile
from .of_task import eval_transform, train_transform, truth_of
from .order import Reading
from .processes import DataProcesses
from .records import RecordFile
from .sources import BadRecords, RecordSource, SyntheticSource, checked_label, refuse_on_device
from .synthetic import SyntheticImages
from .transforms.transform import Transform

__all__ = ["Batch", "eval_loader", "eval_transform", "train_loader", "train_transform"]

# synthetic images in an evaluation: --synthetic is for measuring the training step
MOST_SYNTHETIC = 256
Source = Union[RecordSource, SyntheticSource]
Records = Union[RecordFile, SyntheticImages]


def train_loader(
    config: Config,
    global_batch: int,
    first: int = 0,
    count: Optional[int] = None,
    processes: Optional[DataProcesses] = None,
    gpu: Optional[int] = None,
) -> Any:
    """The training images of ``config`` for the worker with positions [first, first + count) of a
    global batch.

    ``processes`` decode them or, if that is None, threads of this process. ``gpu`` is the number of
    the GPU that they are copied to, if any.

    The loader has ``steps_per_epoch``, ``batches(start_step, stop_step)``, ``bad_records`` and
    ``close()``. Raises UserError if the file is missing, damaged or too small for one batch.
    """
    count = global_batch - first if count is None else count
    if config.data_backend == "native" and not config.synthetic:
        from .native import NativeTrainLoader

        return NativeTrainLoader(config, global_batch, first, count)
    on_device, bad = config.device_augment, BadRecords(config.max_bad_records)
    with contextlib.ExitStack() as on_error:
        records = open_records(config, "rec_train", config.synthetic, on_device)
        on_error.callback(records.close)
        images = epoch_length(len(records), config.num_training_samples, config.rec_train)
        source = source_of(config, records, train_transform(config), on_device)
        on_error.callback(source.close)
        maker = BatchMaker(source, config.num_data_workers, processes, bad, gpu)
        reading = Reading.of_config(config, global_batch)
        data = TrainLoader(
            records, maker, config.seed, images, global_batch, first, count, bad, reading
        )
        on_error.pop_all()
    return data


def eval_loader(
    config: Config,
    batch_size: int,
    rank: int = 0,
    world_size: int = 1,
    processes: Optional[DataProcesses] = None,
    gpu: Optional[int] = None,
    transform: Optional[Transform] = None,
) -> Any:
    """This rank's validation images, each exactly once in a pass (an iteration). They are made as
    in :func:`train_loader`, by ``transform`` if it is given.

    The loader has ``images`` (their number in the whole file) and ``close()``. The images are
    float32 even with ``--device-augment``. The last batch is filled up to ``batch_size``, and its
    ``valid`` is the number of real rows. With ``--val-last-batch wrap`` the batches are those of
    ImageRecordIter; see :func:`wrapped_pass`.
    """
    if config.data_backend == "native" and not config.synthetic:
        from .native import NativeEvalLoader

        return NativeEvalLoader(config, batch_size, rank, world_size)
    refuse_wrap(config, world_size)
    wrap = config.val_last_batch == "wrap"
    with contextlib.ExitStack() as on_error:
        records = open_records(config, "rec_val", min(config.synthetic, MOST_SYNTHETIC))
        on_error.callback(records.close)
        source = source_of(config, records, transform or eval_transform(config))
        on_error.callback(source.close)
        maker = BatchMaker(source, config.num_data_workers, processes, gpu=gpu)
        on_error.pop_all()
    return EvalLoader(records, maker, batch_size, rank, world_size, wrap)


def check_flags(config: Config, world_size: int) -> None:
    """Raise the UserError that the loaders of ``world_size`` workers would raise for these flags
    with any files.
    """
    if config.rec_val or config.synthetic:
        refuse_wrap(config, world_size)
    if config.synthetic:
        return
    if config.data_backend == "native":
        from .native import refuse_what_it_cannot

        refuse_what_it_cannot(config)
    elif config.device_augment:
        refuse_on_device(train_transform(config))


def refuse_wrap(config: Config, world_size: int) -> None:
    """UserError for ``--val-last-batch wrap`` with several workers."""
    if config.val_last_batch == "wrap" and world_size > 1:
        raise UserError(
            "--val-last-batch wrap counts images as ImageRecordIter does on one worker; "
            f"with {world_size} workers use exact"
        )


def check_labels(config: Config, rank: int = 0, world_size: int = 1) -> None:
    """Check the labels of this rank's validation images, at the cost of a small read each; of masks
    only whether each image has one.

    Raises UserError naming the first record whose label is not one of the classes: better now than
    after an epoch of training.
    """
    if config.synthetic:
        return
    with open_records(config, "rec_val", 0) as records:
        truth = truth_of(config, records)
        if isinstance(truth, MaskFile):
            truth.close()
            return
        for position in range(*shard(len(records), rank, world_size)):
            label, key = records.read_label(position), int(records.keys[position])
            if truth is None:
                checked_label(label, config.classes, records.path, key)
            else:
                truth.check(key, label)


class TrainLoader:
    """See :func:`train_loader`; ``images`` is the number in an epoch."""

    def __init__(
        self,
        records: Records,
        maker: BatchMaker,
        seed: int,
        images: int,
        global_batch: int,
        first: int = 0,
        count: Optional[int] = None,
        bad: Optional[BadRecords] = None,
        reading: Reading = Reading(),
    ) -> None:
        self.images = images
        self.steps_per_epoch = steps_in(images, global_batch)
        self._records, self._maker, self._seed, self._bad = records, maker, seed, bad
        self._global_batch, self._first = global_batch, first
        self._count = global_batch - first if count is None else count
        self._reading = reading
        self._order: Tuple[Any, Any] = (None, None)

    @property
    def bad_records(self) -> int:
        """How many different records could not be decoded so far."""
        return len(self._bad.keys) if self._bad else 0

    def order(self, epoch: int) -> np.ndarray:
        """The places (:mod:`.order`) that this epoch reads, in order (int64)."""
        if self._order[0] != epoch:
            records, batch = len(self._records), self._global_batch
            self._order = epoch, self._reading.order(records, self._seed, epoch, batch)
        return self._order[1]

    def batches(self, start_step: int, stop_step: int) -> Iterator[Batch]:
        """Batches of the steps [start_step, stop_step), counted across epochs."""
        return self._maker.make(map(self._plan, range(start_step, stop_step)))

    def _plan(self, step):
        epoch, index = divmod(step, self.steps_per_epoch)
        rows = self._reading.reads
        start, count = (index * self._global_batch + self._first) * rows, self._count * rows
        return BatchPlan(count, epoch, self.order(epoch), start, count)

    def close(self) -> None:
        self._maker.close()


class EvalLoader:
    """See :func:`eval_loader`."""

    def __init__(
        self,
        records: Records,
        maker: BatchMaker,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        wrap: bool = False,
    ) -> None:
        self.images = len(records)
        self._maker = maker
        self._batch_size, self._rank, self._world_size = batch_size, rank, world_size
        self._wrap = wrap
        self._passes = 0

    def __iter__(self) -> Iterator[Batch]:
        """One pass over this rank's images."""
        self._passes += 1
        return self.batches(self._passes - 1)

    def batches(self, number: int, skip: int = 0) -> Iterator[Batch]:
        """Pass ``number``, from 0; the number matters only with ``--val-last-batch wrap``.

        The first ``skip`` images are left out.
        """
        if self._wrap:
            start, stop = wrapped_pass(self.images, self._batch_size, number)
        else:
            start, stop = shard(self.images, self._rank, self._world_size)
        order, size = np.arange(self.images), self._batch_size
        return self._maker.make(
            BatchPlan(size, 0, order, first, min(size, stop - first))
            for first in range(start + skip, stop, size)
        )

    def close(self) -> None:
        self._maker.close()


def shard(length: int, rank: int, world_size: int) -> Tuple[int, int]:
    """``(start, stop)`` of this rank's positions."""
    return length * rank // world_size, length * (rank + 1) // world_size


def wrapped_pass(images: int, batch_size: int, number: int) -> Tuple[int, int]:
    """``(start, stop)``, the positions (modulo ``images``) of a pass with ImageRecordIter's
    ``round_batch``.

    Its last batch is filled up from the beginning of the file, and the next pass starts where that
    batch ended. So a pass counts some images twice and others not at all.
    """
    start = 0
    for _ in range(number + 1):
        stop = start + -(-(images - start) // batch_size) * batch_size
        start, before = (stop - images) % images, start
    return before, stop


def open_records(config: Config, field: str, synthetic: int, on_device: bool = False) -> Any:
    """The RecordFile that a field of ``config`` names, or ``synthetic`` synthetic images; UserError
    if neither is given.
    """
    if config.synthetic:
        size = (field == "rec_val" and config.test_size) or config.input_size
        mean, std = config.rgb_mean, config.rgb_std
        return SyntheticImages(synthetic, size, config.classes, config.seed, mean, std, on_device)
    path = getattr(config, field)
    flag = "--" + field.replace("_", "-")
    if not path:
        raise UserError(f"no images: give {flag} FILE.rec, --data-dir FOLDER or --synthetic")
    records = RecordFile(path, getattr(config, field + "_idx") or None)
    try:
        refuse_gaps(records)
    except UserError:
        records.close()
        raise
    return records


def epoch_length(records: int, num_training_samples: int, path: str) -> int:
    """The number of images in an epoch: ``--num-training-samples``, or all if that is 0."""
    if num_training_samples > records:
        raise UserError(
            f"--num-training-samples {num_training_samples} is more than the {records} records of "
            f"{path or '--synthetic'}"
        )
    return num_training_samples or records


def steps_in(images: int, global_batch: int) -> int:
    """Steps in an epoch; different images are left over in each epoch."""
    if images < global_batch:
        raise UserError(
            f"an epoch has {images} images, fewer than one global batch of {global_batch}: "
            "use a smaller --batch-size"
        )
    return images // global_batch


def source_of(
    config: Config, records: Any, transform: Transform, on_device: bool = False
) -> Source:
    """The source of a loader's rows, see :mod:`.sources`."""
    if config.synthetic:
        return SyntheticSource(records)
    truth = truth_of(config, records)
    return RecordSource(records, transform, config.seed, config.classes, on_device, truth)
