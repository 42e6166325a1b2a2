"""Batch mixing: functions that mix the images of a batch with each other, and their targets alike.

Each is called as ``mixing(images, targets, step, part)`` and returns both: new NDArrays (n, ...),
``step`` counted from 0, ``part`` the number of the batch's part that these images are. What it
draws is a pure function of the seed, the step and the part.
"""

import mxnet as mx

from .mixup import draw_lambda, draw_partners, mix

MIXINGS = []  # in the order in which they are applied


def register(mixing):
    """A decorator: batches are mixed by ``mixing`` too, if its ``from_config`` finds that the flags
    of a run ask for it.
    """
    MIXINGS.append(mixing)
    return mixing


def mixings(config, steps_per_epoch):
    """Those that the flags of a run ask for, a list."""
    made = [mixing.from_config(config, steps_per_epoch) for mixing in MIXINGS]
    return [mixing for mixing in made if mixing is not None]


@register
class Mixup:
    """:mod:`.mixup` in the steps before ``until``."""

    def __init__(self, alpha, seed, until, partner="random"):
        self._alpha, self._seed, self._until, self._partner = alpha, seed, until, partner

    @classmethod
    def from_config(cls, config, steps_per_epoch):
        """The mixup that the flags of a run ask for, or None."""
        if not config.mixup:
            return None
        until = (config.num_epochs - config.mixup_off_epoch) * steps_per_epoch
        return cls(config.mixup_alpha, config.seed, until, config.mixup_partner)

    def __call__(self, images, targets, step, part):
        if step >= self._until:
            return images, targets
        lam = draw_lambda(self._alpha, self._seed, step)
        partners = draw_partners(len(images), self._seed, step, part, self._partner)
        partners = mx.nd.array(partners, ctx=images.context, dtype="int32")
        return mix(images, partners, lam), mix(targets, partners, lam)
