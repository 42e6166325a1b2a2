"""Batch mixing: functions that change the images of a batch together, mostly by mixing them with
each other, and their targets in the same way.

Each is called as ``mixing(images, targets, step, part)`` and returns new images and targets,
NDArrays (n, ...). ``step`` counts from 0, and ``part`` is the number of the part of the batch that
the images belong to. Random numbers are a pure function of seed, step and part.
"""

from . import cutmix, mixup
from .compiled import to_device
from .progressive_resizing import ProgressiveResizing

MIXINGS = []  # in the order in which they are applied


def register(mixing):
    """A decorator that adds ``mixing`` to MIXINGS. Its ``from_config`` returns the mixing that the
    flags of a run ask for, or None.
    """
    MIXINGS.append(mixing)
    return mixing


def mixings(config, steps_per_epoch):
    """The mixings that the flags of a run ask for, a list."""
    made = [mixing.from_config(config, steps_per_epoch) for mixing in MIXINGS]
    return [mixing for mixing in made if mixing is not None]


class Mixup:
    """:mod:`.mixup` in the steps before ``until``, with one lambda for all pairs of a step."""

    def __init__(self, alpha, seed, until, partner="random"):
        self._alpha, self._seed, self._until, self._partner = alpha, seed, until, partner

    def __call__(self, images, targets, step, part):
        if step >= self._until:
            return images, targets
        lam = mixup.draw_lambda(self._alpha, self._seed, step)
        partners = partners_on(images, self._seed, step, part, self._partner)
        return mixup.mix(images, partners, lam), mixup.mix(targets, partners, lam)


class PairMixup:
    """Mixup of ``kind`` 1 or 2 (:mod:`.mixup`) in the steps before ``until``, with a lambda for
    each pair.

    Kind 1 takes twice as many images and targets as it returns.
    """

    def __init__(self, kind, alpha, seed, until):
        self._kind, self._alpha, self._seed, self._until = kind, alpha, seed, until

    def __call__(self, images, targets, step, part):
        n = len(images) // 2 if self._kind == 1 else len(images)
        if step >= self._until:
            return images[:n], targets[:n]
        lams = mixup.draw_lambdas(n, self._alpha, self._seed, step, part)
        mix = mixup.mix_halves if self._kind == 1 else mixup.mix_twice
        return mix(images, lams), mix(targets, lams)


class CutMix:
    """:mod:`.cutmix` in the steps before ``until``, with one rectangle for all images of a step."""

    def __init__(self, alpha, seed, until, partner="random"):
        self._alpha, self._seed, self._until, self._partner = alpha, seed, until, partner

    def __call__(self, images, targets, step, part):
        if step >= self._until:
            return images, targets
        height, width = images.shape[2:]
        rectangle = cutmix.draw_rectangle(height, width, self._alpha, self._seed, step)
        partners = partners_on(images, self._seed, step, part, self._partner)
        share = cutmix.share_left(height, width, rectangle)
        return cutmix.paste(images, partners, rectangle), mixup.mix(targets, partners, share)


class OneOf:
    """One of several mixings in each step, all equally likely, a pure function of (seed, step)."""

    def __init__(self, mixings, seed):
        self._mixings, self._seed = mixings, seed

    def __call__(self, images, targets, step, part):
        number = mixup.random_of(self._seed, step, 0, mixup.ONE_OF).randint(len(self._mixings))
        return self._mixings[number](images, targets, step, part)


register(ProgressiveResizing)


@register
class Pairs:
    """The mixings of pairs of images: mixup, CutMix, or one of the two in each step."""

    @classmethod
    def from_config(cls, config, steps_per_epoch):
        """The mixing that the flags of a run ask for, or None."""
        until = (config.num_epochs - config.mixup_off_epoch) * steps_per_epoch
        seed, partner, kind = config.seed, config.mixup_partner, config.mixup_type
        asked = []
        if config.mixup and kind == 0:
            asked.append(Mixup(config.mixup_alpha, seed, until, partner))
        elif config.mixup:
            asked.append(PairMixup(kind, config.mixup_alpha, seed, until))
        if config.cutmix:
            asked.append(CutMix(config.cutmix, seed, until, partner))
        return OneOf(asked, seed) if len(asked) > 1 else asked[0] if asked else None


def partners_on(images, seed, step, part, form):
    """:func:`.mixup.draw_partners` for a part's images: NDArray (n,) on their device."""
    partners = mixup.draw_partners(len(images), seed, step, part, form).astype("int32")
    return to_device(partners, images.context)
