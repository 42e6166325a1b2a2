"""Detections of several workers are one worker's, and an image's are at its record's scale."""

import threading

import numpy as np

from gluon_tricks.data.box_records import boxes_of
from gluon_tricks.tasks import detection_figures as figures
from gluon_tricks.tasks.matching import Found

CLASSES = 3


class Workers:
    """Workers in threads, which add up arrays together."""

    def __init__(self, count):
        self.world_size = count
        self._arrays, self._barrier = [None] * count, threading.Barrier(count)
        self._own = threading.local()

    @property
    def rank(self):
        return self._own.rank

    def sum(self, array):
        self._arrays[self.rank] = array
        self._barrier.wait()
        total = sum(self._arrays)
        self._barrier.wait()
        return total

    def all(self, compute):
        """``compute(rank)`` on each worker, as a list."""
        results = [None] * self.world_size

        def run(rank):
            self._own.rank = rank
            results[rank] = compute(rank)

        threads = [threading.Thread(target=run, args=(rank,)) for rank in range(self.world_size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results


def matches(seed):
    """The matches of an image whose detections are moved boxes, with scores that many share."""
    random = np.random.RandomState(seed)
    corners = random.randint(0, 40, (3, 4)) + [0, 0, 45, 45]
    truth = boxes_of([[*row, label, seed % 2] for label, row in enumerate(corners)][: seed % 4])
    found = Found(
        corners + random.randint(-6, 6, (3, 4)),
        np.array([0, 1, random.randint(CLASSES)]),
        random.randint(1, 4, 3) / 4,
    )
    return figures.matches_of(found, truth, CLASSES)


def test_the_figures_of_several_workers_are_those_of_one():
    images = [matches(seed) for seed in range(12)]
    expected = figures.precision_of(images)
    parts = [images[:7], images[7:], []]  # one has no image at all
    workers = Workers(3)
    for found in workers.all(lambda rank: figures.gathered(workers, parts[rank], CLASSES)):
        for value, known in zip(figures.precision_of([found]), expected):
            np.testing.assert_array_equal(value, known)
    assert 0 < figures.summary(expected)["map07"] < 100


def test_detections_and_boxes_are_at_the_records_scale():
    label = np.full((3, 6), -1, np.float32)
    label[0, :4] = 20, 30, 40, 90  # an image of 90 x 40, resized to 30 x 20
    label[1] = 3, 5, 10, 15, 2, 1
    truth = figures.truth_of(label)
    np.testing.assert_array_equal(truth.corners, [[9, 10, 30, 30]])
    assert (truth.classes, truth.kinds) == ([2], [1])
    outputs = np.float32([[1], [-1]]), np.float32([[0.5], [-1]]), np.float32([[3, 5, 10, 15]] * 2)
    found = figures.found_in(outputs, label)
    np.testing.assert_array_equal(found.corners, [[9, 10, 30, 30]])
    assert (found.classes, found.scores) == ([1], [0.5])
