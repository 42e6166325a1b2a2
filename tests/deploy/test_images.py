"""Images for a classifier: those of its validation, whatever they come from."""

import cv2
import numpy as np
import pytest

from gluon_tricks.data.records import RecordError, RecordWriter
from gluon_tricks.deploy import images
from gluon_tricks.deploy.classifier import Classifier
from gluon_tricks.errors import UserError
from gluon_tricks.evaluate import batches

MODEL = Classifier("stub", "gluon", None, 9, 8, 0.5, (100.0, 110.0, 120.0), (50.0, 60.0, 70.0), None)


@pytest.fixture
def record(tmp_path):
    path = str(tmp_path / "val.rec")
    with RecordWriter(path) as writer:
        for i in range(9):
            image = np.random.default_rng(i).integers(0, 256, (20, 30, 3), dtype=np.uint8)
            writer.write(100 + i, float(i), cv2.imencode(".png", image)[1].tobytes())
    return path


def test_files_records_and_the_evaluation_loader_give_the_same_images(record, tmp_path):
    from gluon_tricks.data.records import RecordFile

    loaded = np.concatenate([batch.images for batch in batches(MODEL, record, batch_size=4)])
    by_key = list(images.records(MODEL, record, [105, 101]))
    assert [(key, true) for key, true, _ in by_key] == [(105, 5), (101, 1)]
    np.testing.assert_array_equal(by_key[0][2], loaded[5])
    with RecordFile(record) as file:
        (tmp_path / "five.png").write_bytes(file.read(5)[1])
    ((_, _, from_file),) = images.files(MODEL, [str(tmp_path / "five.png")])
    np.testing.assert_array_equal(from_file, loaded[5])


def test_a_sample_is_spread_over_the_whole_file(record):
    np.testing.assert_array_equal(images.spread(record, 3), [100, 104, 108])
    np.testing.assert_array_equal(images.spread(record, 50), np.arange(100, 109))
    assert images.sample(MODEL, record, 3).shape == (3, 3, 8, 8)


def test_a_sample_with_a_broken_image_is_an_error_that_names_it(tmp_path):
    path = str(tmp_path / "val.rec")
    with RecordWriter(path) as writer:
        writer.write(4, 0.0, b"hello")
    with pytest.raises(RecordError, match="val.rec, record 4: cannot be decoded"):
        images.sample(MODEL, path, 3)


def test_a_key_that_is_not_there_is_named_before_anything_is_read(record):
    with pytest.raises(UserError, match="val.rec: has no record with key 7"):
        next(images.records(MODEL, record, [100, 7]))


def test_folders_are_searched_for_images_by_name(tmp_path):
    for name in ("b.jpg", "a.PNG", "c.txt", "deep/d.jpeg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = images.files_in([str(tmp_path), "given.bin"])
    assert [name.replace(str(tmp_path) + "/", "") for name in found] == [
        "a.PNG",
        "b.jpg",
        "deep/d.jpeg",
        "given.bin",
    ]
