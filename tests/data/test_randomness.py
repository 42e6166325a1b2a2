import numpy as np
import pytest
from scipy import stats

from gluon_tricks.data import randomness


def test_an_epochs_order_is_a_permutation_of_all_records():
    for length in (1, 2, 97, 5000):
        assert sorted(randomness.permutation(length, 3, 7)) == list(range(length))


def test_orders_stay_the_same_from_version_to_version():
    """A run resumed with a later version of this package or of NumPy has to see the same data."""
    assert randomness.permutation(8, 0, 0).tolist() == [2, 0, 1, 6, 3, 7, 5, 4]
    assert randomness.permutation(8, 0, 1).tolist() == [1, 6, 5, 0, 4, 2, 7, 3]
    assert randomness.permutation(8, 1, 0).tolist() == [7, 2, 3, 4, 1, 0, 5, 6]
    numbers = randomness.uniforms(randomness.AUGMENT, 5, 2, [0, -1, 2**40], 2)
    np.testing.assert_array_equal(numbers, EXPECTED)


EXPECTED = [
    [0.3183321413589737, 0.9859722402726117],
    [0.541404091045676, 0.5256891236161375],
    [0.6584729324963383, 0.7508963894651492],
]


def test_every_record_is_equally_likely_at_every_place():
    length, epochs = 12, 3000
    counts = np.zeros((length, length))
    for epoch in range(epochs):
        counts[np.arange(length), randomness.permutation(length, 1, epoch)] += 1
    # Rows and columns of a permutation matrix sum to one, hence (length - 1) squared degrees of
    # freedom.
    statistic = ((counts - epochs / length) ** 2 / (epochs / length)).sum()
    assert stats.chi2((length - 1) ** 2).sf(statistic) > 1e-3


@pytest.mark.parametrize("seed, epoch", [(0, 0), (1, 1), (2**63, 119), (12345, 10**6)])
def test_numbers_are_uniform_and_independent_of_their_neighbours(seed, epoch):
    numbers = randomness.uniforms(randomness.AUGMENT, seed, epoch, np.arange(4000), 5)
    assert numbers.min() >= 0 and numbers.max() < 1
    assert stats.kstest(numbers.ravel(), "uniform").pvalue > 1e-3
    others = [
        (numbers[:, 1], numbers[:, 0]),  # the next number of a record
        (numbers[1:, 0], numbers[:-1, 0]),  # the next record
        (
            randomness.uniforms(randomness.AUGMENT, seed, epoch + 1, np.arange(4000), 1)[:, 0],
            numbers[:, 0],
        ),
        (
            randomness.uniforms(randomness.AUGMENT, seed + 1, epoch, np.arange(4000), 1)[:, 0],
            numbers[:, 0],
        ),
        (
            randomness.uniforms(randomness.ORDER, seed, epoch, np.arange(4000), 1)[:, 0],
            numbers[:, 0],
        ),
    ]
    for one, other in others:
        assert stats.spearmanr(one, other).pvalue > 1e-3


def test_a_records_numbers_do_not_depend_on_the_other_records_of_the_batch():
    together = randomness.uniforms(randomness.AUGMENT, 3, 4, [10, 20, 30], 6)
    alone = randomness.uniforms(randomness.AUGMENT, 3, 4, [30], 6)
    np.testing.assert_array_equal(together[2:], alone)


def test_normal_numbers_are_normal():
    pairs = randomness.uniforms(randomness.AUGMENT, 0, 0, np.arange(5000), 2)
    assert stats.kstest(randomness.normals(pairs), "norm").pvalue > 1e-3
    assert np.isfinite(randomness.normals(np.array([[0.0, 0.0], [1 - 2.0**-53, 0.5]]))).all()


def test_a_name_is_a_purpose_of_its_own():
    numbers = (randomness.ORDER, randomness.AUGMENT, randomness.SYNTHETIC, randomness.ERASING)
    names = [randomness.purpose_of(name) for name in ("solarize", "solarise")]
    assert len({*numbers, *names}) == 6
    # the same in every process, and in the next version
    assert randomness.purpose_of("") == 0xE3B0C44298FC1C14
