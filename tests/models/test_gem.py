"""Generalised-mean pooling against its formula."""

import mxnet as mx
import numpy as np
from network_checks import images

from gluon_tricks.models.gem import GeM


def test_it_is_the_cube_root_of_the_mean_of_the_cubes():
    x = np.abs(images(2, 5, 4, 7))
    expected = (x.astype("float64") ** 3).mean(axis=(2, 3), keepdims=True) ** (1 / 3)
    np.testing.assert_allclose(GeM()(mx.nd.array(x)).asnumpy(), expected, rtol=1e-5)


def test_what_is_not_positive_counts_as_nearly_nothing():
    x = mx.nd.array([[[[-8.0, 2.0]]]])
    np.testing.assert_allclose(GeM()(x).asnumpy().item(), 4 ** (1 / 3), rtol=1e-6)
    np.testing.assert_allclose(GeM()(-x * 0).asnumpy().item(), 1e-6, rtol=1e-4)


def test_float16_is_computed_in_float32():
    pool = GeM()
    pool.cast("float16")
    y = pool(mx.nd.full((1, 1, 8, 8), 100, dtype="float16"))  # 100^3 is more than float16 has
    assert y.dtype == np.float16 and abs(y.asnumpy().item() - 100) < 0.1
