"""Formulas of boxes and the choice of what a step learns from, against GluonCV and NumPy."""

import mxnet as mx
import numpy as np
import pytest
from gluoncv.model_zoo.rcnn.rpn.rpn_target import RPNTargetGenerator
from gluoncv.nn.coder import NormalizedBoxCenterDecoder
from gluoncv.utils.bbox import bbox_iou

from gluon_tricks.models import box_ops, box_sampling
from gluon_tricks.models.box_sampling import Truth

F = mx.nd
STDS = (0.1, 0.1, 0.2, 0.2)
HEIGHT, WIDTH = 90, 120


def corners(random, count):
    first = random.uniform(-10, 80, (count, 2))
    return np.hstack([first, first + random.uniform(5, 60, (count, 2))]).astype(np.float32)


def truth(*boxes_of_images, most=4):
    found = np.full((len(boxes_of_images), most, 5), -1, np.float32)
    for rows, boxes in zip(found, boxes_of_images):
        rows[: len(boxes), :4] = np.reshape(boxes, (-1, 4))
        rows[: len(boxes), 4] = np.arange(len(boxes))
    limits = F.array(np.tile([WIDTH, HEIGHT] * 2, (len(found), 1, 1)))
    return Truth(F.array(found[:, :, :4]), F.array(found[:, :, 4]), limits)


def test_offsets_are_gluoncvs_and_lead_back_to_the_box():
    random = np.random.RandomState(0)
    anchors, boxes = (F.array(corners(random, 50)[None]) for _ in range(2))
    offsets = box_ops.encode(F, boxes, anchors, STDS)
    for decoded in (
        box_ops.decode(F, offsets, anchors, STDS),
        NormalizedBoxCenterDecoder(STDS, convert_anchor=True)(offsets, anchors),
    ):
        np.testing.assert_allclose(decoded.asnumpy(), boxes.asnumpy(), rtol=1e-4, atol=1e-3)


def test_iou_is_gluoncvs_and_0_without_area():
    random = np.random.RandomState(1)
    first, second = corners(random, 40), corners(random, 7)
    second[3] = 30  # a box of no size
    found = box_ops.iou(F, F.array(first[None]), F.array(second[None]))[0].asnumpy()
    np.testing.assert_allclose(found, bbox_iou(first, second), atol=1e-6)
    assert (found[:, 3] == 0).all()
    nothing = F.array(second[None, 3:4])
    assert box_ops.iou(F, nothing, nothing).asscalar() == 0


def test_gather_takes_rows_of_each_image():
    rows, places = F.arange(24).reshape((2, 3, 4)), F.array([[2, 0], [1, 1]])
    found = box_ops.gather(F, rows, places).asnumpy()
    expected = [rows[0].asnumpy()[[2, 0]], rows[1].asnumpy()[[1, 1]]]
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(
        box_ops.gather(F, rows[:, :, 0], places).asnumpy(), found[:, :, 0]
    )


@pytest.mark.parametrize("seed", range(4))
def test_anchors_learn_what_gluoncvs_generator_says(seed):
    """With so many samples that none is left out at random."""
    random = np.random.RandomState(seed)
    anchors = np.vstack([corners(random, 300), corners(random, 300) / 3])
    boxes = np.clip(corners(random, 3), 0, 80)
    boxes[:, 2:] += 5
    anchors = np.vstack([anchors, boxes + random.uniform(-2, 2, boxes.shape)]).astype(np.float32)
    many = 10 * len(anchors)
    generator = RPNTargetGenerator(num_sample=many)
    labels, targets, _ = generator(F.array(boxes), F.array(anchors), WIDTH, HEIGHT)
    one, given = truth(boxes), F.array(anchors[None])
    sample = box_sampling.of_anchors(F, given, one, 0.7, 0.3)
    numbers = F.array(random.uniform(size=(1, len(anchors))))
    drawn = box_sampling.draw_anchors(F, sample, numbers, many, many)
    found = np.where(drawn.weights[0].asnumpy(), drawn.labels[0].asnumpy(), -1)
    np.testing.assert_array_equal(found, labels)
    assert {-1, 0, 1} == set(found)
    offsets = box_sampling.targets_of(F, drawn, given, one, (1, 1, 1, 1))
    np.testing.assert_allclose(offsets[0].asnumpy(), targets, atol=1e-4)


def test_the_drawn_ones_are_those_of_the_largest_numbers():
    random = np.random.RandomState(0)
    anchors = corners(random, 200)
    boxes = anchors[[np.flatnonzero((anchors[:, :2] > 0).all(axis=1))[0]]]
    one, given = truth(boxes, []), F.array(anchors[None])
    sample = box_sampling.of_anchors(F, given, one, 0.5, 0.3)
    numbers = random.uniform(size=(2, 200)).astype(np.float32)
    drawn = box_sampling.draw_anchors(F, sample, F.array(numbers), 20, 2)
    for i in range(2):
        positive, negative = (each[i].asnumpy() > 0 for each in (sample.positive, sample.negative))
        first = np.flatnonzero(positive)[np.argsort(-numbers[i][positive])][:2]
        rest = np.flatnonzero(negative)[np.argsort(-numbers[i][negative])][: 20 - len(first)]
        assert set(np.flatnonzero(drawn.labels[i].asnumpy())) == set(first)
        assert set(np.flatnonzero(drawn.weights[i].asnumpy())) == {*first, *rest}
    assert sample.positive[0].sum().asscalar() >= 1 and sample.positive[1].sum().asscalar() == 0


def test_regions_are_positive_negative_or_not_there():
    random = np.random.RandomState(2)
    boxes = corners(random, 2) + 10
    regions = np.vstack([boxes[[1, 0]], boxes[0] + 1, corners(random, 37) + 200])[None]
    valid = np.ones((1, 40), np.float32)
    valid[0, 30:] = 0
    one = truth(boxes)
    sample = box_sampling.of_proposals(F, F.array(regions), F.array(valid), one, 0.5)
    assert sample.positive[0].asnumpy().tolist() == [1] * 3 + [0] * 37
    assert sample.negative[0].asnumpy().tolist() == [0] * 3 + [1] * 27 + [0] * 10
    numbers = random.uniform(size=(1, 40)).astype(np.float32)
    kept, drawn = box_sampling.draw_regions(F, sample, F.array(numbers), 34, 2, F.array(regions))
    best = np.argsort(-numbers[0, :3])[:2]
    np.testing.assert_array_equal(kept[0, :2].asnumpy(), regions[0, best])
    assert drawn.match[0, :2].asnumpy().tolist() == [[1, 0, 0][place] for place in best]
    assert drawn.labels[0].asnumpy().tolist() == [1] * 2 + [0] * 32
    # 27 background regions; the third positive one and those that are not there do not count
    assert drawn.weights[0].asnumpy().tolist() == [1] * 29 + [0] * 5
    offsets = box_sampling.targets_of(F, drawn, kept, one, STDS)[0].asnumpy()
    assert np.isfinite(offsets).all() and (offsets[2:] == 0).all()
