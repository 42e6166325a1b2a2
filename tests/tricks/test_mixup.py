"""Mixup: lambda's distribution, the partners, the arithmetic of the paper and the authors."""

import mxnet as mx
import numpy as np
import pytest
from scipy import stats

from gluon_tricks.config import ConfigError, parse
from gluon_tricks.tricks.label_smoothing import smooth
from gluon_tricks.tricks.mixing import PairMixup
from gluon_tricks.tricks.mixup import draw_lambda, draw_lambdas, draw_partners, mix


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_lambda_of_the_steps_is_beta(alpha):
    draws = [draw_lambda(alpha, seed=7, step=step) for step in range(1500)]
    assert stats.kstest(draws, stats.beta(alpha, alpha).cdf).pvalue > 0.01


def test_lambda_of_the_seeds_is_beta():
    draws = [draw_lambda(0.2, seed=seed, step=3) for seed in range(1500)]
    assert stats.kstest(draws, stats.beta(0.2, 0.2).cdf).pvalue > 0.01


def test_neighbouring_steps_and_seeds_have_unrelated_lambdas():
    by_step = np.array([draw_lambda(0.2, 0, step) for step in range(1000)])
    by_seed = np.array([draw_lambda(0.2, seed, 0) for seed in range(1000)])
    for draws in (by_step, by_seed):
        assert stats.spearmanr(draws[:-1], draws[1:]).pvalue > 0.01


def test_lambda_and_partners_depend_on_nothing_but_seed_and_step():
    first = draw_lambda(0.2, 1, 2), draw_partners(16, 1, 2, 3).tolist()
    np.random.seed(99)
    np.random.rand(5)
    assert (draw_lambda(0.2, 1, 2), draw_partners(16, 1, 2, 3).tolist()) == first


def test_random_partners_are_permutations_of_their_part():
    seen = set()
    for step in range(50):
        for part in range(3):
            partners = draw_partners(8, 0, step, part)
            assert sorted(partners.tolist()) == list(range(8))
            seen.add(tuple(partners.tolist()))
    assert len(seen) > 140  # of 150 draws from 40,320: parts and steps have their own


def test_random_partners_are_uniform():
    counts = np.zeros((6, 6))
    for step in range(1000):
        counts[np.arange(6), draw_partners(6, 0, step)] += 1
    assert stats.chisquare(counts.ravel()).pvalue > 0.01


def test_reversed_partners():
    assert draw_partners(5, 0, 0, form="reverse").tolist() == [4, 3, 2, 1, 0]


def test_mix_is_a_weighted_sum_of_pairs():
    rng = np.random.RandomState(0)
    images, partners, lam = rng.normal(size=(5, 3, 4, 4)), np.array([2, 0, 4, 1, 3]), 0.3
    mixed = mix(mx.nd.array(images), mx.nd.array(partners, dtype="int32"), lam)
    np.testing.assert_allclose(
        mixed.asnumpy(), 0.3 * images + 0.7 * images[partners], rtol=1e-5, atol=1e-6
    )


def test_mixed_targets_are_distributions():
    targets = smooth(mx.nd.array([0, 1, 2]), 4, 0.1)
    mixed = mix(targets, mx.nd.array([1, 2, 0], dtype="int32"), 0.25).asnumpy()
    np.testing.assert_allclose(mixed.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(
        mixed[0],
        [0.25 * 0.9 + 0.75 * 0.1 / 3, 0.25 * 0.1 / 3 + 0.75 * 0.9, 0.1 / 3, 0.1 / 3],
        atol=1e-6,
    )


def test_reverse_is_the_authors_arithmetic():
    rng = np.random.RandomState(0)
    x, labels, lam, eta, classes = (
        mx.nd.array(rng.normal(size=(7, 2))),
        mx.nd.array([0, 3, 2, 1, 3, 3, 0]),
        0.81,
        0.1,
        4,
    )
    partners = mx.nd.array(draw_partners(7, 0, 0, form="reverse"), dtype="int32")
    np.testing.assert_allclose(
        mix(x, partners, lam).asnumpy(), (lam * x + (1 - lam) * x[::-1]).asnumpy(), rtol=1e-6
    )
    share = dict(on_value=1 - eta + eta / classes, off_value=eta / classes)
    theirs = lam * labels.one_hot(classes, **share) + (1 - lam) * labels[::-1].one_hot(
        classes, **share
    )
    ours = mix(smooth(labels, classes, eta, "gluoncv"), partners, lam)
    np.testing.assert_allclose(ours.asnumpy(), theirs.asnumpy(), atol=1e-7)


# Assembled-CNN's types, with a lambda for each pair


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_lambdas_of_pairs_are_beta_and_follow_from_seed_step_and_part(alpha):
    draws = [draw_lambdas(50, alpha, 7, step, part) for step in range(20) for part in range(2)]
    assert stats.kstest(np.concatenate(draws), stats.beta(alpha, alpha).cdf).pvalue > 0.01
    assert len({draw[0] for draw in draws}) == 40
    np.testing.assert_array_equal(draw_lambdas(50, alpha, 7, 3, 1), draws[7])


@pytest.mark.parametrize("kind", [1, 2])
def test_pairs_are_mixed_as_assembled_cnn_does(kind):
    images, targets = np.random.RandomState(0).normal(size=(8, 3, 2, 2)), np.eye(8)
    made = PairMixup(kind, 0.2, seed=5, until=9)(mx.nd.array(images), mx.nd.array(targets), 3, 1)
    n = 4 if kind == 1 else 8
    lams = draw_lambdas(n, 0.2, 5, 3, 1)
    for x, mixed in zip((images, targets), made):
        first, second = x[:4], x[4:]
        partners = second if kind == 1 else np.concatenate([second, second[::-1]])
        own = first if kind == 1 else np.concatenate([first, first])
        shape = (n,) + (1,) * (x.ndim - 1)
        expected = lams.reshape(shape) * own + (1 - lams.reshape(shape)) * partners
        np.testing.assert_allclose(mixed.asnumpy(), expected, rtol=1e-5, atol=1e-6)


def test_in_the_last_epochs_type_1_gives_the_first_half_as_it_is():
    images, targets = mx.nd.random.normal(shape=(6, 3, 2, 2)), mx.nd.eye(6)
    found, same = PairMixup(1, 0.2, seed=0, until=4)(images, targets, 4, 0)
    np.testing.assert_array_equal(found.asnumpy(), images[:3].asnumpy())
    np.testing.assert_array_equal(same.asnumpy(), np.eye(6)[:3])


def test_type_2_needs_an_even_batch():
    with pytest.raises(ConfigError, match="--batch-size 7 is odd"):
        parse(["--mixup", "--mixup-type", "2", "--batch-size", "7"])
