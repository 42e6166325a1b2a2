"""Momentum with the rate outside, LARS and LAMB, under Gluon's Trainer, against numpy."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import gluon

from gluon_tricks.tricks.lamb import Lamb
from gluon_tricks.tricks.lars import Lars
from gluon_tricks.tricks.momentum import Momentum
from gluon_tricks.tricks.weight_decay import exempt_biases

RATES = [0.0, 1.0, 0.5, 2.0, 0.1, 0.1]  # the first is 0, as in a warmup from 0
WD, SCALE, UPDATES = 0.01, 4.0, len(RATES)
# Arrays of all kinds, more than one call takes; of each kind, one starts at 0.
SHAPES = {f"conv{i}_weight": (3, i + 1, 2) for i in range(44)}
SHAPES.update(dense_weight=(5, 4), zero_weight=(2, 2), dense_bias=(5,), bn_gamma=(3,), bn_beta=(3,))
ZERO = ("zero_weight", "dense_bias", "bn_beta")


def start():
    random = np.random.RandomState(1)
    return {
        name: np.zeros(shape) if name in ZERO else random.normal(size=shape)
        for name, shape in SHAPES.items()
    }


def gradients(update):
    random = np.random.RandomState(100 + update)
    return {name: random.normal(size=shape) for name, shape in SHAPES.items()}


def trained(optimizer, devices=1, dtype="float32", no_wd=True):
    """The weights after the updates of Gluon's Trainer: {name: float64 array}."""
    contexts = [mx.cpu(number) for number in range(devices)]
    parameters = gluon.ParameterDict()
    for name, shape in SHAPES.items():
        parameters.get(name, shape=shape, dtype=dtype)
    parameters.initialize(ctx=contexts)
    for name, value in start().items():
        parameters[name].set_data(mx.nd.array(value, dtype=dtype))
        if no_wd and not name.endswith("weight"):
            parameters[name].wd_mult = 0.0
    trainer = gluon.Trainer(parameters, optimizer, kvstore="device", update_on_kvstore=False)
    for update, rate in enumerate(RATES):
        trainer.set_learning_rate(rate)
        for name, gradient in gradients(update).items():
            for data, grad in zip(parameters[name].list_data(), parameters[name].list_grad()):
                grad[:] = mx.nd.array(SCALE * gradient / devices, dtype=dtype)
                data._fresh_grad = True
        trainer.allreduce_grads()
        trainer.update(SCALE)
    found = {}
    for name, parameter in parameters.items():
        first, *others = [data.asnumpy().astype("float64") for data in parameter.list_data()]
        assert all(np.array_equal(first, other) for other in others)
        found[name] = first
    return found


def expected(rule, no_wd=True):
    """The weights by a rule (name, w, g, wd, rate, state, t) -> w in float64."""
    weights, states = start(), {name: {} for name in SHAPES}
    for update, rate in enumerate(RATES):
        for name, g in gradients(update).items():
            wd = 0.0 if no_wd and not name.endswith("weight") else WD
            weights[name] = rule(name, weights[name], g, wd, rate, states[name], update + 1)
    return weights


def close(found, wanted, tolerance=2e-5):
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=tolerance, atol=tolerance, err_msg=name)


def settings(dtype="float32"):
    return dict(learning_rate=1.0, wd=WD, multi_precision=dtype == "float16")


def outside(name, w, g, wd, rate, state, t, nesterov=False):
    d = g + wd * w
    v = state["v"] = 0.9 * state.get("v", 0) + d
    return w - rate * (d + 0.9 * v if nesterov else v)


def lars(name, w, g, wd, rate, state, t, weights_only=True):
    norm, full = np.linalg.norm(w), np.linalg.norm(g) + wd * np.linalg.norm(w)
    ratio = 0.001 * (norm / full if norm else 1.0)
    if weights_only and not name.endswith("weight"):
        ratio = 1.0
    v = state["v"] = 0.9 * state.get("v", 0) + rate * ratio * (g + wd * w)
    return w - v


def lamb(name, w, g, wd, rate, state, t, weights_only=True):
    m = state["m"] = 0.9 * state.get("m", 0) + 0.1 * g
    v = state["v"] = 0.999 * state.get("v", 0) + 0.001 * g**2
    u = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-6) + wd * w
    norm = np.linalg.norm(w)
    if not norm or (weights_only and not name.endswith("weight")):
        return w - rate * u
    return w - rate * norm / np.linalg.norm(u) * u


CASES = {
    "sgd outside": (lambda **s: Momentum(0.9, **s), outside),
    "nag outside": (
        lambda **s: Momentum(0.9, nesterov=True, **s),
        lambda *a: outside(*a, nesterov=True),
    ),
    "lars": (lambda **s: Lars(0.9, **s), lars),
    "lars on all": (
        lambda **s: Lars(0.9, weights_only=False, **s),
        lambda *a: lars(*a, weights_only=False),
    ),
    "lamb": (lambda **s: Lamb(**s), lamb),
    "lamb on all": (
        lambda **s: Lamb(weights_only=False, **s),
        lambda *a: lamb(*a, weights_only=False),
    ),
}


@pytest.mark.parametrize("no_wd", [True, False], ids=["no_wd", "wd"])
@pytest.mark.parametrize("make, rule", CASES.values(), ids=CASES)
def test_updates_are_the_formula(make, rule, no_wd):
    close(trained(make(**settings()), no_wd=no_wd), expected(rule, no_wd))


@pytest.mark.parametrize("make, rule", CASES.values(), ids=CASES)
def test_devices_update_alike(make, rule):
    close(trained(make(**settings()), devices=2), expected(rule))


@pytest.mark.parametrize("make, rule", CASES.values(), ids=CASES)
def test_float16_weights_are_rounded_from_float32_copies(make, rule):
    # gradients are float16 as well: the first update of a zero weight shows their rounding
    close(trained(make(**settings("float16")), dtype="float16"), expected(rule), 1e-2)


def test_with_one_rate_the_velocity_outside_is_mxnets(monkeypatch):
    monkeypatch.setitem(globals(), "RATES", [0.1] * 4)
    plain, wd = settings(), dict(settings(), wd=0.0)
    theirs = trained(mx.optimizer.SGD(momentum=0.9, **plain))
    close(trained(Momentum(0.9, **plain)), theirs, 1e-6)
    # MXNet's nag applies the decay to half-updated weights
    theirs = trained(mx.optimizer.NAG(momentum=0.9, **wd))
    close(trained(Momentum(0.9, nesterov=True, **wd)), theirs, 1e-6)


def test_after_the_rate_falls_the_speed_falls_with_it():
    """Rate 1, then 0.1, with gradient 1: -1.19, where MXNet's own goes to -2."""
    weight, state = mx.nd.zeros(1), mx.nd.zeros(1)
    optimizer = Momentum(0.9, learning_rate=1.0)
    for rate in (1.0, 0.1):
        optimizer.set_learning_rate(rate)
        optimizer.update_multi_precision([0], [weight], [mx.nd.ones(1)], [state])
    assert weight.asscalar() == pytest.approx(-1.19, abs=1e-6)


def test_the_first_step_of_weights_that_are_zero_is_no_longer_than_the_next():
    weight, state = mx.nd.zeros((4, 4)), mx.nd.zeros((4, 4))
    optimizer = Lars(0.0, weights_only=False, learning_rate=10.0)
    steps = []
    for _ in range(3):
        before = weight.copy()
        optimizer.update_multi_precision([0], [weight], [mx.nd.ones((4, 4))], [state])
        steps.append((weight - before).norm().asscalar())
    assert steps[0] == pytest.approx(10 * 0.001 * 4, rel=1e-5) and steps[1] < steps[0]


def test_the_default_exclusion_is_that_of_the_papers_weight_decay():
    net = gluon.nn.HybridSequential()
    net.add(gluon.nn.Conv2D(2, 3, in_channels=3), gluon.nn.BatchNorm(in_channels=2))
    net.initialize()
    exempt_biases(net)
    trainer = gluon.Trainer(net.collect_params(), Lars(**settings()), update_on_kvstore=False)
    lars = trainer.optimizer
    for index, parameter in enumerate(trainer._params):
        assert lars.is_weight(index) == (parameter.wd_mult > 0)
