"""What a classifier gets right: exactly what MXNet's metrics count on hard labels."""

import mxnet as mx
import numpy as np
import pytest

from gluon_tricks.tasks import registry
from gluon_tricks.tasks.classification import Classification
from gluon_tricks.tasks.figure import best_figure, is_better, loss_last

TASK = Classification(10)


def count(logits, labels, losses, valid=None):
    return TASK.count(logits, labels, losses, valid)


def test_counts_are_those_of_mxnets_metrics():
    rng = np.random.RandomState(0)
    logits, labels = mx.nd.array(rng.normal(size=(200, 10))), mx.nd.array(rng.randint(0, 10, 200))
    top1, top5 = mx.metric.Accuracy(), mx.metric.TopKAccuracy(5)
    top1.update(labels, logits)
    top5.update(labels, logits)
    counts = count(logits, labels, mx.nd.ones(200) * 0.5).asnumpy()
    assert counts.tolist() == [100.0, round(200 * top1.get()[1]), round(200 * top5.get()[1])]


def test_equal_logits_are_in_the_order_of_the_classes():
    logits = mx.nd.zeros((10, 10))
    counts = count(logits, mx.nd.arange(10), mx.nd.zeros(10)).asnumpy()
    assert counts.tolist() == [0, 1, 5]  # class 0 is first, classes 0 to 4 are among five


def test_logits_that_are_not_finite_are_never_right():
    logits = mx.nd.array([[np.nan, 0, 0], [np.inf, 0, 0], [np.nan] * 3, [1, 0, 0]])
    assert count(logits, mx.nd.zeros(4), mx.nd.zeros(4)).asnumpy()[1:].tolist() == [1, 1]


def test_fewer_than_five_classes_are_all_within_five():
    assert count(
        mx.nd.array([[0, 1], [1, 0]]), mx.nd.zeros(2), mx.nd.zeros(2)
    ).asnumpy().tolist() == [0, 1, 2]


@pytest.mark.parametrize("valid, expected", [(None, [10, 4, 4]), (3, [3, 3, 3]), (1, [0, 1, 1])])
def test_only_valid_images_count(valid, expected):
    logits = mx.nd.array(np.eye(6)[:4])
    assert (
        count(logits, mx.nd.arange(4), mx.nd.array([0, 1, 2, 7]), valid).asnumpy().tolist()
        == expected
    )


def test_float16_logits_are_counted():
    assert count(
        mx.nd.array([[2, 1, 3]], dtype="float16"), mx.nd.array([2]), mx.nd.zeros(1)
    ).asnumpy().tolist() == [0, 1, 1]


def test_the_summary_is_the_mean_loss_and_the_shares_in_percent():
    assert TASK.summary([30.0, 5, 15], 20) == dict(loss=1.5, top1=25, top5=75, images=20)
    assert TASK.summary([0, 0, 0], 0) == dict(loss=0, top1=0, top5=0, images=0)


def test_the_best_validation_has_the_most_right_and_of_equal_ones_the_first_stays():
    assert is_better(TASK, dict(top1=0.0), None)
    assert is_better(TASK, dict(top1=50.1), dict(top1=50.0))
    assert not is_better(TASK, dict(top1=50.0), dict(top1=50.0))


def test_any_figure_is_better_than_one_that_is_no_number():
    assert is_better(TASK, dict(top1=0.0), dict(top1=float("nan")))
    assert not is_better(TASK, dict(top1=float("nan")), dict(top1=0.0))


def test_figures_are_read_with_their_units():
    assert best_figure(TASK).text(77.1649) == "top-1 77.16 %"
    assert [figure.text(1) for figure in loss_last(TASK)][-1] == "loss 1.0000"


def test_validation_reports_the_plain_cross_entropy():
    logits, labels = mx.nd.random.normal(shape=(6, 10)), mx.nd.array([0, 2, 1, 2, 3, 0])
    expected = mx.gluon.loss.SoftmaxCrossEntropyLoss()(logits, labels).asnumpy()
    found = Classification(10, 0.1).validation_losses(logits, labels).asnumpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_runs_that_name_no_task_classify():
    assert registry.of({}) is Classification
