"""Exports of detectors: images of any size, the same detections, opened again."""

import json
import shutil

import numpy as np
import onnxruntime
import pytest
from box_scenes import CLASSES, scene

from gluon_tricks import cli, open_model
from gluon_tricks.deploy.compare import ExportError, judge
from gluon_tricks.deploy.detection import evaluation
from gluon_tricks.deploy.detection.exporting import LACKS, difference
from gluon_tricks.deploy.export import export
from gluon_tricks.deploy.writer import Options
from gluon_tricks.errors import UserError
from gluon_tricks.files import read_sealed_json, write_sealed_json


@pytest.fixture(scope="module")
def exported(detector, record, tmp_path_factory):
    """The folder of an export."""
    folder = str(tmp_path_factory.mktemp("plain") / "export")
    export(detector(), folder, ("symbol", "onnx"), rec_val=record)
    return folder


def pictures():
    found = [scene(np.random.RandomState(seed), 2)[0] for seed in (5, 6)]
    return [*found, np.rot90(found[0]).copy(), found[1][:20]]


def assert_same(found, expected):
    for one, other in zip(found, expected):
        np.testing.assert_array_equal(one, other)


def assert_close(found, expected):
    assert difference(*([rows_of(one)] for one in (found, expected)))[1] < 1e-5


def rows_of(found):
    return np.column_stack([found.classes, found.scores, found.corners])[None]


def test_fewer_images_or_rows_than_the_network_gives_are_an_error():
    rows = np.zeros((2, 5, 6), np.float32)
    for fewer in (rows[:1], rows[:, :4]):
        with pytest.raises(ExportError, match=r"instead of \(2, 5, 6\)"):
            judge("onnx", [rows], [[fewer]], [[rows]], difference)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["", "model-symbol.json", "model.onnx"])
def test_an_export_finds_what_the_network_does_in_images_of_other_sizes(model, exported, source):
    opened, as_it_was = open_model(f"{exported}/{source}"), assert_same
    if source == "model.onnx":
        as_it_was = assert_close
        assert opened.kind == "onnx" and opened.thresholds == model.thresholds
    for picture in pictures():
        as_it_was(opened.detect(picture), model.detect(picture))


def test_an_onnx_file_alone_is_opened_and_says_that_sizes_are_open(model, exported, tmp_path):
    alone = shutil.copy(exported + "/model.onnx", tmp_path / "alone.onnx")
    opened = open_model(alone)
    assert opened.task == "detection" and opened.thresholds == model.thresholds
    assert_close(opened.detect(pictures()[1]), model.detect(pictures()[1]))
    session = onnxruntime.InferenceSession(str(alone), providers=["CPUExecutionProvider"])
    (images,), (found,) = session.get_inputs(), session.get_outputs()
    assert images.shape == ["batch", 3, "height", "width"] and found.name == "detections"
    pair = np.stack([model.preprocessing.normalise(one)[:, :40, :40] for one in pictures()[:2]])
    (both,) = session.run(None, {"data": pair})
    assert both.shape[::2] == (2, 6)
    assert difference([both], [model.compute(pair)])[1] < 1e-5


def test_an_export_has_figures_and_says_how_its_images_are_made(model, exported, record):
    opened = open_model(exported)
    assert opened.task == "detection" and opened.kind == "symbol" and opened.labels == model.labels
    assert opened.preprocessing == model.preprocessing
    found, expected = (evaluation.evaluate(each, record) for each in (opened, model))
    assert found.results == expected.results
    with open(exported + "/manifest.json") as file:
        manifest = json.load(file)
    assert manifest["outputs"] == ["detections"] and manifest["input"]["shape"].count(None) == 3
    assert (manifest["score"], manifest["overlap"], manifest["max_side"]) == (0.01, 0.3, 64)
    for name, value in evaluation.figures(expected).items():
        assert manifest["measured"][name] == pytest.approx(value)


def test_a_graphs_detections_can_be_left_out_but_no_others_found(model, exported):
    opened, picture = open_model(exported), pictures()[0]
    scores = model.detect(picture).scores
    for one in (model, opened):
        one.choose(score=float(np.median(scores)))
    assert_same(opened.detect(picture), model.detect(picture))
    assert 0 < len(opened.detect(picture).scores) < len(scores)
    for name, value in dict(score=0.001, overlap=0.5).items():
        with pytest.raises(UserError, match=f"--{name} {value}: .*export again with this --{name}"):
            opened.choose(**{name: value})


@pytest.mark.slow
def test_an_export_has_the_thresholds_of_its_flags_and_takes_pixels(model, tmp_path):
    model.measured, folder = dict(map07=50.0, images=3), str(tmp_path / "export")
    model.choose(score=0.1, overlap=0.6)
    export(model, folder, ("onnx",), Options(preprocess=True, fold_bn=True))
    opened = open_model(folder)
    assert opened.thresholds == model.thresholds == (0.1, 0.6)
    assert opened.measured is None  # which was measured with others
    expected = model.detect(pictures()[0])
    assert len(expected.scores) and expected.scores.min() > 0.1
    assert_close(opened.detect(pictures()[0]), expected)


@pytest.mark.parametrize("name", LACKS)
def test_what_there_is_not_of_detectors_is_said(model, tmp_path, name):
    formats = (name,) if name not in Options._fields else ("symbol",)
    options = Options(**{name: True}) if name in Options._fields else Options()
    with pytest.raises(UserError, match="some is for detection, and") as refused:
        export(model, str(tmp_path / "export"), formats, options)
    assert LACKS[name] in str(refused.value) and not (tmp_path / "export").exists()


def test_a_graph_too_large_to_be_opened_again_is_not_written(model, tmp_path, monkeypatch):
    monkeypatch.setattr("gluon_tricks.deploy.symbol_file.LARGEST", 1000)
    with pytest.raises(UserError, match="one image needs an array of more than"):
        export(model, str(tmp_path / "export"))
    assert not (tmp_path / "export").exists()


@pytest.mark.parametrize(
    "rows, message",
    [
        (np.zeros((1, 4, 5)), "shape 1x4x5, which are not detections"),
        (np.zeros((2, 4, 6)), "shape 2x4x6"),
        (np.zeros((6,)), "shape 6,"),
        (np.full((1, 4, 6), np.nan), "outputs for photo are not finite"),
        (np.full((1, 4, 6), CLASSES), "finds a class for photo that is not one of its 3"),
    ],
)
def test_outputs_that_are_no_detections_are_named(model, rows, message):
    model.compute = lambda images: rows.astype(np.float32)
    with pytest.raises(UserError, match=message):
        model.detect(pictures()[0], "photo")


@pytest.mark.slow
def test_the_commands_open_an_export_and_damage_is_said(exported, record, tmp_path, capsys):
    folder, output = str(shutil.copytree(exported, tmp_path / "copy")), tmp_path / "out"
    assert cli.run(["predict", folder, "--rec", record, "--keys", "1", "-o", str(output)]) == 0
    assert (output / "1.boxes.png").exists()
    assert cli.run(["predict", folder, "--rec", record, "--keys", "1", "--overlap", "0.4"]) == 2
    assert "was exported with 0.3; export again" in capsys.readouterr().err
    for flag in ("--json", "--coco"):  # before anything is computed
        assert cli.run(["evaluate", folder, "--rec-val", "nothing.rec", flag, "/none/file"]) == 2
        assert "/none/file: cannot be written: there is no folder" in capsys.readouterr().err
    manifest = read_sealed_json(folder + "/manifest.json")
    del manifest["sha256"]
    for name, value in dict(score=7, overlap="much", max_side=None, input_size=0).items():
        write_sealed_json(folder + "/manifest.json", dict(manifest, **{name: value}))
        with pytest.raises(UserError, match=f"damaged.*{name.split('_')[0]}"):
            open_model(folder)
