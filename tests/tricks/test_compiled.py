"""A compiled formula computes what it would compute operator by operator, gradients included, and
is one that a GPU can compile.
"""

import importlib
import json
import pkgutil
import re

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from gluon_tricks import models, tasks, tricks
from gluon_tricks.tasks.detection_step import Losses
from gluon_tricks.tricks.compiled import casts, compiled
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


def test_casts_are_those_of_numpy_and_may_go_into_parts_of_an_array():
    wide = RNG.normal(size=7).astype("float32") * 10.0 ** np.arange(-4, 3)
    whole = mx.nd.zeros(12)
    narrow = mx.nd.zeros(7, dtype="float16")
    sources = mx.nd.array(wide), mx.nd.array(wide[:4]), mx.nd.array([1, 2], dtype="uint8")
    casts(sources, [narrow, whole[2:6], whole[8:10]])()
    np.testing.assert_array_equal(narrow.asnumpy(), wide.astype("float16"))
    expected = [0, 0, *wide[:4], 0, 0, 1, 2, 0, 0]
    np.testing.assert_array_equal(whole.asnumpy(), np.float32(expected))
    casts([], [])()


# The operators whose numbers MXNet writes into C++ as they stand in the graph, when it joins them
# with others on a GPU: those of its src/operator/fusion/fused_op-inl.h.
JOINED = {"clip", "smooth_l1"} | {
    f"_{name}_scalar" for name in "plus minus rminus mul div rdiv power rpower hypot".split()
}
NUMBER = re.compile(r"-?\d+(\.\d*)?(e[+-]?\d+)?")

X, Y, Z = map(mx.sym.var, "xyz")
FORMULAS = {
    "binary_cross_entropy": (X, Y, 0.2),
    "cross_entropy": (X, Y),
    "distill": (X, Y, 0.5),
    "soft_loss": (X, Y, 20.0),
    "_next_scale": (X, Y, Z, 2000),
    "_sums": (X, Y, Z, None),
    "summed_cross_entropy": (X, Y),
    "labelled_pixels": (X,),
    "_numbered": (X, Y),
}


def compiled_functions():
    """All of the package, by name."""
    found = {}
    for package in (tasks, tricks):
        for about in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            for name, value in vars(importlib.import_module(about.name)).items():
                if getattr(value, "__code__", None) is compiled(len).__code__:
                    found[name] = value
    return found


def unreadable(symbol):
    """(operator, number) of the numbers in a graph that C++ cannot read."""
    return [
        (node["op"], value)
        for node in json.loads(symbol.tojson())["nodes"]
        if node["op"] in JOINED
        for name, value in node["attrs"].items()
        if name in ("scalar", "a_min", "a_max") and not NUMBER.fullmatch(value)
    ]


def test_a_gpu_can_compile_the_numbers_of_all_formulas():
    functions = compiled_functions()
    assert functions.keys() == FORMULAS.keys()
    for name, function in functions.items():
        made = function(*FORMULAS[name])
        made = mx.sym.Group(list(made)) if isinstance(made, tuple) else made
        assert not unreadable(made), name
    assert unreadable(X.clip(1, np.inf)) == [("clip", "inf")]


@pytest.mark.parametrize(
    "name, options",
    [
        ("resnet18_v1d", dict(drop_block=0.1, gem=True)),
        ("resnet18_v1b", dict(use_gn=True)),
        ("fcn_resnet18_v1b", {}),
    ],
)
def test_a_gpu_can_compile_the_numbers_of_networks(name, options):
    net = models.get_model(name, classes=3, **options)
    with autograd.train_mode():
        outputs = net(mx.sym.var("data"))
    assert not unreadable(mx.sym.Group(outputs) if isinstance(outputs, list) else outputs)


def test_a_gpu_can_compile_the_numbers_of_a_detectors_step():
    net = models.get_model("faster_rcnn_resnet18_v1b", classes=3)
    with autograd.train_mode():
        assert not unreadable(Losses(net)(X, Y, Z, mx.sym.var("regions")))
        assert not unreadable(mx.sym.Group(list(net(X))))
