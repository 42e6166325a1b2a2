"""Images for a classifier: those of its validation, whatever they come from."""

import struct

import cv2
import numpy as np
import pytest

from gluon_tricks import cli
from gluon_tricks.data.records import RecordError, RecordWriter
from gluon_tricks.deploy import images
from gluon_tricks.deploy.classifier import Classifier
from gluon_tricks.deploy.evaluation import batches
from gluon_tricks.deploy.preprocessing import Preprocessing
from gluon_tricks.errors import UserError

PREPROCESSING = Preprocessing(8, 0.5, (100.0, 110.0, 120.0), (50.0, 60.0, 70.0))
MODEL = Classifier("stub", "gluon", None, 9, PREPROCESSING, None)


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
    by_key = list(images.from_records(PREPROCESSING, record, [105, 101]))
    assert [(key, true) for key, true, _ in by_key] == [(105, 5), (101, 1)]
    np.testing.assert_array_equal(by_key[0][2], loaded[5])
    with RecordFile(record) as file:
        (tmp_path / "five.png").write_bytes(file.read(5)[1])
    ((_, _, from_file),) = images.from_files(PREPROCESSING, [str(tmp_path / "five.png")])
    np.testing.assert_array_equal(from_file, loaded[5])


def test_a_sample_is_spread_over_the_whole_file(record):
    np.testing.assert_array_equal(images.spread_keys(record, 3), [100, 104, 108])
    np.testing.assert_array_equal(images.spread_keys(record, 50), np.arange(100, 109))
    assert images.sample(PREPROCESSING, record, 3).shape == (3, 3, 8, 8)


def test_a_sample_with_a_broken_image_is_an_error_that_names_it(tmp_path):
    path = str(tmp_path / "val.rec")
    with RecordWriter(path) as writer:
        writer.write(4, 0.0, b"hello")
    with pytest.raises(RecordError, match="val.rec, record 4: cannot be decoded"):
        images.sample(PREPROCESSING, path, 3)


def test_a_key_that_is_not_there_is_named_before_anything_is_read(record):
    with pytest.raises(UserError, match="val.rec: has no record with key 7"):
        next(images.from_records(PREPROCESSING, record, [100, 7]))


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


def with_exif(data, orientation):
    """The JPEG of a telephone that was held another way."""
    tiff = b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHH", 1, 274, 3, 1, orientation, 0) + bytes(4)
    segment = b"Exif\0\0" + tiff
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]


def photograph():
    blocks = np.random.default_rng(0).integers(0, 256, (5, 8, 3), dtype=np.uint8)
    return cv2.imencode(
        ".jpg", np.repeat(np.repeat(blocks, 8, 0), 8, 1), [cv2.IMWRITE_JPEG_QUALITY, 95]
    )[1].tobytes()


BITMAP = cv2.imencode(".bmp", np.full((9, 9, 3), 7, np.uint8))[1]


@pytest.mark.parametrize(
    "data", [with_exif(photograph(), 6), photograph()[:-2], photograph(), BITMAP]
)
def test_a_file_gives_the_image_of_the_record_that_prepare_makes_of_it(tmp_path, data):
    (tmp_path / "photos" / "a").mkdir(parents=True)
    path = tmp_path / "photos" / "a" / "0.jpg"
    path.write_bytes(bytes(data))
    assert cli.main(["prepare", "folder", str(tmp_path / "photos"), str(tmp_path / "data")]) == 0
    ((_, _, of_file),) = images.from_files(PREPROCESSING, [str(path)])
    ((_, _, of_record),) = images.from_records(
        PREPROCESSING, str(tmp_path / "data" / "train.rec"), [0]
    )
    np.testing.assert_array_equal(of_file, of_record)


def test_what_cannot_be_read_is_the_error_of_its_file(tmp_path):
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "dead.jpg").symlink_to(tmp_path / "gone")
    found = list(images.from_files(PREPROCESSING, images.files_in([str(tmp_path)])))
    said = {path: str(error) for path, _, error in found}
    assert said[str(tmp_path / "text.jpg")].startswith(
        str(tmp_path / "text.jpg") + ": cannot be decoded"
    )
    assert (
        said[str(tmp_path / "dead.jpg")]
        == str(tmp_path / "dead.jpg") + ": cannot be read: No such file or directory"
    )


@pytest.mark.parametrize("label", [float("nan"), float("inf"), [1.0, 2.0], 0.5])
def test_a_record_without_a_class_is_shown_without_one(tmp_path, label):
    path = str(tmp_path / "val.rec")
    with RecordWriter(path) as writer:
        writer.write(4, label, photograph())
    ((key, true, image),) = images.from_records(PREPROCESSING, path, [4])
    assert (key, true, image.shape) == (4, None, (3, 8, 8))
