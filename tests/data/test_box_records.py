"""Labels of boxes: as GluonCV and MXNet read them, and as ``records`` checks them."""

import json

import mxnet as mx
import numpy as np
import pytest
import simplejpeg
from gluoncv.data import RecordFileDetection

from gluon_tricks import cli
from gluon_tricks.data.box_records import (
    CROWD,
    DIFFICULT,
    boxes_of,
    is_box_label,
    pack_boxes,
    problem_of_boxes,
    unpack_boxes,
)
from gluon_tricks.data.records import RecordFile, RecordWriter

SIZES = [(30, 40), (37, 53), (333, 500)]
ROWS = [
    [[0, 0, 39, 29, 2, 0], [1, 2, 3, 4, 0, DIFFICULT]],
    [],
    [[7, 11, 499, 332, 1, 0], [0.25, 3.75, 100.5, 7, 0, CROWD], [2, 2, 9, 9, 2, 0]],
]


def jpeg(height, width):
    return simplejpeg.encode_jpeg(np.zeros((height, width, 3), np.uint8))


def write(path, labels, sizes=SIZES):
    with RecordWriter(path) as writer:
        for key, (label, size) in enumerate(zip(labels, sizes)):
            writer.write(key, label, jpeg(*size))
    return str(path)


@pytest.fixture
def records(tmp_path):
    labels = [pack_boxes(boxes_of(rows), *size) for rows, size in zip(ROWS, SIZES)]
    (tmp_path / "labels.txt").write_text("cat\ndog\nsheep\n")
    return write(tmp_path / "train.rec", labels)


def test_gluoncv_reads_the_boxes_and_an_image_without(records):
    data = RecordFileDetection(records)
    assert len(data) == 3
    for (image, label), rows, size in zip(data, ROWS, SIZES):
        assert image.shape[:2] == size
        label = label[label[:, 4] >= 0]  # GluonCV pads with -1
        np.testing.assert_allclose(label, np.reshape(rows, (-1, 6)), atol=1e-4)


def test_mxnets_iterator_of_boxes_reads_them(records):
    data = mx.io.ImageDetRecordIter(
        path_imgrec=records, batch_size=3, data_shape=(3, 30, 40), label_pad_width=24, resize=30
    )
    labels = data.next().label[0].asnumpy()
    for found, rows, (height, width) in zip(labels, ROWS, SIZES):
        boxes = found[8 : 4 + int(found[3])].reshape(-1, 6)  # after channels, height, width, length
        boxes = boxes[boxes[:, 0] >= 0]
        expected = np.reshape(rows, (-1, 6))
        np.testing.assert_array_equal(boxes[:, [0, 5]], expected[:, [4, 5]])
        scale = [width, height, width, height]
        np.testing.assert_allclose(boxes[:, 1:5] * scale, expected[:, :4], atol=1e-4)


def test_what_was_packed_comes_out_exactly(records):
    with RecordFile(records) as file:
        for position, (rows, size) in enumerate(zip(ROWS, SIZES)):
            boxes = unpack_boxes(file.read(position)[0], *size)
            for found, expected in zip(boxes, boxes_of(rows)):
                np.testing.assert_array_equal(found, expected)


def test_whole_pixels_of_large_images_come_out_exactly():
    height, width = 9973, 20011
    random = np.random.RandomState(0)
    rows = np.zeros((500, 6))
    rows[:, :2] = random.randint(0, 9000, (500, 2))
    rows[:, 2:4] = rows[:, :2] + random.randint(1, 900, (500, 2))
    corners = unpack_boxes(pack_boxes(boxes_of(rows), height, width), height, width).corners
    np.testing.assert_array_equal(corners, rows[:, :4])


def test_labels_of_other_programs_are_read():
    short = np.array([2, 5, 1, 0.1, 0.2, 0.5, 0.75], np.float32)
    boxes = unpack_boxes(short, 100, 200)
    np.testing.assert_array_equal(boxes.corners, [[20, 20, 100, 75]])
    assert boxes.classes.tolist() == [1] and boxes.kinds.tolist() == [0]
    assert len(unpack_boxes(short[:2], 9, 9)) == 0  # a header alone


@pytest.mark.parametrize("label", [3.0, np.float32([1]), np.float32([1, 0, 0, 1, 1, 0]), [2.5, 5]])
def test_classes_of_images_are_no_boxes(label):
    assert not is_box_label(label)
    with pytest.raises(ValueError, match="not one of boxes"):
        unpack_boxes(label, 9, 9)


@pytest.mark.parametrize(
    "row, said",
    [
        ([3, 0, 0, 1, 1, 0], "box 1 has the class 3, which is not one of 3"),
        ([0.5, 0, 0, 1, 1, 0], "box 1 has the class 0.5, which is not one of 3"),
        ([0, 0.5, 0, 0.5, 1, 0], "box 1 has no area: it reaches from 0.5, 0 to 0.5, 1"),
        ([0, 0, 0.7, 1, 0.6, 0], "box 1 has no area"),
        ([0, 0, 0, 1.1, 1, 0], "box 1 is not inside the image: it reaches from 0, 0 to 1.1, 1"),
        ([0, -0.1, 0, 1, 1, 0], "box 1 is not inside the image"),
        ([0, np.nan, 0, 1, 1, 0], "box 1 has a number that is not finite: 0, nan"),
        ([np.nan, 0, 0, 1, 1, 0], "box 1 has a number that is not finite"),
        ([np.inf, 0, 0, 1, 1, 0], "box 1 has a number that is not finite"),
        ([0, 0, 0, 1], "its label of 14 numbers is not a header of 4 and boxes of 6"),
    ],
)
def test_verify_names_what_is_wrong_with_a_box(tmp_path, capsys, row, said):
    good = pack_boxes(boxes_of(ROWS[0][:1]), *SIZES[0])
    label = np.concatenate([good, np.float32(row)])
    assert problem_of_boxes(good, 3) is None and said in problem_of_boxes(label, 3)
    (tmp_path / "labels.txt").write_text("cat\ndog\nsheep\n")
    path = write(tmp_path / "train.rec", [good, label], SIZES[:1] * 2)
    assert cli.main(["records", "verify", path]) == 1
    printed = capsys.readouterr().out
    assert "record 1" in printed and said in printed and "2 records, 1 problem" in printed


def test_a_box_may_reach_out_of_its_image_by_what_rounding_adds():
    inside = np.float32([4, 6, 9, 9, 0, -5e-6, 0, 1, 1.000005, 0])
    assert problem_of_boxes(inside, 1) is None
    for place, value in ((5, -2e-5), (8, 1.00002)):
        outside = inside.copy()
        outside[place] = value
        assert "is not inside the image" in problem_of_boxes(outside, 1)


def test_verify_takes_the_classes_of_labels_txt_or_of_the_flag(records, capsys):
    assert cli.main(["records", "verify", records]) == 0
    assert cli.main(["records", "verify", records, "--classes", "2"]) == 1
    assert "box 0 has the class 2, which is not one of 2" in capsys.readouterr().out


def test_info_counts_boxes(records, capsys, tmp_path):
    assert cli.main(["records", "info", records, "--json", str(tmp_path / "info.json")]) == 0
    printed = capsys.readouterr().out
    assert "boxes: 5 (1 difficult) in 3 images (1 without)" in printed
    assert "boxes of class: 0: 2, 1: 1, 2: 2" in printed
    [report] = json.loads((tmp_path / "info.json").read_text())
    assert report["boxes"]["of_class"] == {"0": 2, "1": 1, "2": 2}
    assert report["with_several_labels"] == 0
