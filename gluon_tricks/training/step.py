"""One training step: forward pass, backward pass and update with this worker's images."""

from typing import NamedTuple, Optional

import mxnet as mx
import numpy as np
from mxnet import autograd

from ..data.transforms.color_map import apply_on_device
from ..tasks.registry import forward_of
from ..tricks.compiled import OPERATORS_AT_ONCE


class StepResult(NamedTuple):
    """What a step has computed, or is still computing."""

    sums: list  # for each of this worker's parts, an NDArray of the task's sums
    losses: list  # for each part, the losses (n,) of its images
    keys: np.ndarray  # of this worker's records, in the order of the parts
    # Under float16, whether the update counted: see Update.receive.
    counted: Optional[mx.nd.NDArray] = None
    # Sums over all workers: of their losses, then of their reasons to stop.
    shared: Optional[mx.nd.NDArray] = None


def train_step(learner, layout, devices, batch, step):
    """Train one step and return its :class:`StepResult`. ``batch`` is a
    :class:`.feeding.PlacedBatch`, this worker's images of ``step``.
    """
    all_sums, all_losses, steps = [], [], learner.update.timetable.steps_of_update(step)
    learner.seed_devices(devices, layout, step)
    with mx.engine.bulk(OPERATORS_AT_ONCE):
        for micro in range(layout.accumulate):
            learner.running.restore_parts(micro)
            sums, losses = compute_gradients(learner, layout, batch, step, micro)
            all_sums, all_losses = all_sums + sums, all_losses + losses
            wait_for_statistics(steps * len(layout.own_parts), devices)
            learner.running.keep_parts(micro)
        return StepResult(all_sums, all_losses, batch.keys, learner.update(step))


def compute_gradients(learner, layout, batch, step, micro):
    """Compute the gradients of one micro-batch on every device. Returns, for each part, the task's
    sums and the losses of the images.
    """
    objective, task = learner.objective, learner.objective.task
    sums, losses, shares = [], [], []
    images_of_update = layout.global_batch * learner.update.timetable.steps_of_update(step)
    for number, part in layout.micro_batch(micro):
        images, labels = colored(*batch.parts[part])
        keys = layout.split(batch.keys, part)
        inputs, targets = objective.prepare(images, labels, step, part, keys)
        seen = objective.look(inputs, keys)
        with autograd.record():
            outputs = learner.forward(inputs, targets, step, keys)
            loss = objective.losses(outputs, targets, seen)
            # This part's share of the mean over the update's images: gradients are summed over the
            # parts.
            shares.append(loss.sum() * (learner.update.scale(number) / images_of_update))
        losses.append(loss.detach())
        sums.append(task.count(detached(outputs), objective.labels(targets), losses[-1]))
    autograd.backward(shares)
    return sums, losses


def detached(outputs):
    """A network's output or outputs, without the graph that their gradients need."""
    if isinstance(outputs, (list, tuple)):
        return [output.detach() for output in outputs]
    return outputs.detach()


def colored(images, labels, matrices):
    """(images float32 (n, 3, H, W), labels (n,)), after the colour step, which
    ``--device-augment`` leaves to the device.
    """
    return images if matrices is None else apply_on_device(images, matrices), labels


def wait_for_statistics(parts, devices):
    """Wait for the backward pass if an update has several ``parts`` and runs on CPU contexts.

    On a CPU, BatchNorm's backward pass writes the running statistics without the engine's
    knowledge: without the wait, their last bits would depend on timing. On a GPU the forward pass
    writes them, and nothing waits.
    """
    if parts > 1 and devices[0].device_type == "cpu":
        mx.nd.waitall()


class Learner:
    """The network that is trained, and what its steps need.

    ``seed`` is the run's if the forward pass draws random numbers, else None.
    """

    def __init__(self, net, objective, trainer, update, complexity, seed):
        self.net, self.objective, self.complexity = net, objective, complexity
        self.forward = forward_of(objective.task, net)  # what a step computes
        self.trainer, self.update = trainer, update
        # The parameters that updates change.
        self.trained = [p for p in net.collect_params().values() if p.grad_req != "null"]
        self.running = None  # the RunningStatistics, once the parameters have their values
        self._seed = seed

    def seed_devices(self, devices, layout, step):
        """Seed MXNet's generator by the step if the network draws from it, as dropout does: its
        state cannot be saved.
        """
        if self._seed is not None:
            for device, part in zip(devices, layout.own_parts):
                key = np.random.SeedSequence([self._seed, step, part])
                mx.random.seed(int(key.generate_state(1)[0] >> 1), ctx=device)
