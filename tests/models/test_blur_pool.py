"""The blur against the filters' definition, and what it is for."""

import mxnet as mx
import numpy as np
import numpy_layers as layers
import pytest
from network_checks import assert_close, images

from gluon_tricks.errors import UserError
from gluon_tricks.models.blur_pool import SIZES, BlurPool


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("shape", [(8, 8), (7, 13)])
def test_it_is_the_binomial_filter_on_the_reflected_image(size, stride, shape):
    x = images(2, 3, *shape)
    assert_close(
        BlurPool(size, stride)(mx.nd.array(x)), layers.blur(x, size, stride), tolerance=1e-6
    )


def test_a_moved_image_changes_little_where_skipping_values_changes_all():
    stripes = np.tile([0.0, 1.0], 16).reshape(1, 1, 1, 32).repeat(32, axis=2)
    moved = 1 - stripes
    a, b = (BlurPool(3, 2)(mx.nd.array(x)).asnumpy() for x in (stripes, moved))
    assert np.abs(a - b).max() < 1e-6 and np.abs((stripes - moved)[:, :, ::2, ::2]).max() == 1


@pytest.mark.parametrize("size", SIZES)
def test_an_odd_image_gets_the_rows_of_a_strided_convolution(size):
    x = mx.nd.zeros((1, 1, 9, 8))
    assert BlurPool(size, 2)(x).shape == (1, 1, 5, 4)


def test_other_sizes_are_refused():
    for size in (0, 1, 8):
        with pytest.raises(UserError, match="has to be from 2 to 7"):
            BlurPool(size, 2)
