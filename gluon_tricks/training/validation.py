"""Validation: every image counts once, with the mean of all parts' running statistics."""

import math
import time

from ..errors import UserError
from ..tasks.figure import is_better
from ..tasks.registry import measure_of
from . import checkpoint, network
from .pending import Pending
from .stopping import Diverged
from .sums import Sums


def validate(run):
    """Evaluate the epoch that has just ended, and add the figures to its checkpoint.

    Training then continues, to the bit, as if there had been no validation.
    """
    started, config, progress, task = time.time(), run.config, run.progress, run.task
    epoch = run.timetable.epoch(progress.step) - 1
    with run.averaged_statistics():
        figures = measured(run, run.data.validation.batches(epoch // config.val_frequency))
    network.restore_layout(run.learner.net)
    run.logger.validation(progress.step, epoch, figures, time.time() - started)
    is_best = is_better(task, figures, progress.best)
    if is_best:
        progress.best = dict(figures, step=progress.step, epoch=epoch)
    progress.validated, progress.awaits_validation = figures, False
    if run.workers.rank == 0:
        path = checkpoint.path_of(config.save_dir, progress.step)
        checkpoint.amend(
            path,
            run.logger.contents(),
            best=progress.best,
            validated=figures,
            awaits_validation=False,
            seconds=progress.seconds,
        )
        if is_best:
            checkpoint.mark_best(config.save_dir, path)


def is_finite(figures):
    """Whether the loss of a validation is finite; True without a validation or without a loss."""
    return math.isfinite((figures or {}).get("loss", 0))


def check_last(run):
    """Raise Diverged if the final network's validation loss is not finite.

    Only the last validation needs this: after an earlier one, the loss of the next step shows it.
    And a float16 network may overflow while its running statistics are young, and yet train well.
    """
    figures, step = run.progress.validated, run.progress.step
    if not is_finite(figures):
        raise Diverged(f"the loss of the last validation is {figures['loss']}", step - 1)


def measured(run, batches):
    """The task's figures of the run's network over all workers' ``batches``."""
    config, net, task = run.config, run.learner.net, run.task
    expected = run.data.validation.images if config.val_last_batch == "exact" else None
    measure = measure_of(task)
    if measure is None:
        sums = evaluate(net, batches, run.workers, task, config.dtype, expected)
        return task.summary(sums.values.tolist(), sums.images)
    figures = measure(net, batches, run.workers)
    check_counted(figures["images"], expected)
    return figures


def evaluate(net, batches, workers, task, dtype="float32", expected=None):
    """The :class:`.sums.Sums` of ``net`` over all workers' ``batches``, every image counted once.

    ``batches`` yields :class:`gluon_tricks.data.loader.Batch`. Raises :class:`UserError` if the
    images counted by all workers are not ``expected``, the images in the file.
    """
    sums, devices = Sums(task.sums), workers.devices

    def receive(arrays, images):
        for array, count in zip(arrays, images):
            sums.add(array.asnumpy(), count)

    pending = Pending(receive)
    for batch in batches:
        arrays, images = [], []
        share = -(-batch.images.shape[0] // len(devices))
        for number, device in enumerate(devices):
            start = number * share
            valid = min(batch.valid, start + share) - start
            if valid <= 0:
                break
            inputs = batch.images[start : start + share].as_in_context(device)
            labels = batch.labels[start : start + share].as_in_context(device)
            outputs = net(inputs.astype(dtype, copy=False))
            losses = task.validation_losses(outputs, labels)
            arrays.append(task.count(outputs, labels, losses, valid))
            images.append(valid)
        pending.push(arrays, images)
    pending.drain()
    total = sums.total(workers)
    check_counted(total.images, expected)
    return total


def check_counted(images, expected):
    """UserError if the number of images is not the expected one."""
    if expected is not None and images != expected:
        raise UserError(f"validation counted {images} images, but the file has {expected}")
