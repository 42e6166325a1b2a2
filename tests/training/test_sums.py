"""Sums that add up over steps and workers, and results that are read when they are finished."""

import mxnet as mx
import numpy as np

from gluon_tricks.training.pending import Pending
from gluon_tricks.training.sums import Sums

NAMES = ("loss", "top1", "top5")


def test_counts_of_many_images_stay_exact_integers():
    sums = Sums(NAMES)
    for _ in range(1000):
        sums.add(np.array([0.1, 123456, 200000], "float32"), 200001)
    found = sums.to_json()
    assert (found["top1"], found["top5"], found["images"]) == (123456000, 200000000, 200001000)
    np.testing.assert_allclose(found["loss"], 100)


def test_the_sums_of_all_workers_are_their_sum():
    class Two:
        def sum(self, array):
            assert array.dtype == np.float64
            return array * 2

    found = Sums(NAMES, [1.5, 2, 3], 4).total(Two())
    assert found.to_json() == dict(loss=3.0, top1=4, top5=6, images=8)
    assert isinstance(found.images, int)


def test_pending_results_are_received_in_order_two_steps_later():
    received = []
    pending = Pending(lambda array, step: received.append((step, float(array.asnumpy().sum()))))
    for step in range(5):
        pending.push(mx.nd.full((2,), step), step)
        assert [number for number, _ in received] == list(range(step - 1))
    pending.drain()
    assert received == [(step, 2.0 * step) for step in range(5)]
