"""Mixup (section 5.4): x = lam x_i + (1 - lam) x_j, y = lam y_i + (1 - lam) y_j, lam ~ Beta(alpha,
alpha).
"""

import numpy as np


def draw_lambda(alpha, seed, step):
    """lam of a step: one value for the whole global batch, a pure function of (seed, step)."""
    return float(np.random.RandomState(_key(seed, step)).beta(alpha, alpha))


def draw_partners(n, seed, step, part=0, form="random"):
    """For each image of part ``part`` of a step's batch, the index of the image it is mixed with:
    int array (n,).

    ``random`` is a random permutation, a pure function of (seed, step, part); ``reverse`` is the
    batch reversed, as the authors' code.
    """
    if form == "reverse":
        return np.arange(n)[::-1].copy()
    return np.random.RandomState(_key(seed, step, part)).permutation(n)


def mix(x, partners, lam):
    """lam x_i + (1 - lam) x_j for an NDArray (n, ...) of images or of target distributions;
    ``partners``: NDArray (n,).
    """
    return lam * x + (1 - lam) * x.take(partners)


def _key(*numbers):
    # An array seed mixes all of its words. RandomState's streams are frozen by numpy, so they
    # outlive its versions.
    return [number % 2**32 for number in numbers]
