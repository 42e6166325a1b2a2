"""The training loop. Its clock is the step, which decides learning rate, mixing, data and epoch."""

import math

import mxnet as mx
import numpy as np

from ..models.progress import progress_of
from ..tricks.compiled import to_device
from .feeding import placed, steps_ahead
from .pending import Pending
from .saving import save
from .step import train_step
from .stopping import Diverged
from .sums import Sums
from .validation import validate

MOST_NAMED = 8  # records in a message, of those without a finite loss


def train(run):
    """Train ``run`` (:class:`gluon_tricks.training.run.Run`) from its step until it stops."""
    timetable, progress, workers = run.timetable, run.progress, run.workers
    changing = progress_of(run.learner.net)
    pending = Pending(lambda result, step: receive(run, result, step))
    run.logger.start(progress.step, timetable.steps_per_epoch, timetable.total_steps)
    measured = run.logger.waiting.measured(batches(run))
    for batch in placed(measured, run.layout, workers.devices, steps_ahead(workers.devices)):
        step, epoch = progress.step, timetable.epoch(progress.step)
        learning_rate = timetable.learning_rate(step)
        run.learner.trainer.set_learning_rate(learning_rate)
        for layer in changing:
            layer.set(step, timetable.total_steps)
        with workers.waiting():
            result = train_step(run.learner, run.layout, workers.devices, batch, step)
            pending.push(share(run, result), step)
        progress.step = done = timetable.after(step)
        run.logger.progress(done, epoch, learning_rate)
        if not timetable.ends_update(step):
            continue  # everything below follows an update

        if timetable.should_log(done):
            with workers.waiting():
                pending.drain()
            figures = figures_of_all(run, progress.interval)
            run.logger.train(done, epoch, learning_rate, figures, run.layout.global_batch)
            progress.interval = Sums(run.task.sums)
        if timetable.ends_epoch(done):
            run.logger.epoch(done, epoch, figures_of_all(run, progress.epoch))
            progress.epoch = Sums(run.task.sums)
        progress.awaits_validation = timetable.should_validate(done)
        is_asked_to_stop = run.stop.agreed is not None
        if progress.awaits_validation or timetable.should_save(done) or is_asked_to_stop:
            with workers.waiting():
                pending.drain()
            save(run)  # before validation, so that an error there does not cost the epoch
        if progress.awaits_validation:
            validate(run)
        if run.stop.agreed is not None:
            workers.close()  # a launcher may end the others when the first has ended
            run.stop.raise_after(done)


def batches(run):
    """The loader's batch of each step until the session stops."""
    for start, stop in run.timetable.stretches(run.progress.step):
        yield from run.data.train.batches(start, stop)


def share(run, result):
    """The result of a step; with several workers, also the sums that they share.

    These are everyone's loss and everyone's reasons to stop. So all workers stop after the same
    step, and none waits for one that has left. The sums arrive with the result, some steps later.
    """
    if run.layout.workers == 1:
        run.stop.agreed = run.stop.asked
        return result
    device = run.workers.devices[0]
    losses = mx.nd.add_n(*(vector[:1].as_in_context(device) for vector in result.sums))
    votes = np.array(run.stop.votes(), "float32")
    reasons = to_device(votes, device)
    shared = run.workers.sum_later(mx.nd.concat(losses, reasons, dim=0))
    return result._replace(shared=shared)


def receive(run, result, step):
    """Wait for the result of a step and count it. Raises Diverged if its loss is not finite, or if
    too many gradients in a row were not.
    """
    run.learner.update.receive(result.counted, step)
    vectors = [vector.asnumpy() for vector in result.sums]
    shared = () if result.shared is None else result.shared.asnumpy()
    for loss in [vector[0] for vector in vectors] + list(shared[:1]):
        if not math.isfinite(loss):
            raise Diverged(f"the loss is {loss}{whose(result)}", step)
    for vector in vectors:
        run.progress.interval.add(vector, run.layout.batch_size)
        run.progress.epoch.add(vector, run.layout.batch_size)
    run.stop.count(shared[1:])


def whose(result):
    """The records of this worker whose loss is not finite, in words; "" if there are none."""
    parts, found = np.array_split(result.keys, len(result.losses)), []
    for keys, losses in zip(parts, result.losses):
        bad = ~np.isfinite(losses.asnumpy())
        if len(bad) != len(keys):  # mixup of type 1: two images have one loss
            bad = np.full(len(keys), bad.any())
        found += keys[bad].tolist()
    if not found:
        return ""
    named = ", ".join(map(str, found[:MOST_NAMED]))
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return f" (of record{'s' * (len(found) > 1)} {named}{more})"


def figures_of_all(run, sums):
    """The task's figures from the sums of all workers."""
    total = sums.total(run.workers)
    return run.task.summary(total.values.tolist(), total.images)
