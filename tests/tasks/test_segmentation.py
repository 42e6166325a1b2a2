"""The figures and losses of segmentation against scikit-learn's, GluonCV's and formulas."""

import mxnet as mx
import numpy as np
import pytest
from gluoncv.loss import MixSoftmaxCrossEntropyLoss
from gluoncv.utils.metrics.segmentation import SegmentationMetric
from mxnet import autograd
from sklearn.metrics import confusion_matrix

from gluon_tricks.tasks.segmentation import Segmentation

K = 6


def case(seed, images=3, ignored=0.2, classes=K):
    random = np.random.RandomState(seed)
    masks = random.randint(0, classes, (images, 9, 11))
    masks[random.uniform(size=masks.shape) < ignored] = 255
    logits = random.normal(size=(images, K, 9, 11)).astype(np.float32)
    right = np.eye(K)[np.minimum(masks, K - 1)].transpose(0, 3, 1, 2)
    logits += 2 * right * random.uniform(size=masks.shape)[:, None]
    return mx.nd.array(logits), mx.nd.array(masks, dtype="uint8")


def figures(task, batches):
    total, images = 0, 0
    for logits, masks, valid in batches:
        losses = task.validation_losses(logits, masks)
        total = total + task.count(logits, masks, losses, valid).asnumpy().astype(float)
        images += len(masks) if valid is None else valid
    return task.summary(total.tolist(), images), total


CASES = {
    "random": [(*case(0), None), (*case(1), None)],
    "a class that the masks do not have": [(*case(2, classes=3), None)],
    "nothing labelled": [(*case(3, ignored=1.1), None)],
    "all labelled": [(*case(4, ignored=0), None)],
    "rows that only fill": [(*case(5), 2), (*case(6), 1)],
}


@pytest.mark.parametrize("name", CASES)
def test_figures_are_those_of_gluoncv_and_of_a_confusion_matrix(name):
    theirs, confusion = SegmentationMetric(K), np.zeros((K, K), int)
    for logits, masks, valid in CASES[name]:
        logits, masks = logits[:valid], masks[:valid].asnumpy().astype(int)
        theirs.update(mx.nd.array(np.where(masks == 255, -1, masks)), logits)
        labelled = masks != 255
        if labelled.any():
            predicted = logits.asnumpy().argmax(axis=1)
            confusion += confusion_matrix(masks[labelled], predicted[labelled], labels=range(K))
    found, total = figures(Segmentation(K), CASES[name])
    accuracy, miou = theirs.get()
    assert found["accuracy"] == pytest.approx(100 * accuracy, abs=1e-9)
    assert found["miou"] == pytest.approx(100 * miou, abs=1e-9)
    areas = np.concatenate([np.diag(confusion), confusion.sum(axis=0), confusion.sum(axis=1)])
    np.testing.assert_array_equal(total[1:], areas)


def log_softmax(logits):
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def mean_loss(logits, masks):
    """Over all labelled pixels."""
    masks = masks.asnumpy().astype(int)
    n, y, x = np.nonzero(masks != 255)
    return -log_softmax(logits.asnumpy())[n, masks[n, y, x], y, x].mean()


def test_the_loss_is_the_mean_over_labelled_pixels_and_the_weighted_auxiliary_one():
    logits, masks = case(7)
    others, _ = case(8)
    task = Segmentation(K, aux_weight=0.3)
    losses = task.losses([logits, others], task.targets(masks))
    assert losses.shape == (3,) and losses.dtype == np.float32
    expected = mean_loss(logits, masks) + 0.3 * mean_loss(others, masks)
    assert losses.mean().asscalar() == pytest.approx(expected, rel=1e-5)
    found, _ = figures(task, [(logits, masks, None)])
    assert found["loss"] == pytest.approx(mean_loss(logits, masks), rel=1e-5)


def test_an_image_without_labels_has_no_loss_and_no_gradient():
    logits, masks = case(9, ignored=1.1)
    logits.attach_grad()
    with autograd.record():
        losses = Segmentation(K).losses(logits, masks)
    losses.backward()
    assert losses.asnumpy().tolist() == [0, 0, 0]
    assert not logits.grad.asnumpy().any()


def test_gluoncvs_form_has_the_gradient_of_gluoncvs_loss():
    logits, masks = case(10)
    others, _ = case(11)
    signed = mx.nd.array(np.where(masks.asnumpy() == 255, -1, masks.asnumpy().astype(int)))
    gradients = []
    for compute in (
        lambda: Segmentation(K, 1.0, "gluoncv").losses([logits, others], masks),
        lambda: MixSoftmaxCrossEntropyLoss(True, aux_weight=0.5)(logits, others, signed),
    ):
        for array in (logits, others):
            array.attach_grad()
        with autograd.record():
            loss = compute()
        loss.backward()
        gradients.append([logits.grad.asnumpy(), others.grad.asnumpy()])
    for ours, theirs in zip(*gradients):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-7)


def test_logits_that_are_not_finite_predict_nothing():
    logits, masks = case(12, ignored=0)
    logits[0] = np.nan
    total = Segmentation(K).count(logits, masks, mx.nd.zeros(3)).asnumpy()
    assert total[1 + K : 1 + 2 * K].sum() == 2 * 9 * 11 and total[1 + 2 * K :].sum() == 3 * 9 * 11
