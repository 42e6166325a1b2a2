"""Images and their boxes in batches: moved together, or an error that names the record."""

import contextlib

import numpy as np
import pytest
from box_scenes import CLASSES, write

from gluon_tricks import config as configuration
from gluon_tricks.data import loader
from gluon_tricks.data.box_records import boxes_of, pack_boxes
from gluon_tricks.data.box_rows import extent_of
from gluon_tricks.data.processes import DataProcesses
from gluon_tricks.errors import UserError


def config_of(path, *words):
    return configuration.parse(
        f"--task detection --classes {CLASSES} --rec-train {path} --rec-val {path} --input-size 32 "
        "--max-side 48 --rgb-mean 0,0,0 --rgb-std 1,1,1 --max-boxes 3 -j 1".split()
        + [*words]
    )


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("boxes") / "some.rec"
    write(path, 9, seed=2)
    return path


def check_colors(image, label):
    """In the middle of each box is its colour; around the image there is nothing."""
    height, width = extent_of(label[None])
    assert (image[:, height:] == 0).all() and (image[:, :, width:] == 0).all()
    for left, top, right, bottom, color, _ in label[1:][label[1:, 4] >= 0]:
        assert 0 <= left < right <= width and 0 <= top < bottom <= height
        middle = image[:, int((top + bottom) / 2), int((left + right) / 2)]
        assert middle.argmax() == color and middle.max() > 150


def test_boxes_are_where_their_images_show_them(path):
    train = loader.train_loader(config_of(path), 4)
    evaluation = loader.eval_loader(config_of(path), 4)
    batches = [*train.batches(0, 6), *evaluation]
    counts = []
    for batch in batches:
        labels = batch.labels.asnumpy()[: batch.valid]
        assert labels.shape[1:] == (4, 6) and batch.images.shape[1:] == (3, 48, 48)
        for image, label, key in zip(batch.images.asnumpy(), labels, batch.keys):
            check_colors(image, label)
            counts.append((label[1:, 4] >= 0).sum() == key % 3)
    assert all(counts) and len(counts) == 6 * 4 + 9
    train.close(), evaluation.close()


def test_processes_make_the_same_batches(path):
    alone = loader.train_loader(config_of(path), 4)
    with contextlib.closing(DataProcesses(1)) as pool:
        shared = loader.train_loader(config_of(path), 4, processes=pool)
        for one, other in zip(alone.batches(0, 3), shared.batches(0, 3)):
            for first, second in zip(one[:2], other[:2]):
                np.testing.assert_array_equal(first.asnumpy(), second.asnumpy())
        shared.close()
    alone.close()


@pytest.mark.parametrize(
    "label, message",
    [
        (2.0, "record 4: its label is not one of boxes"),
        (pack_boxes(boxes_of([[1, 1, 9, 9, 3, 0]]), 40, 50), "record 4: box 0 has the class 3"),
        (pack_boxes(boxes_of([[1, 1, 9, 9, 0, 0]] * 4), 40, 50), "4 boxes, more than --max-boxes"),
        (pack_boxes(boxes_of([[9, 1, 9, 9, 0, 0]]), 40, 50), "record 4: box 0 has no area"),
    ],
)
def test_what_cannot_be_learned_from_is_named(tmp_path, label, message):
    write(tmp_path / "some.rec", 6, seed=2, bad={4: label})
    config = config_of(tmp_path / "some.rec")
    with pytest.raises(UserError, match=message):
        loader.check_labels(config)
    train = loader.train_loader(config, 6)
    with pytest.raises(UserError, match=message):
        list(train.batches(0, 1))
    train.close()
