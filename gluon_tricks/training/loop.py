"""The training loop. The step count is its clock: learning rate, lambda, data and epoch all follow
from it.
"""

from mxnet import autograd

from ..tricks.precision import all_finite
from .metrics import Pending, Tally, statistics


def train(run):
    """Train ``run`` (:class:`gluon_tricks.training.run.Run`) from ``run.step`` to
    ``run.stop_step``.
    """
    layout, journal = run.layout, run.journal
    pending = Pending(run.receive)
    journal.start(run.step, run.steps_per_epoch, run.total_steps)
    for batch in run.train_data.batches(run.step, run.stop_step):
        step, epoch = run.step, run.step // run.steps_per_epoch
        learning_rate = run.schedule(step)
        run.trainer.set_learning_rate(learning_rate)
        run.seed_devices(step)
        with run.cluster.waiting():
            pending.push(run.tell_all(train_step(run, batch, step), step), step)
        run.step = done = step + 1
        journal.progress(done, epoch, learning_rate)

        epoch_ends = done % run.steps_per_epoch == 0
        if run.log_is_due(done):
            with run.cluster.waiting():
                pending.drain()
            journal.train(
                done,
                epoch,
                learning_rate,
                run.interval.total(run.cluster).summary(),
                layout.global_batch,
            )
            run.interval = Tally()
        if epoch_ends:
            journal.epoch(done, epoch, run.epoch.total(run.cluster).summary())
            run.epoch = Tally()
        run.awaits_validation = run.validate_is_due(done)
        if run.awaits_validation or run.save_is_due(done):
            with run.cluster.waiting():
                pending.drain()
            run.save()  # before validation, so that an error there does not cost the epoch
        if run.awaits_validation:
            run.validate()
        run.stop_if_asked()


def train_step(run, batch, step):
    """Forward, backward and update with this worker's images of a step.

    Returns one NDArray of :func:`statistics` a part, still being computed.
    """
    layout, objective, scale = run.layout, run.objective, run.loss_scale.scale
    outcomes = []
    for micro in range(layout.accumulate):
        run.running.take_up(micro)
        losses = []
        for number, part in layout.micro_batch(micro):
            images, labels = run.to_device(batch, part, run.cluster.devices[number])
            inputs, targets = objective.prepare(images, labels, step, part)
            taught = objective.teach(inputs)
            with autograd.record():
                logits = run.net(inputs)
                loss = objective.losses(logits, targets, taught)
                # The share of this part in the mean over the global batch: gradients are summed
                # over the parts.
                losses.append(loss.sum() * (scale / layout.global_batch))
            outcomes.append(statistics(logits.detach(), targets.argmax(axis=1), loss.detach()))
        autograd.backward(losses)
        run.finish_micro_batch()
        run.running.lay_down(micro)
    run.trainer.allreduce_grads()
    if run.gradients_are_good(step):
        run.trainer.update(scale)
    # their gradients add up over the micro-batches, and start again from 0
    if layout.accumulate > 1:
        for parameter in run.trained:
            parameter.zero_grad()
    return outcomes


def gradients_are_finite(parameters):
    """Whether all gradients, on all devices, are finite. Waits for them, so it is asked for under
    float16 alone.
    """
    return all_finite([gradient for parameter in parameters for gradient in parameter.list_grad()])
