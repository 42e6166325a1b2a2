"""One step of training: forward, backward and update with this worker's images of it."""

from typing import NamedTuple, Optional

import mxnet as mx
import numpy as np
from mxnet import autograd

from ..data.transforms.color_map import apply_on_device
from ..tasks.registry import forward_of
from ..tricks.compiled import OPERATORS_AT_ONCE


class StepResult(NamedTuple):
    """What a step has found, still being computed."""

    sums: list  # an NDArray of the task's sums for each part of the batch that this worker has
    losses: list  # of the images of each, (n,)
    keys: np.ndarray  # of this worker's records, in the order of the parts
    # Under float16 whether the update counted, see Update.receive.
    counted: Optional[mx.nd.NDArray] = None
    # What all workers have told each other: the sum of their losses, then of their reasons to stop.
    shared: Optional[mx.nd.NDArray] = None


def train_step(learner, layout, devices, batch, step):
    """The :class:`StepResult` of step ``step`` with this worker's images of it, a
    :class:`.feeding.PlacedBatch`.
    """
    found, of_images, steps = [], [], learner.update.timetable.steps_of_update(step)
    learner.seed_devices(devices, layout, step)
    with mx.engine.bulk(OPERATORS_AT_ONCE):
        for micro in range(layout.accumulate):
            learner.running.restore_parts(micro)
            sums, losses = compute_gradients(learner, layout, batch, step, micro)
            found, of_images = found + sums, of_images + losses
            wait_for_statistics(steps * len(layout.own_parts), devices)
            learner.running.keep_parts(micro)
        return StepResult(found, of_images, batch.keys, learner.update(step))


def compute_gradients(learner, layout, batch, step, micro):
    """Those of one micro-batch, on every device. Gives the task's sums, and the images' losses, of
    each part.
    """
    objective, task, found, of_images = learner.objective, learner.objective.task, [], []
    losses = []
    images_of_update = layout.global_batch * learner.update.timetable.steps_of_update(step)
    for number, part in layout.micro_batch(micro):
        images, labels = colored(*batch.parts[part])
        keys = layout.split(batch.keys, part)
        inputs, targets = objective.prepare(images, labels, step, part, keys)
        seen = objective.look(inputs, keys)
        with autograd.record():
            outputs = learner.forward(inputs, targets, step, keys)
            loss = objective.losses(outputs, targets, seen)
            # The share of this part in the mean over the update's images: gradients are summed
            # over the parts.
            losses.append(loss.sum() * (learner.update.scale(number) / images_of_update))
        labels = objective.labels(targets)
        of_images.append(loss.detach())
        found.append(task.count(detached(outputs), labels, of_images[-1]))
    autograd.backward(losses)
    return found, of_images


def detached(outputs):
    """A network's output or list of them, without what their gradients need."""
    if isinstance(outputs, (list, tuple)):
        return [output.detach() for output in outputs]
    return outputs.detach()


def colored(images, labels, matrices):
    """(images float32 (n, 3, H, W), labels (n,)): with ``--device-augment`` the colour step is
    still to be done.
    """
    return images if matrices is None else apply_on_device(images, matrices), labels


def wait_for_statistics(parts, devices):
    """If several ``parts`` of an update run on CPU contexts, wait for a backward pass before
    anything else starts.

    On a CPU, BatchNorm's backward pass writes the running statistics without the engine's
    knowledge, so that without this they would depend on the clock in their last bits. On GPUs the
    forward pass writes them, and nothing waits.
    """
    if parts > 1 and devices[0].device_type == "cpu":
        mx.nd.waitall()


class Learner:
    """The network that is trained, and what its steps need.

    ``seed`` is the run's if a forward pass draws random numbers, else None.
    """

    def __init__(self, net, objective, trainer, update, complexity, seed):
        self.net, self.objective, self.complexity = net, objective, complexity
        self.forward = forward_of(objective.task, net)  # what a step computes
        self.trainer, self.update = trainer, update
        # The parameters that updates change.
        self.trained = [p for p in net.collect_params().values() if p.grad_req != "null"]
        self.running = None  # the RunningStatistics, as soon as the parameters have their values
        self._seed = seed

    def seed_devices(self, devices, layout, step):
        """Seed MXNet's generator by the step, if the network draws from it, as dropout does: it has
        no state that could be saved.
        """
        if self._seed is not None:
            for device, part in zip(devices, layout.own_parts):
                key = np.random.SeedSequence([self._seed, step, part])
                mx.random.seed(int(key.generate_state(1)[0] >> 1), ctx=device)
