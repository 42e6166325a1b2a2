"""What a detector needs in ONNX, against MXNet's operators, and how detections are compared."""

import mxnet as mx
import numpy as np
import onnxruntime
import pytest
from mxnet.onnx.mx2onnx._export_onnx import MXNetGraph

from gluon_tricks.deploy import onnx, onnx_file, onnx_operators
from gluon_tricks.deploy.detection.exporting import difference
from gluon_tricks.deploy.graph import Graph
from gluon_tricks.errors import UserError

SUPPRESS = dict(overlap_thresh=0.4, coord_start=1, score_index=0, id_index=-1, force_suppress=True)
OF_CLASS = dict(overlap_thresh=0.3, coord_start=2, score_index=1, id_index=0, valid_thresh=0.2)
SORT = dict(overlap_thresh=2, coord_start=2, score_index=1, id_index=0)


def boxes(seed, count=40):
    """(3, count, 6): classes, scores, and boxes that overlap."""
    random = np.random.RandomState(seed)
    corners = random.uniform(0, 40, (3, count, 2))
    sizes = random.uniform(5, 30, (3, count, 2))
    scores = random.permutation(3 * count).reshape(3, count, 1) / (3 * count)
    classes = np.broadcast_to(np.arange(3.0).reshape(3, 1, 1), scores.shape)
    return np.concatenate([classes, scores, corners, corners + sizes], 2).astype(np.float32)


@pytest.mark.parametrize(
    "attributes, skip",
    [
        (SUPPRESS, 1),
        (dict(SUPPRESS, topk=7), 1),
        (dict(SUPPRESS, topk=100), 1),
        (dict(OF_CLASS, topk=12), 0),
        (SORT, 0),
        (dict(SORT, topk=5), 0),
    ],
)
def test_suppression_is_mxnets(tmp_path, attributes, skip):
    path, rows = str(tmp_path / "model.onnx"), boxes(seed=len(attributes))[..., skip:]
    symbol = mx.sym.contrib.box_nms(mx.sym.var("data"), **attributes)
    onnx.convert(Graph(symbol, {}), path, rows.shape[1:], output="rows")
    expected = mx.nd.contrib.box_nms(mx.nd.array(rows), **attributes).asnumpy()
    (found,) = session(path).run(None, {"data": rows})
    np.testing.assert_array_equal(found, expected)
    left = (expected != -1).any(axis=2).sum(axis=1)
    assert (left < rows.shape[1]).any() and left.all()  # some are left out


def session(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def test_suppression_of_nothing_gives_nothing(tmp_path):
    path, rows = str(tmp_path / "model.onnx"), boxes(seed=0)[..., 1:]
    symbol = mx.sym.contrib.box_nms(mx.sym.var("data"), **SUPPRESS)
    onnx.convert(Graph(symbol, {}), path, rows.shape[1:], output="rows")
    rows[..., 0] = -1
    assert (session(path).run(None, {"data": rows})[0] == -1).all()


def test_other_networks_are_converted_as_ever():
    known = MXNetGraph.registry_[onnx_operators.OPSET]
    before = dict(known)
    with onnx_operators.in_place_for(["Convolution", "where"]):
        assert known == before
    with onnx_operators.in_place_for(["_contrib_box_nms"]):
        assert known != before
    assert known == before


def test_a_detector_may_take_more_memory_than_a_classifier(tmp_path, monkeypatch):
    path = str(tmp_path / "model.onnx")
    symbol = mx.sym.contrib.box_nms(mx.sym.var("data"), **SORT)
    onnx.convert(Graph(symbol, {}), path, (40, 6), about=dict(task="detection"), output="rows")
    monkeypatch.setattr("gluon_tricks.deploy.symbol_file.LARGEST", 100)
    with pytest.raises(UserError, match="an array of more than 100"):
        onnx_file.check(path, allowances=dict(detection=2))
    onnx_file.check(path, allowances=dict(detection=3))
    with pytest.raises(UserError, match="an array of more than 100"):
        onnx_file.check(path, allowances=dict(cooking=3))


def detections(count=100):
    random = np.random.RandomState(0)
    rows = np.full((1, count + 20, 6), -1.0)
    rows[0, :count, 0] = random.randint(3, size=count)
    rows[0, :count, 1] = np.sort(random.uniform(size=count))[::-1]
    rows[0, :count, 2:] = random.uniform(0, 500, (count, 4))
    return rows


def test_detections_that_change_places_are_the_same():
    rows = detections()
    order = np.random.RandomState(1).permutation(100)
    swapped = np.concatenate([rows[:, order], rows[:, 100:]], axis=1)
    assert difference([swapped], [rows]) == (0, 0)
    swapped[..., 1] += 1e-5 * (swapped[..., 0] >= 0)
    assert difference([swapped], [rows]) == pytest.approx((1e-5, 1e-5))
    swapped[0, :100, 2:] += 0.05
    assert difference([swapped], [rows])[1] == pytest.approx(0.05 / rows[0, :, 2:].max())


def left_out(rows):
    rows[0, 40:43] = -1


def one_more(rows):
    rows[0, 100:103] = rows[0, 40:43]


def of_another_class(rows):
    rows[0, 40:43, 0] += 1


def elsewhere(rows):
    rows[0, 40:43, 3] += 2


def surer(rows):
    rows[0, 40:43, 1] += 0.02


def no_numbers(rows):
    rows[0, 0, 2] = np.nan


@pytest.mark.parametrize(
    "change", [left_out, one_more, of_another_class, elsewhere, surer, no_numbers]
)
def test_more_than_one_in_50_that_is_another_is_too_much(change):
    rows = detections()
    changed = rows.copy()
    change(changed)
    assert difference([changed], [rows]) == (np.inf, np.inf)
    if change is not no_numbers:
        few = np.where(np.arange(120).reshape(1, -1, 1) % 40 == 0, changed, rows)
        assert difference([few], [rows])[0] < 1
