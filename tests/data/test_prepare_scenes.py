"""``gluon-tricks prepare scenes``: exact masks, and nothing in common between the two splits."""

import cv2
import numpy as np
import pytest

from gluon_tricks import cli
from gluon_tricks.data.decode import decode
from gluon_tricks.data.prepare import digits, scenes
from gluon_tricks.data.prepare.split import Split
from gluon_tricks.data.records import RecordFile

GREY = 100


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(scenes, "SCENES", {"train": 12, "val": 5})


def drawn(splits, name):
    """The pictures or masks of a split, before they are encoded."""
    return [splits[name].read(i) for i in range(len(splits[name]))]


def test_a_mask_has_exactly_the_pixels_that_were_painted(monkeypatch):
    grey = np.full((427, 640, 3), GREY, np.uint8)
    monkeypatch.setattr(scenes, "photographs", lambda: [grey, grey])
    splits, classes, _ = scenes.read(None)
    pictures, masks = drawn(splits, "train"), drawn(splits, "train.mask")
    assert len(pictures) == len(masks) == 12
    for picture, mask in zip(pictures, masks):
        assert np.array_equal(mask > 0, (picture != GREY).any(axis=2))
        assert 0 < (mask > 0).mean() < 0.6
    assert len(np.unique(masks)) > 6 and np.max(masks) < len(classes) == 11


def test_the_number_in_a_mask_is_the_class_of_the_digit(monkeypatch):
    def read(args):
        parts = {"train": [3, 8], "val": [0, 1]}
        image = np.full((8, 8), 255, np.float32)
        return (
            {name: Split(["a", "b"], found, lambda i: image) for name, found in parts.items()},
            0,
            0,
        )

    monkeypatch.setattr(digits, "read", read)
    splits, classes, _ = scenes.read(None)
    for name, expected in (("train", {"3", "8"}), ("val", {"0", "1"})):
        found = {classes[number] for number in np.unique(drawn(splits, name + ".mask"))}
        assert found == expected | {"background"}


def test_training_and_validation_have_digits_and_photographs_of_their_own(monkeypatch):
    halves = np.repeat([[[10] * 3] * 320 + [[200] * 3] * 320], 427, axis=0).astype(np.uint8)
    monkeypatch.setattr(scenes, "photographs", lambda: [halves, halves])
    splits, _, _ = scenes.read(None)
    for name, colour in (("train", 10), ("val", 200)):
        for picture, mask in zip(drawn(splits, name), drawn(splits, name + ".mask")):
            assert (picture[mask == 0] == colour).all()
    used, _, _ = digits.read(None)
    assert not set(used["train"].names) & set(used["val"].names)


def test_the_files_are_the_same_for_any_number_of_workers_and_are_verified(tmp_path):
    for workers in (1, 3):
        out = str(tmp_path / str(workers))
        assert cli.main(["prepare", "scenes", out, "--workers", str(workers)]) == 0
    for name in ("train.rec", "train.mask.rec", "val.rec", "val.mask.rec", "labels.txt"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes()
    assert cli.main(["records", "verify", str(tmp_path / "1" / "train.rec")]) == 0
    splits, _, _ = scenes.read(None)
    with RecordFile(tmp_path / "1" / "val.mask.rec") as file:
        stored = [cv2.imdecode(np.frombuffer(file.read(i)[1], np.uint8), -1) for i in range(5)]
    assert np.array_equal(stored, drawn(splits, "val.mask"))
    with RecordFile(tmp_path / "1" / "val.rec") as file:  # a JPEG is near enough
        error = decode(file.read(0)[1]).astype(float) - splits["val"].read(0)
    assert np.abs(error).mean() < 8
