"""CutMix (Yun et al. 2019): a rectangle of an image is replaced by that of another image, and the
targets are mixed by its share of the area.

lam ~ Beta(alpha, alpha). The rectangle's centre is uniform, its sides are sqrt(1 - lam) of the
image's, and it is cut off at the image's edges. Then y = s y_i + (1 - s) y_j, where s is the share
of the pixels that stay.
"""

import math

import mxnet as mx

from .mixup import CUTMIX, random_of


def draw_rectangle(height, width, alpha, seed, step):
    """``(top, bottom, left, right)``: one for the whole global batch, a pure function of (seed,
    step).
    """
    random = random_of(seed, step, 0, CUTMIX)
    share = math.sqrt(1 - random.beta(alpha, alpha))
    top, bottom = interval(height, share, random.uniform())
    left, right = interval(width, share, random.uniform())
    return top, bottom, left, right


def interval(length, share, place):
    """(start, stop) of a share of ``length`` around a place in [0, 1), cut off at the ends."""
    size = int(length * share)
    start = int(length * place) - size // 2
    return max(0, start), min(length, start + size)


def paste(images, partners, rectangle):
    """The images, NDArray (n, 3, height, width), each with its partner's rectangle pasted in;
    ``partners``: NDArray (n,).
    """
    top, bottom, left, right = rectangle
    if top >= bottom or left >= right:
        return images
    pasted = mx.nd.identity(images)
    pasted[:, :, top:bottom, left:right] = images[:, :, top:bottom, left:right].take(partners)
    return pasted


def share_left(height, width, rectangle):
    """The share of an image's pixels outside the rectangle."""
    top, bottom, left, right = rectangle
    return 1 - max(0, bottom - top) * max(0, right - left) / (height * width)
