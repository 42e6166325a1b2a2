"""Clipping of the gradient's norm."""

import mxnet as mx
import numpy as np
import pytest

from gluon_tricks.tricks.clipping import clip_norm


@pytest.mark.parametrize("most, factor", [(1.0, 1 / 13), (13.0, 1.0), (20.0, 1.0)])
def test_the_joint_norm_is_at_most_that(most, factor):
    values = [np.array([3.0, 4.0]), np.array([[12.0]])]  # of norm 13
    gradients = [mx.nd.array(value) for value in values]
    clip_norm(gradients, most)
    for gradient, value in zip(gradients, values):
        np.testing.assert_allclose(gradient.asnumpy(), factor * value, rtol=1e-6)
