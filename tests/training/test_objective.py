"""What a step minimises: the order of smoothing, mixup and distillation, mixup's last epochs, and
dtypes.
"""

import mxnet as mx
import numpy as np
import pytest

from gluon_tricks.config import parse
from gluon_tricks.tasks.classification import Classification
from gluon_tricks.training.objective import Objective
from gluon_tricks.tricks.mixup import draw_lambda, draw_partners

RNG = np.random.RandomState(0)
IMAGES = mx.nd.array(RNG.normal(size=(6, 3, 4, 4)))
LABELS = mx.nd.array([0, 2, 1, 2, 3, 0])


def objective(words="", steps_per_epoch=5, teacher=None):
    config = parse(["--classes", "4"] + words.split())
    task = Classification.from_config(config)
    return Objective.from_config(config, task, steps_per_epoch, teacher)


def test_plainly_the_images_stay_and_the_targets_are_one_hot():
    inputs, targets = objective().prepare(IMAGES, LABELS, 0, 0)
    np.testing.assert_array_equal(inputs.asnumpy(), IMAGES.asnumpy())
    np.testing.assert_array_equal(targets.asnumpy(), np.eye(4)[LABELS.asnumpy().astype(int)])


@pytest.mark.parametrize("partner", ["random", "reverse"])
def test_smoothed_targets_are_mixed_with_the_lambda_and_pairs_of_the_images(partner):
    made = objective("--label-smoothing --mixup --seed 5 --mixup-partner " + partner)
    q = np.full((6, 4), 0.1 / 3)
    q[np.arange(6), LABELS.asnumpy().astype(int)] = 0.9
    for step, part in ((0, 0), (7, 2)):
        lam, pairs = draw_lambda(0.2, 5, step), draw_partners(6, 5, step, part, partner)
        inputs, targets = made.prepare(IMAGES, LABELS, step, part)
        x = IMAGES.asnumpy()
        np.testing.assert_allclose(inputs.asnumpy(), lam * x + (1 - lam) * x[pairs], atol=1e-6)
        np.testing.assert_allclose(targets.asnumpy(), lam * q + (1 - lam) * q[pairs], atol=1e-6)


def test_all_parts_of_a_step_share_lambda_but_not_pairs():
    made = objective("--mixup")
    inputs = [
        made.prepare(mx.nd.arange(6).reshape((6, 1)), LABELS, 3, part)[0].asnumpy().ravel()
        for part in range(4)
    ]
    lam = draw_lambda(0.2, 0, 3)
    pairs = [np.round((x - lam * np.arange(6)) / (1 - lam)).astype(int).tolist() for x in inputs]
    assert all(sorted(pair) == list(range(6)) for pair in pairs) and len(set(map(tuple, pairs))) > 1


def test_the_last_epochs_are_not_mixed_but_still_smoothed():
    made = objective("--mixup --label-smoothing --num-epochs 4 --mixup-off-epoch 1")
    inputs, _ = made.prepare(IMAGES, LABELS, 14, 0)
    assert not np.array_equal(inputs.asnumpy(), IMAGES.asnumpy())
    for step in (15, 19):
        inputs, targets = made.prepare(IMAGES, LABELS, step, 0)
        np.testing.assert_array_equal(inputs.asnumpy(), IMAGES.asnumpy())
        np.testing.assert_allclose(targets.asnumpy().max(axis=1), 0.9, atol=1e-6)


def test_the_teacher_sees_the_mixed_images_and_no_gradient_goes_through_it():
    seen = []

    def teacher(inputs):
        seen.append(inputs)
        return inputs.reshape((6, -1))[:, :4]

    made = objective("--mixup --teacher x", teacher=teacher)
    inputs, _ = made.prepare(IMAGES, LABELS, 0, 0)
    (logits,) = made.look(inputs, np.arange(6))
    assert seen[0] is inputs
    np.testing.assert_array_equal(logits.asnumpy(), teacher(inputs).asnumpy())
    assert objective().look(inputs, np.arange(6)) == []


@pytest.mark.parametrize(
    "words, weights",
    [
        ("", (1, 1)),
        ("--hard-weight 0.3", (0.3, 0.7)),
        ("--hard-weight 1", (1, 0)),
        ("--hard-weight 0", (0, 1)),
    ],
)
def test_hard_and_soft_losses_are_summed_or_weighted(words, weights):
    made = objective("--teacher x --temperature 3 " + words, teacher=lambda inputs: None)
    z, r = RNG.normal(size=(6, 4)), RNG.normal(size=(6, 4))
    _, targets = objective().prepare(IMAGES, LABELS, 0, 0)

    def log_softmax(x):
        return x - np.log(np.exp(x).sum(axis=1, keepdims=True))

    hard = -(targets.asnumpy() * log_softmax(z)).sum(axis=1)
    soft = -9 * (np.exp(log_softmax(r / 3)) * log_softmax(z / 3)).sum(axis=1)
    found = made.losses(mx.nd.array(z), targets, [mx.nd.array(r)])
    np.testing.assert_allclose(found.asnumpy(), weights[0] * hard + weights[1] * soft, rtol=1e-5)


def test_a_soft_loss_next_to_binary_cross_entropy_is_a_sum_over_classes_as_documented():
    """The mean over K classes and the sum; with the weight K / (K + 1) both are sums."""
    z, r = RNG.normal(size=(6, 4)), RNG.normal(size=(6, 4))
    _, targets = objective().prepare(IMAGES, LABELS, 0, 0)
    binary = np.log1p(np.exp(z)) - z * targets.asnumpy()
    p, q = (np.exp(x / 3) / np.exp(x / 3).sum(axis=1, keepdims=True) for x in (r, z))
    soft = -9 * (p * np.log(q)).sum(axis=1)
    for words, expected in (
        ("", binary.mean(axis=1) + soft),
        ("--hard-weight 0.8", (binary.sum(axis=1) + soft) / 5),
    ):
        words = "--loss bce --teacher x --temperature 3 " + words
        made = objective(words, teacher=lambda inputs: None)
        found = made.losses(mx.nd.array(z), targets, [mx.nd.array(r)])
        np.testing.assert_allclose(found.asnumpy(), expected, rtol=1e-5)


def test_float16_inputs_and_float32_targets_and_losses():
    made = objective("--dtype float16 --mixup --label-smoothing")
    inputs, targets = made.prepare(IMAGES, LABELS, 0, 0)
    assert (inputs.dtype, targets.dtype) == (np.float16, np.float32)
    assert made.losses(mx.nd.zeros((6, 4), dtype="float16"), targets).dtype == np.float32
