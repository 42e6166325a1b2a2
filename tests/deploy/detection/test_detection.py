"""Detectors evaluated and asked for the objects in pictures."""

import json
from argparse import Namespace

import cv2
import mxnet as mx
import numpy as np
import pytest
from box_scenes import CLASSES

from gluon_tricks.commands import predict_detection
from gluon_tricks.data import loader
from gluon_tricks.deploy.detection import evaluation, pictures
from gluon_tricks.distributed.local import Local
from gluon_tricks.errors import UserError
from gluon_tricks.tasks.detection import Detection
from gluon_tricks.tasks.matching import Found


def test_evaluation_has_the_figures_of_trainings_validation(model, config, record):
    validation = loader.eval_loader(config, 4)
    expected = Detection(CLASSES).measure(model.trained.net, validation, Local([mx.cpu()], "local"))
    validation.close()
    found = evaluation.evaluate(model, record)
    assert evaluation.figures(found) == pytest.approx(expected, abs=1e-6)
    assert found.objects.sum() == 6 and len(found.results) > 10
    assert {result["image_id"] for result in found.results} <= set(range(6))


def test_pictures_of_detections(model, config, record, tmp_path, capsys):
    picture = next(evaluation.scenes(record, "", CLASSES))[1]
    args = Namespace(score=0.2, overlap=None, output=str(tmp_path), json=None, rec=record, top=5)
    args.json = str(tmp_path / "found.json")
    assert predict_detection.main(args, model, [(7, None, picture), (8, None, picture)]) == 0
    first, second = json.loads((tmp_path / "found.json").read_text())["images"]
    assert first["objects"] == second["objects"] and (first["name"], second["name"]) == (7, 8)
    height, width = picture.shape[:2]
    assert first["objects"] and min(one["score"] for one in first["objects"]) >= 0.2
    for left, top, right, bottom in (one["box"] for one in first["objects"]):
        assert left < right <= 2 * width and top < bottom <= 2 * height
    assert cv2.imread(first["picture"]).shape == picture.shape
    assert first["objects"][0]["label"] in capsys.readouterr().out


def test_a_box_is_drawn_where_it_is(tmp_path):
    picture, path = np.full((120, 200, 3), 90, np.uint8), str(tmp_path / "drawn.png")
    found = Found(np.float64([[50, 20, 179, 99]]), np.array([2]), np.array([0.75]))
    pictures.write_boxes(picture, found, ["a", "b", "c $x$"], path)
    drawn = cv2.imread(path)[:, :, ::-1]
    changed = (drawn != 90).any(axis=2)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert abs(rows[[0, -1]] - [20, 99]).max() <= 2
    assert abs(columns[[0, -1]] - [50, 179]).max() <= 2
    assert changed[20:100, 50].all() and not changed[45:95, 60:170].any()
    assert changed[22:38, 53:90].mean() > 0.5  # the label


def test_what_a_detector_cannot_do_is_refused(model):
    with pytest.raises(UserError, match="--score 2: outside"):
        model.choose(score=2)
