"""MXNet's own ImageRecordIter as a source of batches (``--data-backend native``), with its traps
handled.

Handled: rows that fill the last validation batch do not count; every validation pass has its own
iterator (a used one starts after the images to which the last batch wrapped); ``seed_aug`` is never
set (it repeats a few crops for ever); its memory is not page-locked (every process would take
memory of GPU 0); batches are copied out of it; errors name the file.

Not handled, and so refused or documented (docs/data.md): it knows neither records' keys nor a
position in the epoch, shuffles only within chunks, gives other images with another number of
threads or workers, cannot scale hue, flips with probability 0.5 or never, and ends at the first
broken record without naming it. If that is a validation image, the whole process ends (a division
by zero inside MXNet).
"""

import contextlib

import numpy as np

from ..errors import UserError
from ..files import check_utf8
from .batches import Batch
from .index_gaps import refuse_gaps
from .labels import none_of
from .loader import epoch_length, refuse_wrap, steps_in
from .records import RecordFile
from .transforms.paper import train_transform
from .transforms.resize import shorter_edge

# the operations that ImageRecordIter has
KNOWN = ("crop", "flip", "saturation", "brightness", "contrast", "PCA noise")


class NativeTrainLoader:
    """See :func:`gluon_tricks.data.loader.train_loader`; ``keys`` of its batches are -1."""

    bad_records = 0  # the first one ends it

    def __init__(self, config, global_batch, first, count):
        refuse_what_it_cannot(config)
        if global_batch % count or first % count:
            raise UserError(
                "--data-backend native needs equal shares of a global batch, "
                f"not {count} of {global_batch} images"
            )
        self._config, self._count = config, count
        self._shard, self._shards = first // count, global_batch // count
        images = count_records(config.rec_train, config.rec_train_idx, "--rec-train")
        self.images = epoch_length(images, config.num_training_samples, config.rec_train)
        self.steps_per_epoch = steps_in(self.images, global_batch)
        self._iterator, self._next_step = None, None

    def batches(self, start_step, stop_step):
        """Batches of these steps; ``start_step`` has to begin an epoch, or be the step at
        which the last iteration stopped.
        """
        if start_step != self._next_step:
            self._start(start_step)
        elif start_step % self.steps_per_epoch == 0:
            self._iterator.reset()
        for step in range(start_step, stop_step):
            if step > start_step and step % self.steps_per_epoch == 0:
                self._iterator.reset()
            self._next_step = None
            with named_errors(self._config.rec_train):
                batch = as_batch(
                    self._next(), self._count, self._config.classes, self._config.rec_train
                )
            self._next_step = step + 1
            yield batch
            del batch

    def _start(self, step):
        epoch, index = divmod(step, self.steps_per_epoch)
        if index:
            raise UserError(
                f"--data-backend native cannot start at step {index} of epoch {epoch}: "
                "ImageRecordIter has no position to go to. Resume from a checkpoint at an epoch's "
                "end, or use --data-backend threads."
            )
        seed = (self._config.seed * 1000003 + epoch) % 2**31
        self._iterator = train_iterator(self._config, self._count, seed, self._shard, self._shards)

    def _next(self):
        try:
            return next(self._iterator)
        except StopIteration:  # a worker's shard may be shorter than its share of the steps
            self._iterator.reset()
            return next(self._iterator)

    def close(self):
        self._iterator = None


class NativeEvalLoader:
    """See :func:`gluon_tricks.data.loader.eval_loader`; ``keys`` of its batches are -1."""

    def __init__(self, config, batch_size, rank, world_size):
        refuse_what_it_cannot(config)
        self._config, self._batch_size = config, batch_size
        self._rank, self._world_size = rank, world_size
        refuse_wrap(config, world_size)
        self._wrap = config.val_last_batch == "wrap"
        self.images = count_records(config.rec_val, config.rec_val_idx, "--rec-val")
        # if it has to wrap twice, ImageRecordIter fails
        if self.images // world_size < batch_size:
            raise UserError(
                f"{config.rec_val}: {self.images} images are too few for batches of {batch_size} "
                f"on {world_size} workers, --data-backend native"
            )
        self._passes = 0
        self._iterator, self._next_pass = None, None

    def __iter__(self):
        self._passes += 1
        return self.batches(self._passes - 1)

    def batches(self, number):
        """Pass ``number``; with wrap it depends on the passes before it, which are read first if
        they have not been.
        """
        with named_errors(self._config.rec_val):
            if self._wrap and number == self._next_pass:
                self._iterator.reset()
            else:
                self._iterator = eval_iterator(
                    self._config, self._batch_size, self._rank, self._world_size
                )
                for _ in range(number if self._wrap else 0):
                    for _ in self._iterator:
                        pass
                    self._iterator.reset()
            self._next_pass = None
            for batch in self._iterator:
                valid = self._batch_size - (0 if self._wrap else batch.pad)
                yield as_batch(batch, valid, self._config.classes, self._config.rec_val)
            self._next_pass = number + 1

    def close(self):
        self._iterator = None


def refuse_what_it_cannot(config):
    """UserError for flags that ImageRecordIter cannot follow."""
    problem = None
    if config.device_augment:
        problem = "--device-augment"
    elif config.repeated_augmentation > 1:
        problem = "--repeated-augmentation"
    elif config.mixup and config.mixup_type == 1:
        problem = "--mixup-type 1, which reads more images than an epoch has"
    elif config.color_form == "paper" and config.color_jitter > 0:
        problem = "--color-form paper (it cannot scale hue; use --color-form gluoncv)"
    elif config.flip not in (0, 0.5):
        problem = f"--flip {config.flip:g} (only 0 and 0.5)"
    else:
        unknown = [one.name for one in train_transform(config).operations if one.name not in KNOWN]
        problem = unknown[0] if unknown else None
    if problem:
        raise UserError(f"--data-backend native, MXNet's ImageRecordIter, cannot do {problem}")


def count_records(path, index_path, flag):
    """How many records the file of ``flag`` has; UserError if its index leaves some of them out."""
    if not path:
        raise UserError(f"no images: give {flag} FILE.rec or --data-dir FOLDER")
    check_utf8(path)
    with RecordFile(path, index_path or None) as records:
        refuse_gaps(records)
        return len(records)


def common_settings(config, size, batch_size, shard, shards):
    """The settings of ImageRecordIter in training and evaluation: it reads part ``shard`` of
    ``shards`` of the file, as normalised float32 (batch_size, 3, size, size).
    """
    mean, std = config.rgb_mean, config.rgb_std
    return dict(
        batch_size=batch_size,
        data_shape=(3, size, size),
        preprocess_threads=config.num_data_workers,
        part_index=shard,
        num_parts=shards,
        verbose=False,
        device_id=-1,  # ordinary memory
        mean_r=mean[0],
        mean_g=mean[1],
        mean_b=mean[2],
        std_r=std[0],
        std_g=std[1],
        std_b=std[2],
    )


def train_iterator(config, batch_size, seed=0, shard=0, shards=1):
    """ImageRecordIter with the augmentation of ``config``; ``seed`` decides the order alone."""
    import mxnet as mx

    jitter, area, aspect = config.color_jitter, config.crop_area, config.crop_aspect
    with named_errors(config.rec_train):
        return mx.io.ImageRecordIter(
            path_imgrec=config.rec_train,
            path_imgidx=config.rec_train_idx,
            shuffle=True,
            seed=seed,
            random_resized_crop=True,
            min_random_area=area[0],
            max_random_area=area[1],
            min_aspect_ratio=aspect[0],
            max_aspect_ratio=aspect[1],
            rand_mirror=config.flip > 0,
            brightness=jitter,
            contrast=jitter,
            saturation=jitter,
            pca_noise=config.pca_noise,
            **common_settings(config, config.input_size, batch_size, shard, shards),
        )


def eval_iterator(config, batch_size, shard=0, shards=1):
    """ImageRecordIter that resizes the shorter edge, crops the centre and normalises."""
    import mxnet as mx

    size = config.test_size or config.input_size
    return mx.io.ImageRecordIter(
        path_imgrec=config.rec_val,
        path_imgidx=config.rec_val_idx,
        shuffle=False,
        resize=shorter_edge(size, config.crop_ratio),
        **common_settings(config, size, batch_size, shard, shards),
    )


def as_batch(batch, valid, classes, path):
    """A :class:`gluon_tricks.data.batches.Batch` in its own memory: ImageRecordIter reuses that
    of its batches.
    """
    import mxnet as mx

    labels = batch.label[0].asnumpy()
    real = labels[:valid]
    wrong = ~((real >= 0) & (real < classes) & (real == np.floor(real)))
    if wrong.any():
        raise UserError(f"{path}: {none_of(real[wrong][0], classes)}")
    images = batch.data[0].copy()
    return Batch(
        images, mx.nd.array(labels, dtype="float32"), np.full(len(labels), -1, np.int64), valid
    )


@contextlib.contextmanager
def named_errors(path):
    """Turns MXNet's errors into a UserError that names the file."""
    import mxnet as mx

    try:
        yield
    except mx.MXNetError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise UserError(
            "{0}: ImageRecordIter failed and does not say at which record: {1}. "
            "'gluon-tricks records verify {0}' finds it".format(
                path, lines[-1] if lines else "no message"
            )
        ) from error
