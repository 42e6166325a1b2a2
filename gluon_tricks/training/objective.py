"""What a step minimises: the task's loss on mixed images and targets, with a teacher or without.

The order is that of the paper's sections 5.2 to 5.4: smoothing, mixup, and the teacher sees the
mixed images. Stored logits are mixed as the targets are: until the loss they are columns behind
those of the targets, so that a mixing needs to know nothing of them.
"""

import mxnet as mx

from ..tricks.distillation import distill, soft_loss
from ..tricks.mixing import mixings


class Objective:
    """The training loss.

    Parameters
    ----------
    task : of :mod:`gluon_tricks.tasks`
    mixings : list
        As :func:`gluon_tricks.tricks.mixing.mixings` gives them.
    dtype : str
        Of the images that the network takes.
    teacher : function, optional
        From images to logits (n, K), on every device.
    stored : :class:`gluon_tricks.data.teacher_logits.TeacherLogits`, optional
        A teacher's logits by record key, instead of a teacher.
    temperature : float
        T of distillation (section 5.3).
    hard_weight : float
        h of h x hard + (1 - h) x soft loss; None: their sum.
    """

    def __init__(
        self,
        task,
        mixings=(),
        dtype="float32",
        teacher=None,
        temperature=1.0,
        hard_weight=None,
        stored=None,
    ):
        self.task = task
        self._mixings, self._dtype = mixings, dtype
        self._teacher, self._temperature, self._hard_weight = teacher, temperature, hard_weight
        self._stored = stored

    @classmethod
    def from_config(cls, config, task, steps_per_epoch, teacher=None, stored=None):
        """The objective that the flags of a run ask for."""
        return cls(
            task,
            mixings(config, steps_per_epoch),
            config.dtype,
            teacher,
            config.temperature,
            None if config.hard_weight == -1 else config.hard_weight,
            stored,
        )

    def prepare(self, images, labels, step, part, keys=None):
        """The inputs (n, 3, H, W) and targets of part ``part`` of the batch of ``step``.

        ``keys``: of the records, int64 (n,); stored logits are found by them.
        """
        targets = self.task.targets(labels)
        if self._stored is not None:
            logits = mx.nd.from_numpy(self._stored.rows(keys)).as_in_context(targets.context)
            targets = mx.nd.concat(targets, logits, dim=1)
        for mixing in self._mixings:
            images, targets = mixing(images, targets, step, part)
        return images.astype(self._dtype, copy=False), targets

    def teacher_logits(self, inputs):
        """The teacher's logits (n, K) for the inputs, or None."""
        return None if self._teacher is None else self._teacher(inputs)

    def labels(self, targets):
        """The classes (n,) that count as right."""
        return self.task.labels(self._split(targets)[0])

    def losses(self, outputs, targets, teacher_logits=None):
        """The loss of each image: NDArray (n,), float32."""
        targets, stored = self._split(targets)
        teacher_logits = teacher_logits if stored is None else stored
        hard = self.task.losses(outputs, targets)
        if teacher_logits is None:
            return hard
        soft = soft_loss(outputs, teacher_logits, self._temperature)
        return distill(hard, soft, self._hard_weight)

    def _split(self, targets):
        """The task's targets, and the stored logits (n, K) behind them or None."""
        if self._stored is None:
            return targets, None
        first = targets.shape[1] - self._stored.about.classes
        return targets[:, :first], targets[:, first:]
