"""Counts: exact, as MXNet's metrics on hard labels, without waiting, and every image once."""

import mxnet as mx
import numpy as np
import pytest

from gluon_tricks.data.loader import Batch
from gluon_tricks.errors import UserError
from gluon_tricks.training.metrics import Pending, Tally, evaluate, statistics


class Alone:
    """One worker with two devices."""

    devices = [mx.cpu(0), mx.cpu(1)]

    def sum(self, array):
        return array


def test_counts_are_those_of_mxnets_metrics():
    rng = np.random.RandomState(0)
    logits, labels = mx.nd.array(rng.normal(size=(200, 10))), mx.nd.array(rng.randint(0, 10, 200))
    top1, top5 = mx.metric.Accuracy(), mx.metric.TopKAccuracy(5)
    top1.update(labels, logits)
    top5.update(labels, logits)
    counts = statistics(logits, labels, mx.nd.ones(200) * 0.5).asnumpy()
    assert counts.tolist() == [100.0, round(200 * top1.get()[1]), round(200 * top5.get()[1])]


def test_equal_logits_are_in_the_order_of_the_classes():
    logits = mx.nd.zeros((10, 10))
    counts = statistics(logits, mx.nd.arange(10), mx.nd.zeros(10)).asnumpy()
    assert counts.tolist() == [0, 1, 5]  # class 0 is first, classes 0 to 4 are among five


def test_logits_that_are_not_finite_are_never_right():
    logits = mx.nd.array([[np.nan, 0, 0], [np.inf, 0, 0], [np.nan] * 3, [1, 0, 0]])
    assert statistics(logits, mx.nd.zeros(4), mx.nd.zeros(4)).asnumpy()[1:].tolist() == [1, 1]


def test_fewer_than_five_classes_are_all_within_five():
    assert statistics(
        mx.nd.array([[0, 1], [1, 0]]), mx.nd.zeros(2), mx.nd.zeros(2)
    ).asnumpy().tolist() == [0, 1, 2]


@pytest.mark.parametrize("valid, expected", [(None, [10, 4, 4]), (3, [3, 3, 3]), (1, [0, 1, 1])])
def test_only_valid_images_count(valid, expected):
    logits = mx.nd.array(np.eye(6)[:4])
    assert (
        statistics(logits, mx.nd.arange(4), mx.nd.array([0, 1, 2, 7]), valid).asnumpy().tolist()
        == expected
    )


def test_float16_logits_are_counted():
    assert statistics(
        mx.nd.array([[2, 1, 3]], dtype="float16"), mx.nd.array([2]), mx.nd.zeros(1)
    ).asnumpy().tolist() == [0, 1, 1]


def test_counts_of_many_images_stay_exact_integers():
    tally = Tally()
    for _ in range(1000):
        tally.add(np.array([0.1, 123456, 200000], "float32"), 200001)
    assert (tally.top1, tally.top5, tally.images) == (123456000, 200000000, 200001000)
    assert tally.summary()["top1"] == pytest.approx(100 * 123456 / 200001)


def test_the_tally_of_all_workers_is_a_sum_of_counts():
    class Two:
        def sum(self, array):
            assert array.dtype in (np.float64, np.int64)
            return array * 2

    assert Tally(1.5, 2, 3, 4).total(Two()) == Tally(3.0, 4, 6, 8)


def test_an_empty_tally_has_a_summary():
    assert Tally().summary() == dict(loss=0, top1=0, top5=0, images=0)


def test_pending_results_are_received_in_order_two_steps_later():
    received = []
    pending = Pending(
        lambda arrays, step: received.append((step, [float(a.sum()) for a in arrays]))
    )
    for step in range(5):
        pending.push([mx.nd.full((2,), step)], step)
        assert [number for number, _ in received] == list(range(step - 1))
    pending.drain()
    assert received == [(step, [2.0 * step]) for step in range(5)]


def batches(images, size):
    """Batches of one-hot "images" of which every third is labelled wrongly, the last one filled up."""
    truth = np.arange(images) % 7
    labels = np.where(np.arange(images) % 3 == 0, (truth + 6) % 7, truth)
    for start in range(0, images, size):
        valid = min(size, images - start)
        x, y = np.zeros((size, 7), "float32"), np.zeros(size, "float32")
        x[:valid], y[:valid] = (
            np.eye(7)[truth[start : start + valid]],
            labels[start : start + valid],
        )
        yield Batch(mx.nd.array(x), mx.nd.array(y), np.arange(size), valid, None)


@pytest.mark.parametrize("images, size", [(24, 8), (25, 8), (29, 8), (3, 8), (5, 3)])
def test_evaluation_counts_every_image_once_on_two_devices(images, size):
    tally = evaluate(
        lambda x: 10 * x, batches(images, size), Alone(), lambda z, y: y * 0 + 1, expected=images
    )
    wrong = len(range(0, images, 3))
    assert (tally.images, tally.top1, tally.loss) == (images, images - wrong, images)


def test_evaluation_that_misses_images_is_an_error():
    with pytest.raises(UserError, match="counted 24 images, but the file has 25"):
        evaluate(lambda x: x, batches(24, 8), Alone(), lambda z, y: y, expected=25)


def test_evaluation_casts_to_the_networks_dtype():
    seen = []
    evaluate(
        lambda x: seen.append(x.dtype) or x, batches(8, 8), Alone(), lambda z, y: y, dtype="float16"
    )
    assert set(seen) == {np.float16}
