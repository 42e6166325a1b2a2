"""What a step minimises: the task's loss on mixed images and targets, with a teacher or without.

The order is that of the paper's sections 5.2 to 5.4: smoothing, mixup, and the teacher sees the
mixed images. Stored logits are mixed as the targets are: until the loss they are columns behind
those of the targets, so that a mixing needs to know nothing of them.
"""

import mxnet as mx

from ..tricks.compiled import cast, to_device
from ..tricks.distillation import distill, soft_loss
from ..tricks.mixing import mixings

LOSSES = []  # what changes the task's loss, in the order in which it is applied


def register(loss):
    """A decorator for classes that change the loss of each image.

    - ``from_config(config, teacher)``: a class method; the one that the flags ask for, or None
    - ``look(inputs, keys)``: outside of the gradient's computation, what the loss has to know of a
      part of the batch: its inputs (n, 3, H, W) and its records' keys, numpy int64 (n,)
    - ``loss(losses, outputs, seen)``: the losses (n,), float32, in place of those of the task or of
      the loss before it; ``outputs`` are the network's, ``seen`` is what ``look`` has returned
    """
    LOSSES.append(loss)
    return loss


@register
class Distillation:
    """:mod:`gluon_tricks.tricks.distillation` (section 5.3).

    ``teacher`` is a function from images to logits (n, K) on every device; the others are T, and h
    of h x hard + (1 - h) x soft loss or None for their sum.
    """

    def __init__(self, teacher, temperature=1.0, hard_weight=None):
        self._teacher, self._temperature, self._hard_weight = teacher, temperature, hard_weight

    @classmethod
    def from_config(cls, config, teacher):
        """The one that the flags of a run ask for, or None."""
        return None if teacher is None else cls.of(config, teacher)

    @classmethod
    def of(cls, config, teacher):
        """With the temperature and the weights of the flags."""
        hard_weight = None if config.hard_weight == -1 else config.hard_weight
        return cls(teacher, config.temperature, hard_weight)

    def look(self, inputs, keys):
        """The teacher's logits (n, K)."""
        return self._teacher(inputs)

    def __call__(self, losses, outputs, teacher_logits):
        soft = soft_loss(outputs, teacher_logits, self._temperature)
        return distill(losses, soft, self._hard_weight)


class StoredDistillation(Distillation):
    """Distillation from what a teacher has said of each record: ``teacher`` is a
    :class:`gluon_tricks.data.teacher_logits.TeacherLogits`.
    """

    @property
    def columns(self):
        """How many its logits are."""
        return self._teacher.about.classes

    def logits(self, keys, context):
        """Those of the records with these keys, int64 (n,): NDArray (n, K), float32."""
        return to_device(self._teacher.rows(keys), context)


class Objective:
    """The training loss.

    Parameters
    ----------
    task : of :mod:`gluon_tricks.tasks`
    mixings : list
        As :func:`gluon_tricks.tricks.mixing.mixings` gives them.
    dtype : str
        Of the images that the network takes.
    losses : list
        What changes the task's loss, see :func:`register`.
    stored : :class:`StoredDistillation`, optional
        It is no other of ``losses``, because its logits are mixed.
    """

    def __init__(self, task, mixings=(), dtype="float32", losses=(), stored=None):
        self.task = task
        self._mixings, self._dtype, self._losses = mixings, dtype, losses
        self._stored = stored

    @classmethod
    def from_config(cls, config, task, steps_per_epoch, teacher=None, stored=None):
        """The objective that the flags of a run ask for; ``stored``: the file of
        ``--teacher-logits``.
        """
        made = [loss.from_config(config, teacher) for loss in LOSSES]
        return cls(
            task,
            mixings(config, steps_per_epoch),
            config.dtype,
            [loss for loss in made if loss is not None],
            None if stored is None else StoredDistillation.of(config, stored),
        )

    def prepare(self, images, labels, step, part, keys=None):
        """The inputs (n, 3, H, W) and targets of part ``part`` of the batch of ``step``.

        ``keys``: of the records, int64 (n,), by which stored logits are found.
        """
        targets = self.task.targets(labels)
        if self._stored:
            logits = self._stored.logits(keys, targets.context)
            targets = mx.nd.concat(targets, logits, dim=1)
        for mixing in self._mixings:
            images, targets = mixing(images, targets, step, part)
        return cast(images, self._dtype), targets

    def look(self, inputs, keys):
        """What :meth:`losses` has to know of the inputs and the records of these keys. To be called
        outside of ``autograd.record``: no gradient goes through it.
        """
        return [loss.look(inputs, keys) for loss in self._losses]

    def losses(self, outputs, targets, seen=()):
        """The loss of each image: NDArray (n,), float32."""
        targets, logits = self._split(targets)
        losses = self.task.losses(outputs, targets)
        if self._stored:
            losses = self._stored(losses, outputs, logits)
        for loss, its_own in zip(self._losses, seen):
            losses = loss(losses, outputs, its_own)
        return losses

    def labels(self, targets):
        """The classes (n,) that the training figures count as right."""
        return self.task.labels(self._split(targets)[0])

    def _split(self, targets):
        """The task's targets, and the stored logits (n, K) behind them or None."""
        if not self._stored:
            return targets, None
        first = targets.shape[1] - self._stored.columns
        return targets[:, :first], targets[:, first:]
