"""Distillation against the paper's formula in numpy and GluonCV's
DistillationSoftmaxCrossEntropyLoss.
"""

import mxnet as mx
import numpy as np
import pytest

from gluon_tricks.tricks.distillation import distill, soft_loss
from gluon_tricks.tricks.label_smoothing import cross_entropy, smooth

RNG = np.random.RandomState(3)
STUDENT, TEACHER = RNG.normal(0, 5, (6, 11)), RNG.normal(0, 8, (6, 11))
LABELS = RNG.randint(0, 11, 6)


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("temperature", [1, 4, 20])
def test_soft_loss_is_t_squared_cross_entropy_of_softened_outputs(temperature):
    expected = -(temperature**2) * (
        softmax(TEACHER / temperature) * np.log(softmax(STUDENT / temperature))
    ).sum(axis=1)
    found = soft_loss(mx.nd.array(STUDENT), mx.nd.array(TEACHER), temperature)
    assert found.shape == (6,) and found.dtype == np.float32
    np.testing.assert_allclose(found.asnumpy(), expected, rtol=1e-5)


def test_paper_sums_both_losses():
    hard = cross_entropy(mx.nd.array(STUDENT), smooth(mx.nd.array(LABELS), 11, 0))
    soft = soft_loss(mx.nd.array(STUDENT), mx.nd.array(TEACHER), 20)
    expected = -np.log(softmax(STUDENT))[np.arange(6), LABELS] - 400 * (
        softmax(TEACHER / 20) * np.log(softmax(STUDENT / 20))
    ).sum(axis=1)
    np.testing.assert_allclose(distill(hard, soft).asnumpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("hard_weight", [0, 0.3, 0.5, 1])
@pytest.mark.parametrize("smoothed", [False, True])
def test_weighted_form_is_gluoncvs_loss(hard_weight, smoothed):
    from gluoncv.loss import DistillationSoftmaxCrossEntropyLoss

    student, teacher, labels = mx.nd.array(STUDENT), mx.nd.array(TEACHER), mx.nd.array(LABELS)
    targets = smooth(labels, 11, 0.1 if smoothed else 0, "gluoncv")
    theirs = DistillationSoftmaxCrossEntropyLoss(
        temperature=20, hard_weight=hard_weight, sparse_label=not smoothed
    )(student, targets if smoothed else labels, mx.nd.softmax(teacher / 20))
    ours = distill(cross_entropy(student, targets), soft_loss(student, teacher, 20), hard_weight)
    np.testing.assert_allclose(ours.asnumpy(), theirs.asnumpy(), rtol=2e-5)


def test_soft_loss_pulls_the_student_to_the_teacher():
    student = mx.nd.array(STUDENT)
    student.attach_grad()
    with mx.autograd.record():
        loss = soft_loss(student, mx.nd.array(TEACHER), 20)
    loss.backward()
    # d/dz of T^2 CE(softmax(r/T), softmax(z/T)) is T (softmax(z/T) - softmax(r/T))
    np.testing.assert_allclose(
        student.grad.asnumpy(), 20 * (softmax(STUDENT / 20) - softmax(TEACHER / 20)), atol=2e-5
    )


def test_float16_outputs_are_computed_in_float32():
    half = soft_loss(
        mx.nd.array(STUDENT, dtype="float16"), mx.nd.array(TEACHER, dtype="float16"), 20
    )
    assert half.dtype == np.float32
    np.testing.assert_allclose(
        half.asnumpy(),
        soft_loss(mx.nd.array(STUDENT), mx.nd.array(TEACHER), 20).asnumpy(),
        rtol=2e-3,
    )
