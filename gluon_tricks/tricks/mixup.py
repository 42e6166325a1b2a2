"""Mixup (section 5.4).

    x = lam x_i + (1 - lam) x_j
    y = lam y_i + (1 - lam) y_j,    lam ~ Beta(alpha, alpha)

The paper draws one lam for the whole batch and mixes its images with each other. Assembled-CNN
(arXiv 2001.06268) draws a lam for each pair, and has two types:

- 1: of 2 n images, the first half is mixed with the second, which makes n.
- 2: n images with the halves x and z become lam x + (1 - lam) z and lam' x + (1 - lam') reverse(z).
"""

import mxnet as mx
import numpy as np

from .compiled import to_device

# A fourth number in a seed names what is drawn, so that no two draws of a step share a stream.
ONE_OF, CUTMIX, PAIRS = 1, 2, 3


def mix(x, partners, lam):
    """lam x_i + (1 - lam) x_j for an NDArray (n, ...) of images or of target distributions;
    ``partners``: NDArray (n,).
    """
    return lam * x + (1 - lam) * x.take(partners)


def draw_lambda(alpha, seed, step):
    """lam of a step: one value for the whole global batch, a pure function of (seed, step)."""
    return float(random_of(seed, step).beta(alpha, alpha))


def draw_partners(n, seed, step, part=0, form="random"):
    """For each image of part ``part`` of a step's batch, the index of the image it is mixed with:
    int array (n,).

    ``random`` is a random permutation, a pure function of (seed, step, part); ``reverse`` is the
    batch reversed, as in the authors' code.
    """
    if form == "reverse":
        return np.arange(n)[::-1].copy()
    return random_of(seed, step, part).permutation(n)


def mix_halves(x, lams):
    """Type 1: an NDArray (2 n, ...) and n lambdas -> (n, ...)."""
    half = len(x) // 2
    return mix_each(x[:half], x[half:], lams)


def mix_twice(x, lams):
    """Type 2: an NDArray (n, ...), n even, and n lambdas -> (n, ...)."""
    half = len(x) // 2
    first, second = x[:half], x[half:]
    mixed = mix_each(first, second, lams[:half]), mix_each(first, second[::-1], lams[half:])
    return mx.nd.concat(*mixed, dim=0)


def mix_each(x, other, lams):
    """lam x + (1 - lam) other, with one of the ``lams``, float (n,), for each row."""
    lams = to_device(lams.astype("float32"), x.context)
    lams = lams.reshape((-1,) + (1,) * (x.ndim - 1))
    return mx.nd.broadcast_mul(lams, x) + mx.nd.broadcast_mul(1 - lams, other)


def draw_lambdas(n, alpha, seed, step, part=0):
    """lam of each of the ``n`` pairs of a part of a step's batch: float64 (n,), a pure function of
    (seed, step, part).
    """
    return random_of(seed, step, part, PAIRS).beta(alpha, alpha, size=n)


def random_of(*numbers):
    """A generator that is seeded by these numbers."""
    # An array seed mixes all of its words. numpy has frozen RandomState's streams, so they outlive
    # its versions.
    return np.random.RandomState([number % 2**32 for number in numbers])
