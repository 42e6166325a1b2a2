"""What an epoch reads: the plain order, repeated augmentation, and two images for each."""

import cv2
import numpy as np
import pytest

from gluon_tricks.config import parse
from gluon_tricks.data import loader, randomness
from gluon_tricks.data.order import Reading, positions, sampling_keys
from gluon_tricks.data.records import RecordFile, RecordWriter
from gluon_tricks.data.transforms import paper

RECORDS = 53


def test_the_default_is_the_epochs_permutation():
    for epoch in range(3):
        order = Reading().order(RECORDS, 5, epoch, 8)
        np.testing.assert_array_equal(order, randomness.permutation(RECORDS, 5, epoch))


@pytest.mark.parametrize("parts, batch, repeats", [(1, 8, 3), (2, 8, 3), (4, 16, 4), (2, 24, 2)])
def test_repeats_are_dealt_as_to_ranks_that_take_turns(parts, batch, repeats):
    """Rank r of W has the images r, r + W, r + 2 W, ... of the repeated order, in batches."""
    order = positions(Reading(repeats, 1, parts).order(RECORDS, 5, 1, batch), RECORDS)
    repeated = np.repeat(randomness.permutation(RECORDS, 5, 1), repeats)[:RECORDS]
    steps, share = RECORDS // batch, batch // parts
    for step in range(steps):
        for part in range(parts):
            own = repeated[part::parts][step * share : (step + 1) * share]
            start = step * batch + part * share
            np.testing.assert_array_equal(order[start : start + share], own)
    assert sorted(order) == sorted(repeated)


def test_copies_of_a_record_draw_from_different_keys():
    keys = np.arange(1000, 1000 + RECORDS)
    places = Reading(3).order(RECORDS, 0, 0, 8)
    drawn = sampling_keys(keys, places)
    assert len(set(drawn)) == RECORDS and len(set(positions(places, RECORDS))) == 18
    plain = Reading().order(RECORDS, 0, 0, 8)
    np.testing.assert_array_equal(sampling_keys(keys, plain), keys[plain])


def test_two_reads_are_two_permutations_of_which_the_first_is_the_plain_one():
    order = Reading(reads=2).order(RECORDS, 5, 2, 8)
    first, second = order[:RECORDS], order[RECORDS:] - RECORDS
    np.testing.assert_array_equal(first, randomness.permutation(RECORDS, 5, 2))
    assert sorted(second) == list(range(RECORDS)) and (first != second).mean() > 0.8
    others = [Reading(reads=2).order(RECORDS, 5, epoch, 8)[RECORDS:] for epoch in range(3)]
    assert (others[0] != others[1]).mean() > 0.8 and (others[1] != others[2]).mean() > 0.8


# in the loader


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("records") / "some.rec")
    with RecordWriter(path) as writer:
        for key in range(RECORDS):
            image = np.random.RandomState(key).randint(0, 256, (20, 24, 3)).astype(np.uint8)
            writer.write(1000 + key, key % 10, cv2.imencode(".png", image)[1].tobytes())
    return path


def config_of(path, *flags):
    common = "--input-size 16 --classes 10 -j 2 --batch-size 4 --rec-train".split()
    return parse([*common, path, *flags])


def batches_of(config, start, stop, first=0, count=None):
    data = loader.train_loader(config, 8, first, count)
    try:
        return [
            (batch.images.asnumpy(), batch.labels.asnumpy(), batch.keys)
            for batch in data.batches(start, stop)
        ]
    finally:
        data.close()


@pytest.mark.parametrize("flags", [["--repeated-augmentation", "3"], ["--mixup-type", "1"]])
def test_batches_are_those_of_a_plain_loop_over_the_places(records, flags):
    config = config_of(records, "--mixup", *flags)
    transform, reading = paper.train_transform(config), Reading.of_config(config, 8)
    rows = 8 * reading.reads
    with RecordFile(records) as file:
        for step, (images, labels, keys) in enumerate(batches_of(config, 0, 8)):
            epoch, index = divmod(step, RECORDS // 8)
            order = reading.order(RECORDS, config.seed, epoch, 8)
            for row, place in enumerate(order[rows * index : rows * index + rows]):
                label, payload = file.read(place % RECORDS)
                drawn = sampling_keys(file.keys, np.array([place]))
                expected = transform.apply(payload, transform.sample(config.seed, epoch, drawn))
                np.testing.assert_array_equal(images[row], expected)
                assert labels[row] == label and keys[row] == file.keys[place % RECORDS]


@pytest.mark.parametrize("flags", [["--repeated-augmentation", "3"], ["--mixup-type", "1"]])
def test_workers_read_the_batches_of_one_and_a_start_in_mid_epoch_changes_nothing(records, flags):
    config = config_of(records, "--mixup", *flags)
    whole = batches_of(config, 0, 9)
    halves = [batches_of(config, 4, 9, first, 4) for first in (0, 4)]
    for one, *parts in zip(whole[4:], *halves):
        for array, *pieces in zip(one, *parts):
            np.testing.assert_array_equal(array, np.concatenate(pieces))


def test_copies_are_in_different_parts_and_look_different(records):
    config = config_of(records, "--repeated-augmentation", "2")
    for images, _, keys in batches_of(config, 0, 6):
        np.testing.assert_array_equal(keys[:4], keys[4:])  # two parts of 4
        assert len(set(keys)) == 4
        assert all((one != other).any() for one, other in zip(images[:4], images[4:]))


def test_an_epoch_is_as_long_as_ever(records):
    lengths = set()
    for flags in ([], ["--repeated-augmentation", "3"], ["--mixup-type", "1", "--mixup"]):
        data = loader.train_loader(config_of(records, *flags), 8)
        lengths.add((data.steps_per_epoch, data.images))
        data.close()
    assert lengths == {(6, RECORDS)}
