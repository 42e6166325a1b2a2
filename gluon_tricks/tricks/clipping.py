"""Gradient clipping by the norm of all gradients together: g = g c / max(norm(g), c)."""

from typing import Sequence

import mxnet as mx
from mxnet import gluon


def clip_norm(gradients: Sequence[mx.nd.NDArray], most: float) -> None:
    """Scale NDArrays of one device in place so that their joint norm is at most ``most``. Never
    waits; gradients that are not finite stay so.
    """
    gluon.utils.clip_global_norm(gradients, most, check_isfinite=False)
