"""Small RecordIO files, and the batches that a loader makes of them."""

import cv2
import numpy as np

from gluon_tricks import config as configuration
from gluon_tricks.data.records import RecordWriter

COUNT, SIZE = 53, 16


def picture(key):
    """An image whose colour differs from all others'."""
    image = (
        np.random.RandomState(key).randint(0, 40, (20 + key % 7, 24 + key % 5, 3)).astype(np.uint8)
    )
    return image + np.array([key * 3 % 200, key * 7 % 200, key * 11 % 200], np.uint8)


def payload(key):
    return cv2.imencode(".jpg" if key % 2 else ".png", picture(key))[1].tobytes()


def write(path, count=COUNT, broken=(), label=lambda key: key % 10, start=1000):
    """Keys start at 1000, so that a key is never a position."""
    with RecordWriter(path) as writer:
        for number in range(count):
            data = payload(number)
            writer.write(
                start + number, label(number), data[: len(data) // 2] if number in broken else data
            )
    return str(path)


def config_of(path, *flags):
    return configuration.parse(
        [
            "--rec-train",
            path,
            "--rec-val",
            path,
            "--input-size",
            str(SIZE),
            "--classes",
            "10",
            "-j",
            "2",
        ]
        + list(flags)
    )


def contents(batch):
    parts = [batch.images.asnumpy(), batch.labels.asnumpy(), batch.keys]
    return parts + ([] if batch.matrices is None else [batch.matrices.asnumpy()])


def assert_same(some, others):
    assert len(some) == len(others)
    for one, other in zip(some, others):
        assert len(one) == len(other)
        for a, b in zip(one, other):
            np.testing.assert_array_equal(a, b)
