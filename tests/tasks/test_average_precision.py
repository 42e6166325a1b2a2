"""AP against GluonCV's metrics, pycocotools, a slow implementation, and figures made by hand."""

import contextlib
import io
from fractions import Fraction

import numpy as np
import pytest
from gluoncv.utils.metrics.voc_detection import VOC07MApMetric, VOCMApMetric

from gluon_tricks.data.box_records import CROWD, DIFFICULT, ORDINARY, Boxes, boxes_of
from gluon_tricks.tasks import average_precision as ap
from gluon_tricks.tasks.matching import (
    NOT_COUNTED,
    RIGHT,
    WRONG,
    Found,
    coco_rule,
    iou,
    match,
    together,
    voc_rule,
)

CLASSES = 4


def corners_of(random, count):
    first = random.uniform(0, 60, (count, 2))
    return np.hstack([first, first + random.uniform(8, 40, (count, 2))]).round(1)


def scene(seed, kinds=(ORDINARY, DIFFICULT), ties=False):
    """Boxes of an image, and detections near to some of them. Class 3 is never there."""
    random = np.random.RandomState(seed)
    count = seed % 5
    truth = Boxes(
        corners_of(random, count),
        random.randint(0, 3, count),
        random.choice(kinds, count, p=[0.7] + [0.3 / (len(kinds) - 1)] * (len(kinds) - 1)),
    )
    near = np.repeat(np.arange(count), 2)
    corners = np.vstack([truth.corners[near], corners_of(random, 3)])
    corners[: 2 * count] += random.uniform(-3.9, 3.9, (2 * count, 4))
    classes = np.append(truth.classes[near], random.randint(0, 4, 3))
    scores = random.uniform(0, 1, len(corners))
    return Found(corners.round(1), classes, scores.round(1) if ties else scores), truth


def matches(scenes, rule, thresholds=(0.5,), most=None):
    return together([match(*one, CLASSES, rule, thresholds, most) for one in scenes])


@pytest.mark.parametrize(
    "metric, curve", [(VOC07MApMetric, ap.eleven_float_points), (VOCMApMetric, ap.area)]
)
@pytest.mark.parametrize("first", [0, 100, 200])
def test_voc_ap_is_gluoncvs(metric, curve, first):
    scenes = [scene(seed) for seed in range(first, first + 40)]
    known = metric(0.5, [str(label) for label in range(CLASSES)])
    for found, truth in scenes:
        if len(truth):
            columns = *found, truth.corners, truth.classes, truth.kinds
            corners, classes, scores, *truths = (column[None] for column in columns)
            known.update(corners, classes, scores, *truths)
        else:
            nothing = np.zeros((1, 1, 4)), -np.ones((1, 1)), np.zeros((1, 1))
            known.update(*(column[None] for column in found), *nothing)
    expected = known.get()[1]
    values = ap.average_precisions(matches(scenes, voc_rule), curve)[:, 0]
    np.testing.assert_allclose(values, expected[:-1], atol=1e-12)
    assert np.isnan(values[3]) and 0.1 < ap.mean_of(values) < 0.95
    assert ap.mean_of(values) == pytest.approx(expected[-1])


def slow_eleven_points(outcomes, objects):
    """VOC's 11 points in fractions, straight from the definition."""
    points, right, wrong = [], 0, 0
    for outcome in outcomes:
        right, wrong = right + (outcome == RIGHT), wrong + (outcome == WRONG)
        if right + wrong:
            points.append((Fraction(right, objects), Fraction(right, right + wrong)))
    steps = [Fraction(step, 10) for step in range(11)]
    best = [max((p for r, p in points if r >= step), default=Fraction(0)) for step in steps]
    return sum(best) / 11


@pytest.mark.parametrize("objects", [1, 3, 10, 30])
def test_the_recall_steps_are_exact(objects):
    random = np.random.RandomState(objects)
    for _ in range(30):
        outcomes = random.choice([RIGHT, WRONG, NOT_COUNTED], objects)
        right, wrong = (np.cumsum(outcomes == what) for what in (RIGHT, WRONG))
        expected = float(slow_eleven_points(outcomes, objects))
        assert ap.eleven_points(right, wrong, objects) == pytest.approx(expected, abs=1e-12)
    three_of_ten = np.arange(1, 4), np.zeros(3, int), 10
    assert ap.eleven_points(*three_of_ten) == pytest.approx(4 / 11)
    assert ap.eleven_float_points(*three_of_ten) == pytest.approx(3 / 11)
    assert ap.area(*three_of_ten) == pytest.approx(0.3)


def slow_coco(scenes, label, threshold):
    """COCO's AP of a class, box by box: (score, outcome) by image, then the curve."""
    ranked, objects = [], 0
    for found, truth in scenes:
        boxes = [i for i in range(len(truth)) if truth.classes[i] == label]
        boxes.sort(key=lambda i: truth.kinds[i] != ORDINARY)
        objects += sum(truth.kinds[i] == ORDINARY for i in boxes)
        mine = [i for i in range(len(found.scores)) if found.classes[i] == label]
        taken = set()
        for i in sorted(mine, key=lambda i: -found.scores[i])[:100]:
            best, place = threshold, None
            for j in boxes:
                if j in taken and truth.kinds[j] != CROWD:
                    continue
                if place is not None and truth.kinds[place] == ORDINARY != truth.kinds[j]:
                    break
                value = slow_iou(found.corners[i], truth.corners[j], truth.kinds[j] == CROWD)
                if value >= best:
                    best, place = value, j
            taken |= {place}
            counted = place is None or truth.kinds[place] == ORDINARY
            ranked.append((-found.scores[i], place is not None, counted))
    if not objects:
        return np.nan
    points, right, wrong = [], 0, 0
    for _, fits, counted in sorted(ranked, key=lambda one: one[0]):
        right, wrong = right + (fits and counted), wrong + (not fits and counted)
        points.append((right / objects, right / max(1, right + wrong)))
    steps = np.linspace(0, 1, 101)
    return np.mean([max([p for r, p in points if r >= step], default=0) for step in steps])


def slow_iou(a, b, crowd):
    width = min(a[2], b[2]) - max(a[0], b[0]) + 1
    height = min(a[3], b[3]) - max(a[1], b[1]) + 1
    common = max(width, 0) * max(height, 0)
    area, other = ((c[2] - c[0] + 1) * (c[3] - c[1] + 1) for c in (a, b))
    return common / area if crowd else common / (area + other - common)


@pytest.mark.parametrize("ties", [False, True])
def test_coco_ap_is_that_of_a_slow_implementation(ties):
    scenes = [scene(seed, (ORDINARY, DIFFICULT, CROWD), ties) for seed in range(30)]
    found = matches(scenes, coco_rule, ap.COCO_THRESHOLDS, ap.COCO_MOST)
    values = ap.average_precisions(found, ap.hundred_points)
    assert values.shape == (CLASSES, 10)
    for label in range(CLASSES):
        for t in (0, 3, 5, 9):
            expected = slow_coco(scenes, label, ap.COCO_THRESHOLDS[t])
            np.testing.assert_allclose(values[label, t], expected, atol=1e-12)


def by_pycocotools(scenes):
    coco = pytest.importorskip("pycocotools.coco")
    from pycocotools.cocoeval import COCOeval

    def entry(image, label, corners, **more):
        left, top, right, bottom = corners.tolist()
        box = [left, top, right - left + 1, bottom - top + 1]
        return dict(image_id=image, category_id=int(label), bbox=box, **more)

    truths, results = [], []
    for image, (found, truth) in enumerate(scenes):
        for corners, label, kind in zip(*truth):
            area = float(np.prod(corners[2:] - corners[:2] + 1))
            more = dict(id=len(truths) + 1, iscrowd=int(kind == CROWD), area=area)
            truths.append(entry(image, label, corners, **more))
        for corners, label, score in zip(*found):
            results.append(entry(image, label, corners, score=score))
    known = coco.COCO()
    known.dataset = {
        "images": [{"id": image} for image in range(len(scenes))],
        "annotations": truths,
        "categories": [{"id": label} for label in range(CLASSES)],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        known.createIndex()
        evaluation = COCOeval(known, known.loadRes(results), "bbox")
        evaluation.params.areaRng = [[0, 1e10]]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # (thresholds, recalls, classes)
    return np.where(precision < 0, np.nan, precision).mean(axis=1).T


@pytest.mark.parametrize("ties", [False, True])
def test_coco_ap_is_pycocotools(ties):
    scenes = [scene(seed, (ORDINARY, CROWD), ties) for seed in range(60)]
    found = matches(scenes, coco_rule, ap.COCO_THRESHOLDS, ap.COCO_MOST)
    values = ap.average_precisions(found, ap.hundred_points)
    np.testing.assert_allclose(values, by_pycocotools(scenes), atol=1e-12)


BOX, OTHER = [0, 0, 9, 9], [50, 50, 59, 59]


def only(rows, found):
    """Outcomes of detections ``(corners, score)`` of class 0, by falling score, by both rules."""
    truth = boxes_of([(*corners, 0, kind) for corners, kind in rows])
    corners, scores = zip(*found)
    one = Found(np.float64(corners), np.zeros(len(found), int), np.float64(scores))
    return [
        match(one, truth, 1, rule, [0.5]).outcomes[:, 0].tolist() for rule in (voc_rule, coco_rule)
    ]


def test_difficult_boxes_and_crowds_are_neither_right_nor_wrong():
    twice = [(BOX, 0.9), (BOX, 0.8)]
    assert only([(BOX, ORDINARY)], twice) == [[RIGHT, WRONG]] * 2
    # VOC lets a difficult box swallow any number, COCO one, and a crowd any number again
    assert only([(BOX, DIFFICULT)], twice) == [[NOT_COUNTED] * 2, [NOT_COUNTED, WRONG]]
    assert only([(BOX, CROWD)], twice) == [[NOT_COUNTED] * 2] * 2
    assert only([(OTHER, DIFFICULT)], twice) == [[WRONG] * 2] * 2


def test_a_class_without_objects_has_no_ap_and_one_without_detections_0():
    nothing = Found(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0))
    truth = boxes_of([(*BOX, 1, ORDINARY), (*BOX, 2, DIFFICULT)])
    wrong = Found(np.float64([BOX] * 3), np.array([0, 2, -1]), np.array([0.9, 0.8, 0.7]))
    for found in (nothing, wrong):
        for rule in (voc_rule, coco_rule):
            counted = together([match(found, truth, 3, rule, [0.5, 0.75])])
            assert counted.objects.tolist() == [0, 1, 0]
            assert len(counted.scores) == (found is wrong) * 2  # class -1 is padding
            for curve in (ap.eleven_points, ap.eleven_float_points, ap.area, ap.hundred_points):
                values = ap.average_precisions(counted, curve)
                np.testing.assert_array_equal(values, [[np.nan] * 2, [0, 0], [np.nan] * 2])
    assert ap.mean_of([np.nan, 0.5, 1]) == 0.75 and np.isnan(ap.mean_of([np.nan]))


def test_equal_scores_are_ranked_by_image():
    truth, none = boxes_of([(*BOX, 0, ORDINARY)]), boxes_of([])
    right = match(Found(np.float64([BOX]), np.zeros(1, int), np.ones(1)), truth, 1, voc_rule, [0.5])
    wrong = match(Found(np.float64([BOX]), np.zeros(1, int), np.ones(1)), none, 1, voc_rule, [0.5])
    for order, expected in (([right, wrong], 1), ([wrong, right], 0.5)):
        assert ap.average_precisions(together(order), ap.area) == expected


def test_iou_counts_the_last_pixels():
    boxes = np.float64([BOX, OTHER, [5, 0, 14, 9], [0, 0, 99, 99]])
    kinds = np.array([ORDINARY, ORDINARY, ORDINARY, CROWD])
    np.testing.assert_allclose(iou(boxes[:1], boxes, kinds), [[1, 0, 50 / 150, 1]])
