"""The loss scale's rules, on the host and on a device."""

import json

import mxnet as mx
import numpy as np
import pytest

from gluon_tricks.tricks.precision import LossScale, ScaleOnDevice


def test_a_dynamic_scale_halves_at_once_and_doubles_after_good_steps():
    scale = LossScale("dynamic", growth=4)
    assert scale.scale == 65536
    scale.update(False)
    assert (scale.scale, scale.skipped, scale.skipped_in_a_row) == (32768, 1, 1)
    for _ in range(3):
        scale.update(True)
    assert scale.scale == 32768 and scale.skipped_in_a_row == 0
    scale.update(True)
    assert scale.scale == 65536
    for _ in range(3):
        scale.update(True)
    scale.update(False)  # the count of good steps starts again
    for _ in range(3):
        scale.update(True)
    assert scale.scale == 32768


def test_a_dynamic_scale_stays_within_1_and_two_to_the_24():
    scale = LossScale("dynamic", growth=1)
    for _ in range(40):
        scale.update(True)
    assert scale.scale == 2.0**24
    for _ in range(60):
        scale.update(False)
    assert scale.scale == 1 and scale.skipped == 60


def test_a_static_scale_never_changes_but_counts():
    scale = LossScale(128, growth=1)
    for finite in (True, False, False, True):
        scale.update(finite)
    assert (scale.scale, scale.skipped, scale.skipped_in_a_row) == (128, 2, 0)


def test_state_survives_json():
    scale = LossScale("dynamic", growth=3)
    for finite in (True, True, False, True, True):
        scale.update(finite)
    other = LossScale("dynamic", growth=3)
    other.restore(json.loads(json.dumps(scale.state())))
    for finite in (True, True, False):
        scale.update(finite)
        other.update(finite)
        assert other.state() == scale.state()


@pytest.mark.parametrize("first", [dict(), dict(scale=2.0, good_steps=7), dict(scale=2.0**24)])
def test_a_scale_on_a_device_follows_the_rules_from_where_it_begins(first):
    scale = LossScale("dynamic", growth=4)
    scale.restore(first)
    there = ScaleOnDevice(scale, mx.cpu())
    for finite in np.random.RandomState(0).uniform(size=200) < 0.85:
        scale.update(finite)
        there.update(mx.nd.array([float(finite)]))
        assert there.value.asscalar() == scale.scale


def test_gradients_are_divided_by_a_dynamic_scale_and_left_to_the_optimizer_by_a_static_one():
    gradients = [mx.nd.array([-3.0, 2.0**-20]), mx.nd.ones((2, 2))]
    assert ScaleOnDevice(LossScale("dynamic"), mx.cpu()).unscale(gradients) == 1
    np.testing.assert_array_equal(gradients[0].asnumpy(), np.float32([-3, 2.0**-20]) / 2**16)
    np.testing.assert_array_equal(gradients[1].asnumpy(), np.full((2, 2), 2.0**-16, "float32"))
    assert ScaleOnDevice(LossScale(1000.0), mx.cpu()).unscale(gradients) == 1e-3
    np.testing.assert_array_equal(gradients[1].asnumpy(), np.full((2, 2), 2.0**-16, "float32"))
