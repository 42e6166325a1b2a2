"""DropBlock against its definition, and its schedule in a compiled network."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd
from scipy import ndimage

from gluon_tricks.models.drop_block import DropBlock
from gluon_tricks.models.progress import Progress, progress_of


def block_of(last, scale=1, first=0.0, dtype="float32"):
    block = DropBlock((first, last), scale, Progress())
    block.initialize()
    block.cast(dtype)
    return block


def dropped(block, shape, dtype="float32", seed=0):
    mx.random.seed(seed)
    with autograd.record():
        return block(mx.nd.ones(shape, dtype=dtype)).asnumpy()


def squares_alone(zeros):
    """Whether all zeros lie in squares of 7x7 inside of the map."""
    return (ndimage.binary_opening(zeros, np.ones((1, 7, 7))) == zeros).all()


def expected_share(probability, scale, height, width):
    """The share of values that a square covers, from the formula of gamma."""
    places = (height - 6) * (width - 6)
    gamma = scale * probability * height * width / 49 / places
    covering = np.zeros((height, width))
    for row in range(height - 6):
        for column in range(width - 6):
            covering[row : row + 7, column : column + 7] += 1
    return 1 - ((1 - gamma) ** covering).mean()


@pytest.mark.parametrize("scale", [0.25, 1])
@pytest.mark.parametrize("height, width", [(14, 14), (9, 20), (7, 7)])
def test_squares_that_fit_are_dropped_with_the_formulas_probability(height, width, scale):
    values = dropped(block_of(0.1, scale), (1, 4000, height, width))
    zeros = values[0] == 0
    assert squares_alone(zeros)
    np.testing.assert_allclose(zeros.mean(), expected_share(0.1, scale, height, width), rtol=0.2)
    np.testing.assert_allclose(values.mean(), 1, rtol=1e-5)
    assert len(np.unique(values)) == 2


def test_all_images_have_the_same_squares_and_every_channel_its_own():
    zeros = dropped(block_of(0.3), (3, 50, 14, 14)) == 0
    assert (zeros == zeros[:1]).all()
    dropping = [channel.tobytes() for channel in zeros[0] if channel.any()]
    assert len(set(dropping)) > 0.7 * len(dropping) > 10
    assert (zeros != (dropped(block_of(0.3), (3, 50, 14, 14), seed=1) == 0)).any()
    assert (zeros == (dropped(block_of(0.3), (3, 50, 14, 14)) == 0)).all()


@pytest.mark.parametrize("height, width", [(7, 7), (6, 6), (4, 5), (1, 1), (2, 7)])
def test_of_a_small_map_whole_channels_are_dropped(height, width):
    zeros = (dropped(block_of(0.2), (1, 5000, height, width)) == 0)[0]
    assert (zeros == zeros[:, :1, :1]).all()
    assert abs(zeros.mean() - 0.2) < 0.03


def test_the_probability_follows_the_progress_in_a_compiled_network():
    block = block_of(0.3, first=0.1)
    block.hybridize(static_alloc=True, static_shape=True)
    shares = []
    for step in (0, 50, 100):
        (progress,) = progress_of(block)
        progress.set(step, 100)
        shares.append((dropped(block, (1, 20000, 7, 7)) == 0).mean())
    np.testing.assert_allclose(shares, [0.1, 0.2, 0.3], rtol=0.1)


def test_a_graph_that_was_compiled_in_training_drops_nothing_in_evaluation():
    block, x = block_of(0.5), mx.nd.random.normal(shape=(2, 8, 9, 9))
    block.hybridize(static_alloc=True, static_shape=True)
    assert (dropped(block, x.shape) == 0).any()
    np.testing.assert_array_equal(block(x).asnumpy(), x.asnumpy())
    np.testing.assert_array_equal(block_of(0.5)(x).asnumpy(), x.asnumpy())
    assert block(mx.sym.var("x")).list_inputs() == ["x"]


def test_gradients_are_those_of_a_product_with_the_mask():
    block, x = block_of(0.3), mx.nd.random.normal(shape=(2, 20, 8, 8))
    x.attach_grad()
    mx.random.seed(5)
    with autograd.record():
        y = block(x)
    y.backward()
    mask = dropped(block, x.shape, seed=5)
    np.testing.assert_allclose(y.asnumpy(), mask * x.asnumpy(), rtol=1e-6)
    np.testing.assert_array_equal(x.grad.asnumpy(), mask)


def test_float16_has_the_same_squares_and_scale():
    exact = dropped(block_of(0.1), (1, 1024, 14, 14))
    half = dropped(block_of(0.1, dtype="float16"), (1, 1024, 14, 14), "float16")
    assert half.dtype == np.float16
    np.testing.assert_allclose(half, exact, rtol=1e-3)


def test_the_progress_is_in_no_parameter_file():
    block = block_of(0.1)
    assert list(block.collect_params()) == ["progress"] and not block._collect_params_with_prefix()
    assert block.collect_params()["progress"].grad_req == "null"
