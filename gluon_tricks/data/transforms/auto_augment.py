"""AutoAugment (Cubuk et al. 2018): one of 25 sub-policies, drawn uniformly, for each image.

A sub-policy is two operations, each with a probability and a level from 0 to 10; whether one is
done is drawn separately for each. :data:`POLICIES` has

- ``imagenet``: the published policy, which Assembled-CNN and torchvision have.
- ``v0``: another one, from EfficientNet's code.
"""

import dataclasses
import functools
from typing import Tuple

import numpy as np

from .. import randomness
from .magnitudes import BLACK, GREY, torchvision_narrow, tpu
from .operation import Draws
from .policy import Policy, Space, coin, table_of

IMAGENET = """
posterize .4 8, rotate .6 9         | solarize .6 5, autocontrast .6 5
equalize .8 8, equalize .6 3        | posterize .6 7, posterize .6 6
equalize .4 7, solarize .2 4        | equalize .4 4, rotate .8 8
solarize .6 3, equalize .6 7        | posterize .8 5, equalize 1 2
rotate .2 3, solarize .6 8          | equalize .6 8, posterize .4 6
rotate .8 8, color .4 0             | rotate .4 9, equalize .6 2
equalize 0 7, equalize .8 8         | invert .6 4, equalize 1 8
color .6 4, contrast 1 8            | rotate .8 8, color 1 2
color .8 8, solarize .8 7           | sharpness .4 7, invert .6 8
shear_x .6 5, equalize 1 9          | color .4 0, equalize .6 3
equalize .4 7, solarize .2 4        | solarize .6 5, autocontrast .6 5
invert .6 4, equalize 1 8           | color .6 4, contrast 1 8
equalize .8 8, equalize .6 3
"""
V0 = """
equalize .8 1, shear_y .8 4         | color .4 9, equalize .6 3
color .4 1, rotate .6 8             | solarize .8 3, equalize .4 7
solarize .4 2, solarize .6 2        | color .2 0, equalize .8 8
equalize .4 8, solarize_add .8 3    | shear_x .2 9, rotate .6 8
color .6 1, equalize 1 2            | invert .4 9, rotate .6 0
equalize 1 9, shear_y .6 3          | color .4 7, equalize .6 0
posterize .4 6, autocontrast .4 7   | solarize .6 8, color .6 9
solarize .2 4, rotate .8 9          | rotate 1 7, translate_y .8 9
shear_x 0 0, solarize .8 4          | shear_y .8 0, color .6 4
color 1 0, rotate .6 2              | equalize .8 4, equalize 0 8
equalize 1 4, autocontrast .6 2     | shear_y .4 7, solarize_add .6 7
posterize .8 2, solarize .6 10      | solarize .6 8, equalize .6 1
color .8 6, rotate .4 5
"""
POLICIES = dict(imagenet=IMAGENET, v0=V0)


@dataclasses.dataclass(frozen=True)
class AutoAugment(Policy):
    """``policy``: a name in :data:`POLICIES`; ``form``: ``torchvision`` or ``tpu``; ``size`` of the
    images.
    """

    policy: str
    form: str
    size: int

    name = "AutoAugment"
    draws = Draws(randomness.AUTO_AUGMENT, 5)

    @property
    def fill(self):
        return GREY if self.form == "tpu" else BLACK

    def sample(self, numbers):
        """float64 (n, 2, 2), see :mod:`.policy`; numbers: which one, 2 for done, 2 for signs."""
        probabilities, table = tables(self.policy, self.form, self.size)
        drawn = (numbers[:, :1] * len(probabilities)).astype(int)
        values = table[coin(numbers[:, 3:5]), drawn, [0, 1]]
        values[numbers[:, 1:3] >= probabilities[drawn[:, 0]]] = -1
        return values


@functools.lru_cache(maxsize=None)
def tables(policy: str, form: str, size: int) -> Tuple[np.ndarray, np.ndarray]:
    """The sub-policies' probabilities (25, 2), and their samples by sign (2, 25, 2, 2)."""
    space = tpu() if form == "tpu" else torchvision_narrow(10, size)
    chosen, probabilities, levels = sub_policies(POLICIES[policy], space)
    return probabilities, table_of(space, range(11))[:, chosen, levels]


def sub_policies(text: str, space: Space) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places in the space, probabilities and levels 0 to 10, (25, 2) each."""
    rows = [row for line in text.strip().splitlines() for row in line.split("|")]
    parts = [[part.split() for part in row.split(",")] for row in rows]
    names = list(space)
    chosen = [[names.index(known_as(name, names)) for name, _, _ in row] for row in parts]
    numbers = np.array([[part[1:] for part in row] for row in parts], np.float64)
    return np.array(chosen), numbers[..., 0], numbers[..., 1].astype(int)


def known_as(name, names):
    """The operation's name in the space: the TPU code has a contrast of its own."""
    return name if name in names else f"tpu_{name}"
