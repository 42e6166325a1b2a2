"""What a step minimises: the task's loss on mixed images and targets, with or without a teacher.

The order is that of the paper's sections 5.2 to 5.4: targets are smoothed, then mixed with their
images, and the teacher sees the mixed images. Stored logits are mixed like the targets: until the
loss is computed they are further columns of the targets, so a mixing need not know about them.
"""

import mxnet as mx

from ..tricks.compiled import cast, to_device
from ..tricks.distillation import distill, soft_loss
from ..tricks.mixing import mixings

LOSSES = []  # classes that change the task's loss, in the order in which they are applied


def register(loss):
    """A decorator for classes that change the loss of each image.

    - ``from_config(config, teacher)``: a class method; the loss that the flags ask for, or None
    - ``look(inputs, keys)``: what the loss needs to know about a part of the batch, computed
      without gradients from its inputs (n, 3, H, W) and its records' keys, numpy int64 (n,)
    - ``loss(losses, outputs, seen)``: the losses (n,), float32, that replace those of the task or
      of the loss before it; ``outputs`` are the network's, ``seen`` is what ``look`` returned
    """
    LOSSES.append(loss)
    return loss


@register
class Distillation:
    """:mod:`gluon_tricks.tricks.distillation` (section 5.3).

    ``teacher`` is a function from images to logits (n, K), on every device. ``temperature`` is T;
    ``hard_weight`` is h of h x hard + (1 - h) x soft loss, or None for their sum.
    """

    def __init__(self, teacher, temperature=1.0, hard_weight=None):
        self._teacher, self._temperature, self._hard_weight = teacher, temperature, hard_weight

    @classmethod
    def from_config(cls, config, teacher):
        """The distillation that the flags of a run ask for, or None."""
        return None if teacher is None else cls.of(config, teacher)

    @classmethod
    def of(cls, config, teacher):
        """The distillation with the flags' temperature and weights."""
        hard_weight = None if config.hard_weight == -1 else config.hard_weight
        return cls(teacher, config.temperature, hard_weight)

    def look(self, inputs, keys):
        """The teacher's logits (n, K)."""
        return self._teacher(inputs)

    def __call__(self, losses, outputs, teacher_logits):
        soft = soft_loss(outputs, teacher_logits, self._temperature)
        return distill(losses, soft, self._hard_weight)


class StoredDistillation(Distillation):
    """Distillation from a teacher's stored logits of each record: ``teacher`` is a
    :class:`gluon_tricks.data.teacher_logits.TeacherLogits`.
    """

    @property
    def columns(self):
        """The number of logits of a record."""
        return self._teacher.about.classes

    def logits(self, keys, context):
        """The logits of the records with these keys, int64 (n,): NDArray (n, K), float32."""
        return to_device(self._teacher.rows(keys), context)


class Objective:
    """The training loss.

    Parameters
    ----------
    task : of :mod:`gluon_tricks.tasks`
    mixings : list
        From :func:`gluon_tricks.tricks.mixing.mixings`.
    dtype : str
        Of the images that the network takes.
    losses : list
        What changes the task's loss, see :func:`register`.
    stored : :class:`StoredDistillation`, optional
        Not one of ``losses``, because its logits are mixed.
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

        ``keys`` are those of the records, int64 (n,), by which stored logits are found.
        """
        targets = self.task.targets(labels)
        if self._stored:
            logits = self._stored.logits(keys, targets.context)
            targets = mx.nd.concat(targets, logits, dim=1)
        for mixing in self._mixings:
            images, targets = mixing(images, targets, step, part)
        return cast(images, self._dtype), targets

    def look(self, inputs, keys):
        """What :meth:`losses` needs to know about the inputs and the records with these keys. Call
        it outside ``autograd.record``: no gradient flows through it.
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
        """(the task's targets, the stored logits (n, K) behind them or None)."""
        if not self._stored:
            return targets, None
        first = targets.shape[1] - self._stored.columns
        return targets[:, :first], targets[:, first:]
