"""Validation counts every image once, on any number of devices."""

import mxnet as mx
import numpy as np
import pytest

from gluon_tricks.data.loader import Batch
from gluon_tricks.errors import UserError
from gluon_tricks.tasks.classification import Classification
from gluon_tricks.training.validation import evaluate


class Alone:
    """One worker with two devices."""

    devices = [mx.cpu(0), mx.cpu(1)]

    def sum(self, array):
        return array


class UnitLoss(Classification):
    """A loss of 1 for each image."""

    def validation_losses(self, logits, labels):
        return labels * 0 + 1


def batches(images, size):
    """Batches of one-hot "images", every third labelled wrongly, the last batch filled up."""
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
    sums = evaluate(
        lambda x: 10 * x, batches(images, size), Alone(), UnitLoss(7), expected=images
    ).to_json()
    wrong = len(range(0, images, 3))
    assert (sums["images"], sums["top1"], sums["loss"]) == (images, images - wrong, images)


def test_evaluation_that_misses_images_is_an_error():
    with pytest.raises(UserError, match="counted 24 images, but the file has 25"):
        evaluate(lambda x: x, batches(24, 8), Alone(), UnitLoss(7), expected=25)


def test_evaluation_casts_to_the_networks_dtype():
    seen = []
    evaluate(
        lambda x: seen.append(x.dtype) or x, batches(8, 8), Alone(), UnitLoss(7), dtype="float16"
    )
    assert set(seen) == {np.float16}
