"""CutMix: the rectangle, the pasted images, the targets' shares, and taking turns with mixup."""

import mxnet as mx
import numpy as np
import pytest
from scipy import stats

from gluon_tricks.config import ConfigError, parse
from gluon_tricks.tricks.cutmix import draw_rectangle, interval, share_left
from gluon_tricks.tricks.mixing import CutMix, Mixup, OneOf, mixings
from gluon_tricks.tricks.mixup import draw_partners


def test_the_area_is_one_minus_lambda_if_nothing_is_cut_off():
    """lambda ~ Beta(1, 1), so the share of a rectangle that lies within is uniform."""
    shares = []
    for step in range(3000):
        top, bottom, left, right = draw_rectangle(1000, 2000, 1.0, 0, step)
        if 0 < top and bottom < 1000 and 0 < left and right < 2000:
            shares.append((bottom - top) * (right - left) / 2e6)
            # the image's own aspect ratio
            assert abs((right - left) - 2 * (bottom - top)) <= 2
    # a rectangle of a share s lies within with probability (1 - sqrt(s))^2
    s = np.linspace(0, 1, 2001)
    cdf = np.cumsum((1 - np.sqrt(s)) ** 2)
    assert stats.kstest(shares, lambda x: np.interp(x, s, cdf / cdf[-1])).pvalue > 1e-3


def test_the_centre_is_uniform():
    tops = [draw_rectangle(400, 400, 1.0, seed, 7) for seed in range(2000)]
    centres = [(top + bottom) / 2 for top, bottom, _, _ in tops if 0 < top and bottom < 400]
    assert abs(np.mean(centres) - 200) < 6


def test_an_interval_is_cut_off_at_the_ends():
    assert interval(100, 0.5, 0.5) == (25, 75)
    assert interval(100, 0.5, 0.0) == (0, 25) and interval(100, 0.5, 0.99) == (74, 100)
    assert interval(100, 0.0, 0.5) == (50, 50)


def test_the_rectangle_of_the_partner_is_pasted_and_targets_have_the_shares_of_pixels():
    random = np.random.RandomState(0)
    images, targets = random.normal(size=(6, 3, 8, 10)).astype(np.float32), np.eye(6)
    for step in range(30):
        mixing = CutMix(1.0, seed=3, until=100)
        mixed, shares = mixing(mx.nd.array(images), mx.nd.array(targets), step, 1)
        top, bottom, left, right = draw_rectangle(8, 10, 1.0, 3, step)
        partners = draw_partners(6, 3, step, 1)
        expected = images.copy()
        for row, partner in enumerate(partners):
            for y in range(top, bottom):
                for x in range(left, right):
                    expected[row, :, y, x] = images[partner, :, y, x]
        np.testing.assert_array_equal(mixed.asnumpy(), expected)
        own = 1 - max(0, bottom - top) * max(0, right - left) / 80
        assert share_left(8, 10, (top, bottom, left, right)) == pytest.approx(own)
        wanted = own * targets + (1 - own) * targets[partners]
        np.testing.assert_allclose(shares.asnumpy(), wanted, atol=1e-6)


def test_partners_may_be_the_batch_reversed_and_the_last_epochs_have_none():
    images, targets = mx.nd.random.normal(shape=(4, 3, 8, 8)), mx.nd.eye(4)
    step = next(s for s in range(99) if 0.2 < share_left(8, 8, draw_rectangle(8, 8, 1, 0, s)) < 0.8)
    shares = CutMix(1.0, 0, 100, "reverse")(images, targets, step, 0)[1].asnumpy()
    assert ((shares > 0) == (np.eye(4) + np.eye(4)[::-1] > 0)).all()
    same = CutMix(1.0, 0, step, "reverse")(images, targets, step, 0)
    assert same[0] is images and same[1] is targets


def test_with_mixup_each_step_has_one_of_the_two_with_even_odds():
    (both,) = mixings(parse(["--cutmix", "1", "--mixup-alpha", "0.2", "--seed", "4"]), 10)
    assert isinstance(both, OneOf)
    images, targets = mx.nd.random.normal(shape=(4, 3, 6, 6)), mx.nd.eye(4)
    taken = []
    for step in range(400):
        found = both(images, targets, step, 0)[0].asnumpy()
        mixed = Mixup(0.2, 4, 1200)(images, targets, step, 0)[0].asnumpy()
        cut = CutMix(1.0, 4, 1200)(images, targets, step, 0)[0].asnumpy()
        if (mixed != cut).any():
            taken.append((found == cut).all())
            assert taken[-1] or (found == mixed).all()
    assert abs(np.mean(taken) - 0.5) < 0.08
    assert stats.spearmanr(taken[:-1], taken[1:]).pvalue > 0.01


def test_one_of_the_two_alone_is_that_one():
    assert isinstance(mixings(parse(["--cutmix", "1"]), 10)[0], CutMix)
    assert isinstance(mixings(parse(["--mixup"]), 10)[0], Mixup)
    assert mixings(parse([]), 10) == []


def test_cutmix_may_have_mixups_settings_but_not_type_1():
    parse(["--cutmix", "1", "--mixup-off-epoch", "5", "--mixup-partner", "reverse"])
    with pytest.raises(ConfigError, match="--mixup-type 1 reads two images"):
        parse(["--cutmix", "1", "--mixup", "--mixup-type", "1"])


def test_it_is_on_in_some_epoch():
    with pytest.raises(ConfigError, match="leaves no epoch for --mixup and --cutmix"):
        parse("--cutmix 1 --num-epochs 20 --mixup-off-epoch 20".split())
