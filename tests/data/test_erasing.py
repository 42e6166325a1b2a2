"""Random erasing and Cutout: what is covered, how often, where, and with what."""

import math

import numpy as np
import pytest
from scipy import stats

from gluon_tricks.data.transforms.erasing import (
    AREA,
    TRIES,
    Cutout,
    RandomErasing,
    choose_rectangle,
    normal_noise,
)
from gluon_tricks.data.transforms.normalise import Normalise
from gluon_tricks.data.transforms.transform import Transform

PLAIN = Normalise((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
COUNT, HEIGHT, WIDTH = 3000, 96, 128


def covered(operation, count=COUNT, fill=5.0):
    """Images of one value after the operation."""
    values = Transform([PLAIN, operation]).sample(0, 0, np.arange(count)).values[operation.name]
    for value in values:
        image = np.full((3, HEIGHT, WIDTH), fill, np.float32)
        operation.normalised(image, value)
        yield image


def rectangle(mask):
    """(top, left, height, width) of the True part, which has to be a rectangle."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    height, width = rows[-1] + 1 - rows[0], columns[-1] + 1 - columns[0]
    assert mask.sum() == height * width
    return rows[0], columns[0], height, width


def test_a_rectangle_of_torchvisions_area_and_aspect_becomes_zero():
    found = []
    for image in covered(RandomErasing(0.4)):
        mask = (image == 0).all(axis=0)
        assert ((image == 0) == mask).all()
        if mask.any():
            found.append(rectangle(mask))
    assert abs(len(found) / COUNT - 0.4) < 0.03
    top, left, height, width = np.array(found).T
    area, aspect = height * width / HEIGHT / WIDTH, np.log(height / width)
    assert area.min() > 0.018 and area.max() < 0.335
    assert abs(np.median(area) - np.mean(AREA)) < 0.02  # nearly all rectangles fit
    assert stats.kstest(area, stats.uniform(0.02, 0.31).cdf).statistic < 0.08
    assert np.abs(aspect).max() < math.log(3.3 / 0.3) / 2 + 0.2 and abs(aspect.mean()) < 0.1
    assert stats.kstest(top / (HEIGHT - height), "uniform").pvalue > 1e-3
    assert stats.kstest(left / (WIDTH - width), "uniform").pvalue > 1e-3


def test_rectangles_are_those_of_plain_rejection_sampling():
    random, expected = np.random.RandomState(0), []
    while len(expected) < COUNT:
        area = HEIGHT * WIDTH * random.uniform(0.02, 0.33)
        aspect = np.exp(random.uniform(np.log(0.3), np.log(3.3)))
        h, w = int(round(math.sqrt(area * aspect))), int(round(math.sqrt(area / aspect)))
        if h < HEIGHT and w < WIDTH:
            expected.append((h, w))
    draws = np.random.RandomState(1).uniform(size=(COUNT, TRIES, 4))
    found = [choose_rectangle(HEIGHT, WIDTH, numbers)[2:] for numbers in draws]
    for ours, theirs in zip(np.array(found).T, np.array(expected).T):
        assert stats.ks_2samp(ours, theirs).pvalue > 1e-3


def test_if_no_rectangle_fits_nothing_is_covered():
    assert choose_rectangle(1, 3, np.full((TRIES, 4), 0.5)) == (0, 0, 0, 0)


def test_noise_is_normal_and_another_one_in_each_image():
    parts = [image[image != 5] for image in covered(RandomErasing(1.0, "noise"), count=60)]
    assert stats.kstest(np.concatenate(parts)[:20000], "norm").pvalue > 1e-3
    assert len({part[0] for part in parts}) == 60


def test_noise_follows_from_a_number_alone():
    np.random.seed(1)
    first = normal_noise(0.3, (3, 2, 2))
    np.random.rand(9)
    np.testing.assert_array_equal(normal_noise(0.3, (3, 2, 2)), first)
    assert (normal_noise(np.nextafter(0.3, 1), (3, 2, 2)) != first).all()


def test_cutout_covers_a_square_around_a_uniform_point():
    sizes, tops = [], []
    for image in covered(Cutout(32)):
        top, left, height, width = rectangle((image == 0).all(axis=0))
        sizes.append((height, width))
        if height == 32 and width == 32:
            tops.append((top, left))
    sizes = np.array(sizes)
    assert sizes.max() == 32 and sizes.min() >= 16
    # whole where the centre is 16 pixels or more from the edges
    whole = (sizes == 32).all(axis=1).mean()
    assert whole == pytest.approx((HEIGHT - 31) * (WIDTH - 31) / HEIGHT / WIDTH, abs=0.03)
    top, left = np.array(tops).T
    assert stats.kstest((top + 0.5) / (HEIGHT - 31), "uniform").statistic < 0.04
    assert stats.kstest((left + 0.5) / (WIDTH - 31), "uniform").statistic < 0.04


@pytest.mark.parametrize("operation", [RandomErasing(0), Cutout(0)])
def test_zero_turns_them_off(operation):
    assert Transform([PLAIN, operation]).operations == []


def test_they_come_after_the_normalisation_in_a_list():
    with pytest.raises(ValueError, match="Cutout .* after Normalise|Cutout changes normalised"):
        Transform([Cutout(3), PLAIN])
