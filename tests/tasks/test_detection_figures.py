"""The figures of detections, and the random numbers of a step."""

import numpy as np
import pytest

from gluon_tricks.data.box_records import DIFFICULT, boxes_of
from gluon_tricks.tasks.detection_figures import coco_results, matches_of, precision_of, summary
from gluon_tricks.tasks.detection_numbers import numbers_of
from gluon_tricks.tasks.matching import Found


def found(*rows):
    rows = np.float64(rows).reshape(-1, 6)
    return Found(rows[:, :4], rows[:, 4].astype(int), rows[:, 5])


# ten objects of class 0, of which three are found, one of class 1, and a difficult one of class 2
BOXES = [[0, 0, 9, 9, 0, 0]]
IMAGES = [(found([0, 0, 9, 9, 0, 0.9 - i / 10]), boxes_of(BOXES)) for i in range(3)]
IMAGES += [(found(), boxes_of(BOXES))] * 7
IMAGES += [(found([10, 10, 19, 17, 1, 0.5]), boxes_of([[10, 10, 19, 19, 1, 0]]))]
IMAGES += [(found([0, 0, 9, 9, 2, 0.5]), boxes_of([[0, 0, 9, 9, 2, DIFFICULT]]))]


def test_means_are_over_the_classes_with_objects():
    precision = precision_of([matches_of(*image, 4) for image in IMAGES])
    np.testing.assert_allclose(precision.eleven, [4 / 11, 1, np.nan, np.nan])
    np.testing.assert_allclose(precision.area, [0.3, 1, np.nan, np.nan])
    # an IoU of 0.8 is enough for seven of the ten thresholds
    np.testing.assert_allclose(precision.coco, [31 / 101, 0.7, np.nan, np.nan])
    figures = summary(precision)
    assert figures["map07"] == pytest.approx(100 * (4 / 11 + 1) / 2)
    assert figures["coco_ap75"] == pytest.approx(100 * (31 / 101 + 1) / 2)
    floats = precision_of([matches_of(*image, 4) for image in IMAGES], float_steps=True)
    np.testing.assert_allclose(floats.eleven, [3 / 11, 1, np.nan, np.nan])


def test_results_are_in_cocos_form():
    assert coco_results(7, found([1, 2, 10, 5, 3, 0.25], [0, 0, 1, 1, -1, 0])) == [
        {"image_id": 7, "category_id": 3, "bbox": [1, 2, 10, 4], "score": 0.25}
    ]


def test_numbers_follow_from_seed_step_and_key_alone():
    shape = (3, 4, 5)
    anchors, regions = numbers_of(1, 2, [30, 10, 20], shape, 7)
    assert anchors.shape == (3, *shape) and regions.shape == (3, 7)
    alone = numbers_of(1, 2, [10], shape, 7)
    np.testing.assert_array_equal(anchors[1], alone[0][0])
    np.testing.assert_array_equal(regions[1], alone[1][0])
    for seed, step, key in ((0, 2, 10), (1, 3, 10), (1, 2, 11)):
        other = numbers_of(seed, step, [key], shape, 7)
        assert all((one != same).all() for one, same in zip(other, alone))
    many, _ = numbers_of(0, 0, np.arange(2000), (1, 5, 5), 1)
    assert many.dtype == np.float32 and 0 <= many.min() and many.max() < 1
    assert abs(many.mean() - 0.5) < 0.01
