"""ResNeSt's DropBlock against its definition."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd
from scipy import ndimage

from gluon_tricks.models.resnest_drop_block import DropBlock


def dropped(block, dtype="float32"):
    mx.random.seed(0)
    block.cast(dtype)
    with autograd.record():
        return block(mx.nd.ones((2, block.c, block.h, block.w), dtype=dtype)).asnumpy()


def test_squares_are_dropped_and_the_others_make_up_for_them():
    values = dropped(DropBlock(0.1, 3, 64, 20, 20))
    np.testing.assert_array_equal(values[0], values[1])
    zeros = values[0] == 0
    # every zero lies in a square of zeros; those at the border are cut by it
    squares = ndimage.binary_opening(
        np.pad(zeros, ((0, 0), (1, 1), (1, 1)), mode="edge"), np.ones((1, 3, 3))
    )
    np.testing.assert_array_equal(squares[:, 1:-1, 1:-1], zeros)
    assert 0.08 < zeros.mean() < 0.14
    np.testing.assert_allclose(values.mean(), 1, rtol=1e-5)
    assert len(np.unique(values)) == 2


@pytest.mark.parametrize("shape", [(1024, 14, 14), (4, 3, 3)])
def test_float16_is_scaled_as_float32(shape):
    # 1024 x 14 x 14 is more than float16 can count
    exact = dropped(DropBlock(0.1, 3, *shape))
    half = dropped(DropBlock(0.1, 3, *shape), "float16")
    assert half.dtype == np.float16
    np.testing.assert_allclose(half, exact, rtol=1e-3)


def test_nothing_is_dropped_outside_of_training_nor_with_probability_zero():
    images = mx.nd.ones((1, 8, 10, 10))
    np.testing.assert_array_equal(DropBlock(0.5, 3, 8, 10, 10)(images).asnumpy(), 1)
    np.testing.assert_array_equal(dropped(DropBlock(0.0, 3, 8, 10, 10)), 1)
