"""A compiled formula computes what it would compute operator by operator, gradients included."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from gluon_tricks.tricks.compiled import compiled
from gluon_tricks.tricks.distillation import distill, soft_loss
from gluon_tricks.tricks.label_smoothing import cross_entropy

RNG = np.random.RandomState(0)
LOGITS, TEACHER = (mx.nd.array(RNG.normal(size=(6, 5))) for _ in range(2))
TARGETS = mx.nd.array(RNG.dirichlet(np.ones(5), 6))


def plain(function, *args):
    """The function before it was compiled."""
    return function.__wrapped__(*args)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize(
    "formula",
    [
        lambda call, z: call(cross_entropy, z, TARGETS),
        lambda call, z: call(soft_loss, z, TEACHER, 3.0),
        lambda call, z: call(distill, z.astype("float32").sum(axis=1), TARGETS.sum(axis=1), 0.3),
        lambda call, z: call(distill, z.astype("float32").sum(axis=1), TARGETS.sum(axis=1)),
    ],
)
def test_values_and_gradients_are_the_same_to_the_bit(formula, dtype):
    def both(call):
        z = LOGITS.astype(dtype)
        z.attach_grad()
        with autograd.record():
            values = formula(call, z)
        values.backward()
        return values.asnumpy(), z.grad.asnumpy()

    for found, expected in zip(both(lambda f, *given: f(*given)), both(plain)):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def test_each_combination_of_constants_and_each_shape_has_its_own_result():
    traced = []

    @compiled
    def power(x, y, exponent=2):
        traced.append(exponent)
        return x**exponent - y, y - 1

    a, b = mx.nd.array([1.0, 2.0, 3.0]), mx.nd.ones(3)
    assert power(a, b)[0].asnumpy().tolist() == [0, 3, 8]
    assert power(a, b, 3)[0].asnumpy().tolist() == [0, 7, 26]
    assert power(y=a, x=b)[1].asnumpy().tolist() == [0, 1, 2]
    longer, _ = power(mx.nd.full(4, 5.0), mx.nd.ones(4))
    assert longer.asnumpy().tolist() == [24] * 4
    assert traced == [2, 3]


def test_a_compiled_function_may_call_another():
    @compiled
    def twice(x):
        return inner(x) * 2

    @compiled
    def inner(x):
        return x + 1

    assert twice(mx.nd.array([1.0])).asscalar() == 4
