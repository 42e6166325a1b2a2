"""The confusion matrix against scikit-learn's, its figures against GluonCV's and by hand."""

import mxnet as mx
import numpy as np
import pytest
import sklearn.metrics
from gluoncv.utils.metrics.segmentation import SegmentationMetric

from gluon_tricks.tasks.confusion import confusion_matrix, of_classes, summary
from gluon_tricks.tasks.segmentation import Segmentation

K = 5


def masks(seed, classes=K, ignored=0.2):
    random = np.random.RandomState(seed)
    truth = random.randint(0, classes, (7, 9)).astype(np.uint8)
    predicted = np.where(random.uniform(size=truth.shape) < 0.5, truth, truth * 2 % K)
    truth[random.uniform(size=truth.shape) < ignored] = 255
    return truth, predicted.astype(np.uint8)


CASES = {
    "random": masks(0),
    "all labelled": masks(1, ignored=0),
    "classes that occur nowhere": masks(2, classes=2),
    "nothing labelled": masks(3, ignored=1.1),
    "one class": (np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_matrix_is_scikit_learns(name):
    truth, predicted = CASES[name]
    found = confusion_matrix(truth, predicted, K)
    labelled = truth != 255
    expected = np.zeros((K, K), int)
    if labelled.any():  # scikit-learn needs one
        pair = truth[labelled], predicted[labelled]
        expected = sklearn.metrics.confusion_matrix(*pair, labels=range(K))
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", CASES)
def test_the_figures_are_gluoncvs_and_those_of_training(name):
    truth, predicted = CASES[name]
    found = summary(confusion_matrix(truth, predicted, K))
    signed = mx.nd.array(np.where(truth == 255, -1, truth.astype(int))[None])
    logits = mx.nd.array(np.eye(K)[predicted].transpose(2, 0, 1)[None])
    theirs = SegmentationMetric(K)
    theirs.update(signed, logits)
    accuracy, miou = theirs.get()
    assert found["accuracy"] == pytest.approx(100 * accuracy, abs=1e-9)
    assert found["miou"] == pytest.approx(100 * miou, abs=1e-9)
    labels = mx.nd.array(truth[None], dtype="uint8")
    sums = Segmentation(K).count(logits, labels, mx.nd.zeros(1)).asnumpy().tolist()
    trained = Segmentation.summary(sums, 1)
    for figure in ("accuracy", "miou"):
        assert found[figure] == pytest.approx(trained[figure], abs=1e-4)


def test_figures_of_a_matrix_that_a_person_can_count():
    matrix = np.array([[6, 2, 0, 0], [0, 2, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]])
    each, all_of_them = of_classes(matrix), summary(matrix)
    assert each.labelled.tolist() == [8, 2, 1, 0] and each.predicted.tolist() == [6, 5, 0, 0]
    assert each.iou == pytest.approx([75, 40, 0, 0]) and each.accuracy.tolist() == [75, 100, 0, 0]
    assert each.occurs.tolist() == [True, True, True, False]
    assert all_of_them["accuracy"] == pytest.approx(100 * 8 / 11)
    assert all_of_them["miou"] == pytest.approx(115 / 4)  # the absent class counts as 0
    assert all_of_them["miou_occurring"] == pytest.approx(115 / 3)
    assert all_of_them["class_accuracy"] == pytest.approx(175 / 3)
    assert (all_of_them["classes_occurring"], all_of_them["pixels"]) == (3, 11)


def test_without_labelled_pixels_all_figures_are_0():
    found = summary(np.zeros((3, 3), int))
    assert set(found.values()) == {0}


@pytest.mark.parametrize("truth, predicted", [([5], [0]), ([0], [5]), ([0, 1], [0])])
def test_other_classes_and_shapes_are_refused(truth, predicted):
    with pytest.raises(ValueError):
        confusion_matrix(np.array(truth), np.array(predicted), K)


def test_what_is_predicted_at_an_uncounted_pixel_does_not_matter():
    assert confusion_matrix(np.array([255, 1]), np.array([200, 1]), 2).tolist() == [[0, 0], [0, 1]]
