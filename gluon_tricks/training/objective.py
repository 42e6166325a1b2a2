"""What a step minimises: smoothing, mixup and distillation in the order of the paper's sections 5.2
to 5.4.
"""

import mxnet as mx

from ..tricks.distillation import distill, soft_loss
from ..tricks.label_smoothing import cross_entropy, smooth
from ..tricks.mixup import draw_lambda, draw_partners, mix


class Objective:
    """The training loss that the flags ask for. ``teacher`` is a network on every device, or None."""

    def __init__(self, config, steps_per_epoch, teacher=None):
        self._config = config
        self._teacher = teacher
        self._mixup_until = (
            (config.num_epochs - config.mixup_off_epoch) * steps_per_epoch if config.mixup else 0
        )

    def prepare(self, images, labels, step, part):
        """The inputs (n, 3, H, W) and target distributions (n, K) of part ``part`` of the batch of
        ``step``.
        """
        config = self._config
        targets = smooth(labels, config.classes, config.label_smoothing, config.smoothing_form)
        if step < self._mixup_until:
            lam = draw_lambda(config.mixup_alpha, config.seed, step)
            partners = draw_partners(len(labels), config.seed, step, part, config.mixup_partner)
            partners = mx.nd.array(partners, ctx=images.context, dtype="int32")
            images, targets = mix(images, partners, lam), mix(targets, partners, lam)
        return images.astype(config.dtype, copy=False), targets

    def teach(self, inputs):
        """The teacher's logits (n, K) for the inputs, or None."""
        return None if self._teacher is None else self._teacher(inputs)

    def losses(self, logits, targets, taught=None):
        """The loss of each image: NDArray (n,), float32."""
        hard = cross_entropy(logits, targets)
        if taught is None:
            return hard
        weight = None if self._config.hard_weight == -1 else self._config.hard_weight
        return distill(hard, soft_loss(logits, taught, self._config.temperature), weight)

    def plain_losses(self, logits, labels):
        """The cross entropy (n,) with the true classes alone, which validation reports."""
        return cross_entropy(logits, smooth(labels, self._config.classes, 0))
