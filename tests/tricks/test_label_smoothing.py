"""Targets and cross entropy against the paper's formula, GluonCV's arithmetic, and MXNet's own
loss.
"""

import mxnet as mx
import numpy as np
import pytest

from gluon_tricks.tricks.label_smoothing import cross_entropy, smooth

LABELS = [3, 0, 9, 3]


def test_paper_gives_the_others_an_equal_share_of_epsilon():
    for epsilon in (0.1, 0.35):
        expected = np.full((4, 10), epsilon / 9)
        expected[np.arange(4), LABELS] = 1 - epsilon
        np.testing.assert_allclose(
            smooth(mx.nd.array(LABELS), 10, epsilon).asnumpy(), expected, atol=1e-7
        )


def test_gluoncv_gives_every_class_a_share():
    expected = np.full((4, 10), 0.1 / 10)
    expected[np.arange(4), LABELS] = 1 - 0.1 + 0.1 / 10
    np.testing.assert_allclose(
        smooth(mx.nd.array(LABELS), 10, 0.1, "gluoncv").asnumpy(), expected, atol=1e-7
    )


@pytest.mark.parametrize("form", ["paper", "gluoncv"])
@pytest.mark.parametrize("epsilon", [0, 0.1, 0.9])
def test_targets_are_distributions(form, epsilon):
    targets = smooth(mx.nd.array(LABELS), 1000, epsilon, form)
    assert targets.dtype == np.float32 and targets.shape == (4, 1000)
    np.testing.assert_allclose(targets.sum(axis=1).asnumpy(), 1, atol=1e-6)
    assert targets.argmax(axis=1).asnumpy().tolist() == LABELS


def test_epsilon_0_is_one_hot_also_with_one_class():
    np.testing.assert_array_equal(smooth(mx.nd.array(LABELS), 10, 0).asnumpy(), np.eye(10)[LABELS])
    np.testing.assert_array_equal(smooth(mx.nd.zeros(3), 1, 0).asnumpy(), np.ones((3, 1)))


@pytest.mark.parametrize("dtype", ["float32", "int32", "float64"])
def test_labels_of_any_dtype(dtype):
    np.testing.assert_allclose(
        smooth(mx.nd.array(LABELS, dtype=dtype), 10, 0.1).asnumpy().argmax(axis=1), LABELS
    )


def test_unknown_form_is_named():
    with pytest.raises(ValueError, match="unknown form 'mean'"):
        smooth(mx.nd.array(LABELS), 10, 0.1, "mean")


def test_cross_entropy_is_minus_q_log_p():
    rng = np.random.RandomState(0)
    logits, q = rng.normal(0, 30, (5, 7)), rng.dirichlet(np.ones(7), 5)
    shifted = logits - logits.max(axis=1, keepdims=True)
    expected = -(q * (shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))).sum(axis=1)
    found = cross_entropy(mx.nd.array(logits), mx.nd.array(q))
    assert found.shape == (5,) and found.dtype == np.float32
    np.testing.assert_allclose(found.asnumpy(), expected, rtol=1e-5)


def test_cross_entropy_is_mxnets_loss_for_classes_and_for_distributions():
    rng = np.random.RandomState(1)
    logits = mx.nd.array(rng.normal(size=(4, 10)))
    hard = mx.gluon.loss.SoftmaxCrossEntropyLoss()(logits, mx.nd.array(LABELS))
    np.testing.assert_allclose(
        cross_entropy(logits, smooth(mx.nd.array(LABELS), 10, 0)).asnumpy(),
        hard.asnumpy(),
        rtol=1e-5,
    )
    targets = smooth(mx.nd.array(LABELS), 10, 0.1)
    soft = mx.gluon.loss.SoftmaxCrossEntropyLoss(sparse_label=False)(logits, targets)
    np.testing.assert_allclose(cross_entropy(logits, targets).asnumpy(), soft.asnumpy(), rtol=1e-5)


def test_float16_logits_are_computed_in_float32():
    logits = mx.nd.array([[12.0, 0, 0], [-40.0, 40, 0]], dtype="float16")
    losses = cross_entropy(logits, smooth(mx.nd.array([1, 0]), 3, 0))
    assert losses.dtype == np.float32
    np.testing.assert_allclose(losses.asnumpy(), [12 + np.log1p(2 * np.exp(-12.0)), 80], rtol=1e-6)
