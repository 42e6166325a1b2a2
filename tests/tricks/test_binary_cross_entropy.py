"""The binary cross entropy, compared with its formula and with Gluon's loss."""

import mxnet as mx
import numpy as np
import pytest

from gluon_tricks.config import ConfigError, parse
from gluon_tricks.tasks.classification import Classification
from gluon_tricks.tricks.binary_cross_entropy import binary_cross_entropy

RANDOM = np.random.RandomState(0)
LOGITS, TARGETS = RANDOM.normal(size=(9, 7)) * 4, RANDOM.dirichlet([0.3] * 7, size=9)


def test_it_is_the_mean_over_the_classes_of_the_formula():
    s = 1 / (1 + np.exp(-LOGITS))
    expected = -(TARGETS * np.log(s) + (1 - TARGETS) * np.log(1 - s)).mean(axis=1)
    found = binary_cross_entropy(mx.nd.array(LOGITS), mx.nd.array(TARGETS))
    np.testing.assert_allclose(found.asnumpy(), expected, rtol=1e-5)


def test_it_is_gluons_with_the_same_gradient():
    gluons, found = mx.gluon.loss.SigmoidBinaryCrossEntropyLoss(), []
    for loss in (binary_cross_entropy, gluons):
        logits, targets = mx.nd.array(LOGITS), mx.nd.array(TARGETS)
        logits.attach_grad()
        with mx.autograd.record():
            value = loss(logits, targets)
        value.backward()
        found.append((value.asnumpy(), logits.grad.asnumpy()))
    for ours, theirs in zip(*found):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_large_logits_and_float16_are_no_trouble():
    logits = mx.nd.array([[6e4, -6e4]], dtype="float16")
    assert binary_cross_entropy(logits, mx.nd.array([[1, 0]])).asnumpy() == 0
    assert binary_cross_entropy(logits, mx.nd.array([[0, 1]])).asnumpy() == pytest.approx(
        6e4, rel=1e-3
    )


def test_targets_above_a_threshold_become_one_and_the_others_zero():
    logits, targets = mx.nd.array(LOGITS[:1]), mx.nd.array([[0.7, 0.3, 0.2, 0.1, 0, 0, 0]])
    hard = mx.nd.array([[1, 1, 0, 0, 0, 0, 0]])
    expected = binary_cross_entropy(logits, hard).asnumpy()
    np.testing.assert_allclose(binary_cross_entropy(logits, targets, 0.25).asnumpy(), expected)


def test_the_task_trains_on_it_and_still_validates_by_the_cross_entropy():
    logits, targets = mx.nd.array(LOGITS), mx.nd.array(TARGETS)
    task = Classification.from_config(parse(["--classes", "7", "--loss", "bce"]))
    expected = binary_cross_entropy(logits, targets).asnumpy()
    np.testing.assert_array_equal(task.losses(logits, targets).asnumpy(), expected)
    labels = mx.nd.array(RANDOM.randint(0, 7, 9))
    plain = Classification(7).validation_losses(logits, labels).asnumpy()
    np.testing.assert_array_equal(task.validation_losses(logits, labels).asnumpy(), plain)


def test_the_threshold_needs_the_loss():
    with pytest.raises(ConfigError, match="--bce-target-threshold has no effect"):
        parse(["--bce-target-threshold", "0.2"])


def test_a_threshold_undoes_smoothing():
    with pytest.raises(ConfigError, match="which undoes --label-smoothing 0.1"):
        parse("--loss bce --bce-target-threshold 0.2 --label-smoothing".split())
