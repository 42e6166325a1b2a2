"""``gluon-tricks prepare boxed-scenes``: the boxes of what is painted in the scenes."""

import numpy as np
import pytest
from gluoncv.data import RecordFileDetection

from gluon_tricks import cli
from gluon_tricks.data.box_records import unpack_boxes
from gluon_tricks.data.prepare import boxed_scenes, digits, scenes

GREY = 100


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(boxed_scenes, "SCENES", {"train": 8, "val": 3})


def test_boxes_enclose_exactly_what_is_painted(monkeypatch):
    grey = np.full((427, 640, 3), GREY, np.uint8)
    monkeypatch.setattr(scenes, "photographs", lambda: [grey, grey])
    splits, classes, _ = boxed_scenes.read(None)
    assert classes == [str(digit) for digit in range(10)]
    halves, source = scenes.halves()[0], digits.read(None)[0]["train"]
    for position in range(8):
        random = np.random.RandomState([scenes.SEED, 0, position])
        picture, mask, _ = scenes.scene(random, halves, source, boxed_scenes.SIZE)
        np.testing.assert_array_equal(picture, splits["train"].read(position))
        assert ((picture != GREY).any(axis=2) <= (mask > 0)).all()
        boxes = unpack_boxes(splits["train"].label(position), *mask.shape)
        inside = np.zeros(mask.shape, bool)
        for (left, top, right, bottom), label in zip(boxes.corners.astype(int), boxes.classes):
            own = mask[top : bottom + 1, left : right + 1] == label + 1
            # a digit of the same kind may lie in the box, too
            assert own[0].any() and own[-1].any() and own[:, 0].any() and own[:, -1].any()
            inside[top : bottom + 1, left : right + 1] = True
        assert len(boxes) and inside[mask > 0].all()


def test_gluoncv_reads_them(tmp_path, capsys):
    assert cli.main(["prepare", "boxed-scenes", str(tmp_path)]) == 0
    assert "train.rec: 8 images with" in capsys.readouterr().out
    data = RecordFileDetection(str(tmp_path / "val.rec"))
    assert len(data) == 3
    for image, label in data:
        assert image.shape == (128, 128, 3) and label.shape[1] == 6 and label[:, :4].max() < 128
