"""Images with boxes as training and evaluation see them, against GluonCV's transforms."""

import mxnet as mx
import numpy as np
import pytest
import simplejpeg
from gluoncv.data.transforms import bbox as gluoncv_boxes
from gluoncv.data.transforms import image as gluoncv_image
from gluoncv.data.transforms.presets.rcnn import FasterRCNNDefaultValTransform

from gluon_tricks import config as flags
from gluon_tricks.data.box_records import boxes_of
from gluon_tricks.data.box_rows import extent_of, label_of, recorded_corners
from gluon_tricks.data.decode import decode
from gluon_tricks.data.transforms import detection
from gluon_tricks.data.transforms.detection import ResizeWithin, transform

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
SIZES = [(40, 60), (60, 40), (37, 91), (200, 30), (64, 64), (301, 499)]
ROWS = [[3, 4, 20, 30, 2, 0], [0, 0, 29, 29, 1, 1]]


def jpeg(height, width):
    smooth = np.random.RandomState(0).uniform(0, 255, (4, 4, 3)).astype(np.uint8)
    import cv2

    return simplejpeg.encode_jpeg(cv2.resize(smooth, (width, height)), 95)


def ours(short=(48, 48), longest=80, flip=0.0):
    return transform(short, longest, 255 * MEAN, 255 * STD, flip)


@pytest.mark.parametrize("height, width", SIZES)
def test_evaluation_is_gluoncvs(height, width):
    payload = jpeg(height, width)
    image = mx.nd.array(decode(payload), dtype="uint8")
    rows = np.float64(ROWS)
    expected, boxes, _ = FasterRCNNDefaultValTransform(48, 80)(image, rows)
    one = ours()
    drawn = one.sample(0, 0, np.zeros(1, np.int64))
    found = one.apply(payload, drawn)
    assert found.shape == (3, 80, 80)
    label = label_of(boxes_of(rows), height, width, 5, one, drawn, 0)
    assert label.shape == (6, 6) and tuple(label[0, :4]) == (*expected.shape[1:], height, width)
    assert extent_of(label[None]) == expected.shape[1:]
    np.testing.assert_allclose(label[1:3], boxes, rtol=1e-6)
    assert (label[3:] == -1).all()
    inside = found[:, : expected.shape[1], : expected.shape[2]]
    np.testing.assert_allclose(inside, expected.asnumpy(), atol=1.01 / 255 / 0.22)
    found[:, : expected.shape[1], : expected.shape[2]] = 0
    assert np.abs(found).max() < 0.5 / 255 / 0.22 + 1e-6  # the mean around it, rounded
    np.testing.assert_allclose(recorded_corners(label[1:3, :4], label), rows[:, :4], rtol=1e-5)


def test_a_mirrored_image_and_its_boxes_are_gluoncvs():
    payload, (height, width) = jpeg(40, 60), (40, 60)
    image = mx.nd.array(decode(payload), dtype="uint8")
    resized = gluoncv_image.resize_short_within(image, 48, 80, interp=1)
    size = resized.shape[1::-1]
    expected, _ = gluoncv_image.random_flip(resized, px=1)
    boxes = gluoncv_boxes.resize(np.float64(ROWS), (width, height), size)
    boxes = gluoncv_boxes.flip(boxes, size, flip_x=True)
    one = ours(flip=1.0)
    drawn = one.sample(0, 0, np.zeros(1, np.int64))
    found = one.image(payload, drawn, 0)[: size[1], : size[0]]
    assert np.abs(found.astype(int) - expected.asnumpy()).max() <= 1
    label = label_of(boxes_of(ROWS), height, width, 2, one, drawn, 0)
    np.testing.assert_allclose(label[1:], boxes, rtol=1e-6)


def test_the_shorter_side_is_drawn_in_a_range_by_the_records_key():
    one = ours((40, 43), 80)
    keys = np.arange(400)
    drawn = one.sample(7, 3, keys)
    sides = drawn.values["resize within"]
    assert np.bincount(sides)[40:].min() > 70 and set(sides) == {40, 41, 42, 43}
    again = one.sample(7, 3, keys[::-1]).values["resize within"]
    np.testing.assert_array_equal(again[::-1], sides)
    payload, nothing = jpeg(40, 50), boxes_of([])
    for i in range(6):
        extent = extent_of(label_of(nothing, 40, 50, 0, one, drawn, i)[None])
        assert extent == (sides[i], round(50 * sides[i] / 40))
        image = one.image(payload, drawn, i)
        color = one.operations[0].color
        assert (image[extent[0] :] == color).all() and (image[:, extent[1] :] == color).all()


def test_short_range_is_of_training_alone():
    words = "--task detection --rec-train some.rec --input-size 50"
    plain, drawn = (flags.parse(f"{words} {more}".split()) for more in ("", "--short-range 40,60"))
    keys, found = np.arange(200), {}
    for name, config in (("plain", plain), ("drawn", drawn)):
        for of in (detection.train_transform, detection.eval_transform):
            sides = of(config).sample(0, 0, keys).values["resize within"]
            found[name, of] = sides.min(), sides.max()
    assert found.pop(("drawn", detection.train_transform)) == (40, 60)
    assert set(found.values()) == {(50, 50)}
    for wrong, said in (
        ("60,40", "nor a range"),
        ("0,40", "nor a range"),
        ("5,1001", "--max-side"),
    ):
        with pytest.raises(flags.ConfigError, match=said):
            flags.parse([*words.split(), "--short-range", wrong])


def test_a_long_image_keeps_its_proportions():
    within = ResizeWithin((600, 600), 1000)
    assert within.resized(375, 500, 600) == (600, 800)
    assert within.resized(500, 375, 600) == (800, 600)
    assert within.resized(200, 500, 600) == (400, 1000)  # the longer side decides
    assert within.resized(3, 50000, 600) == (1, 1000)


def test_a_batch_is_as_large_as_its_largest_sides():
    one = ours()
    drawn = one.sample(0, 0, np.zeros(1, np.int64))
    sizes = [(40, 60), (60, 40)]
    labels = np.stack([label_of(boxes_of([]), *size, 1, one, drawn, 0) for size in sizes])
    assert extent_of(labels) == (72, 72)
    with pytest.raises(ValueError, match="has 2 boxes, and at most 1 are taken"):
        label_of(boxes_of(ROWS), 40, 60, 1, one, drawn, 0)
