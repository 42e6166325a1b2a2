"""The loss scale's rules, the test for finite gradients, and the float32 master copy of MXNet's
optimizer.
"""

import json

import mxnet as mx
import numpy as np
import pytest

from gluon_tricks.tricks.precision import LossScale, all_finite


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


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_one_bad_element_among_dtypes_and_devices_is_found(bad, dtype):
    gradients = [mx.nd.ones((3, 3), dtype="float16"), mx.nd.ones(5), mx.nd.ones(2, ctx=mx.cpu(1))]
    assert all_finite(gradients)
    broken = mx.nd.ones((2, 2), dtype=dtype, ctx=mx.cpu(1))
    broken[1, 0] = bad
    assert not all_finite(gradients + [broken])


def test_many_gradients_and_the_largest_float16_are_finite():
    assert all_finite([mx.nd.full((2,), 65504, dtype="float16") for _ in range(300)])


def test_the_master_copy_keeps_updates_that_float16_would_lose():
    weight = mx.gluon.Parameter("weight", shape=(1,), dtype="float16", init=mx.init.One())
    weight.initialize()
    trainer = mx.gluon.Trainer(
        [weight],
        "nag",
        dict(learning_rate=1.0, momentum=0.0, wd=0.0, multi_precision=True),
        update_on_kvstore=False,
    )
    for _ in range(100):
        with mx.autograd.record():
            loss = weight.data() * 1e-4  # its gradient is below float16's spacing at 1
        loss.backward()
        trainer.update(1)
    np.testing.assert_allclose(weight.data().asnumpy(), 0.99, atol=5e-4)
