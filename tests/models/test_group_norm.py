"""GroupNorm in float16: the arithmetic is float32's, and the result is float16 again."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from gluon_tricks.models.group_norm import GroupNorm


def run(x, gradient, dtype, hybrid, casts=()):
    """(outputs, gradient of the input, gradient of gamma) of 4 groups of 8 channels."""
    block = GroupNorm(8, groups=4)
    block.initialize()
    block.gamma.set_data(mx.nd.arange(1, 9))
    for each in list(casts) + [dtype]:
        block.cast(each)
    block.hybridize(hybrid)
    x = mx.nd.array(x, dtype=dtype)
    x.attach_grad()
    with autograd.record():
        y = block(x)
    y.backward(mx.nd.array(gradient, dtype=dtype))
    assert y.dtype == x.grad.dtype == np.dtype(dtype)
    return [array.asnumpy().astype(np.float64) for array in (y, x.grad, block.gamma.grad())]


def expected(x):
    """The outputs, from the definition in float64."""
    groups = x.astype(np.float64).reshape(len(x), 4, -1)
    groups = (groups - groups.mean(2, keepdims=True)) / np.sqrt(groups.var(2, keepdims=True) + 1e-5)
    return groups.reshape(x.shape) * np.arange(1, 9).reshape(1, 8, 1, 1)


@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.parametrize("casts", [(), ("float16", "float32")], ids=["", "there and back"])
def test_float16_is_computed_in_float32(hybrid, casts):
    random = np.random.RandomState(0)
    # Squares that float16 does not have, and more values than it can count.
    x = (300 * random.randn(2, 8, 64, 64) + 500).astype(np.float16)
    gradient = random.randn(*x.shape).astype(np.float16)
    half = run(x, gradient, "float16", hybrid, casts)
    single = run(x.astype(np.float32), gradient.astype(np.float32), "float32", hybrid, casts)
    np.testing.assert_allclose(half[0], expected(x), atol=0.02)
    np.testing.assert_allclose(single[0], expected(x), atol=1e-3)
    np.testing.assert_allclose(half[1], single[1], atol=1e-4)
    np.testing.assert_allclose(half[2], single[2], rtol=1e-3, atol=0.1)


def test_float32_has_no_operator_of_float16():
    block = GroupNorm(8, groups=4)
    assert '"op": "Cast"' not in block(mx.sym.var("data")).tojson()
