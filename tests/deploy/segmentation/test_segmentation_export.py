"""Exports of networks for segmentation: any size and batch, the same answers, opened again."""

import json
import shutil

import mxnet as mx
import numpy as np
import onnxruntime
import pytest
from scenes import NAMES, K, scene

from gluon_tricks import open_model
from gluon_tricks.commands.export import describe
from gluon_tricks.deploy import compare, export, onnx
from gluon_tricks.deploy import graph as graphs
from gluon_tricks.deploy.writer import Calibration, Options
from gluon_tricks.errors import UserError
from gluon_tricks.files import read_sealed_json, write_sealed_json
from gluon_tricks.models import get_model

EXPORTS = {
    "plain": (("symbol", "onnx", "int8"), Options()),
    "whole": (("onnx",), Options(preprocess=True, softmax=True, fold_bn=True)),
}


@pytest.fixture(scope="session")
def exported(run_folder, records, tmp_path_factory):
    """Folders of exports, without and with options."""
    made, calibration = {}, Calibration(str(records / "train.rec"), images=8)
    for name, (formats, options) in EXPORTS.items():
        made[name] = str(tmp_path_factory.mktemp("exports") / name)
        model, images = open_model(str(run_folder)), calibration if "int8" in formats else None
        export.export(model, made[name], formats, options, "", images)
    return made


def pictures():
    return [scene(number)[0] for number in (300, 301, 303)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, format", [(name, format) for name, (formats, _) in EXPORTS.items() for format in formats]
)
def test_an_export_answers_as_the_network_does_to_images_of_other_sizes(
    run_folder, exported, name, format
):
    network, model = open_model(str(run_folder)), open_model(exported[name], format=format)
    assert model.task == "segmentation" and model.labels == NAMES
    assert model.preprocessing == network.preprocessing
    for picture in pictures():
        same = (model.segment(picture) == network.segment(picture)).mean()
        assert same > (0.95 if format == "int8" else 0.999)


def test_the_manifest_says_task_classes_sizes_and_how_it_was_measured(exported):
    plain, whole = (json.load(open(exported[name] + "/manifest.json")) for name in exported)
    assert plain["task"] == "segmentation" and plain["classes"] == K
    assert plain["input"]["shape"] == [None, 3, None, None]
    assert whole["input"]["shape"] == [None, None, None, 3]
    assert "centre crop 24 x 24" in plain["measured"]["protocol"]
    entry = plain["formats"]["int8"]
    assert entry["miou_lost"] == entry["miou_float32"] - entry["miou"]
    for each in plain["formats"].values():
        assert each["comparison"]["batches"] == [2, 1, 1, 1, 1]


def test_the_onnx_file_says_that_batch_height_and_width_are_open(exported):
    session = onnxruntime.InferenceSession(exported["plain"] + "/model.onnx")
    (images,), (logits,) = session.get_inputs(), session.get_outputs()
    assert images.shape == ["batch", 3, "height", "width"]
    assert [logits.shape[0], *logits.shape[2:]] == ["batch", "height", "width"]
    for shape in ((2, 3, 31, 17), (1, 3, 8, 40)):
        (found,) = session.run(None, {images.name: np.zeros(shape, np.float32)})
        assert found.shape == (shape[0], K, *shape[2:])


def test_the_onnx_file_alone_and_the_commands_open_an_export(command, exported, records, tmp_path):
    for source in (exported["plain"], exported["plain"] + "/model.onnx"):
        words = ["--rec-val", records / "val.rec", "--json", tmp_path / "a.json"]
        assert command("evaluate", source, *words) == 0
        assert json.loads((tmp_path / "a.json").read_text())["images"] == 9
    words = ["--rec", records / "val.rec", "--keys", "101", "-o", tmp_path / "out"]
    assert command("predict", exported["plain"], "--format", "int8", *words) == 0
    assert (tmp_path / "out" / "101.mask.png").exists()


def test_the_command_says_what_it_measured(exported):
    manifest = json.loads(open(exported["plain"] + "/manifest.json").read())
    lines = list(describe(manifest))
    entry = manifest["formats"]["int8"]
    assert lines[0].startswith(f"mIoU {manifest['measured']['miou']:.2f} %, pixel accuracy")
    assert lines[0].endswith("on 9 images (centre crop 24 x 24 of a short side of 24)")
    assert lines[-1] == (
        f"int8: mIoU {entry['miou']:.2f} % instead of {entry['miou_float32']:.2f} %, the same "
        f"answer for {entry['agreement']:.2f} % of the pixels of 24 images of train.rec"
    )


def test_a_graph_that_computes_something_else_is_refused(run_folder, tmp_path, monkeypatch):
    whole = compare.replay

    def changed(*arguments):
        outputs = whole(*arguments)
        outputs[-1][0][0, 0, 0, 0] += 1
        return outputs

    monkeypatch.setattr(compare, "replay", changed)
    with pytest.raises(compare.ExportError, match="differs from the network"):
        export.export(open_model(str(run_folder)), str(tmp_path / "out"), ("onnx",))
    assert not (tmp_path / "out").exists()


def test_a_parameter_file_alone_needs_the_networks_name(run_folder, tmp_path):
    alone = str(tmp_path / "alone.params")
    shutil.copy(next(run_folder.glob("checkpoints/*/net.params")), alone)
    with pytest.raises(UserError, match="give --model"):
        open_model(alone)
    found = open_model(alone, model="tiny_pixels", classes=K, input_size=24)
    assert found.task == "segmentation" and found.segment(pictures()[0]).max() < K
    with pytest.raises(UserError, match="--crop-ratio has no effect"):
        open_model(alone, model="tiny_pixels", classes=K, crop_ratio=0.5)


def test_a_damaged_manifest_is_said(exported, tmp_path):
    folder = shutil.copytree(exported["plain"], tmp_path / "copy")
    manifest = read_sealed_json(str(folder / "manifest.json"))
    del manifest["sha256"]
    for name, value in dict(task="cooking", base_size="large").items():
        write_sealed_json(str(folder / "manifest.json"), dict(manifest, **{name: value}))
        with pytest.raises(UserError, match=f"damaged, {name} is {value}"):
            open_model(str(folder))


@pytest.mark.slow
def test_fcn_itself_converts_to_onnx_of_any_size(tmp_path):
    net = get_model("fcn_resnet18_v1d", classes=K)
    net.initialize(mx.init.MSRAPrelu())
    net(mx.nd.zeros((1, 3, 32, 32)))
    graph, path = graphs.trace(net), str(tmp_path / "model.onnx")
    onnx.convert(graph, path, (3, 32, 32), any_size=True)
    session = onnxruntime.InferenceSession(path)
    for shape in ((1, 3, 33, 48), (2, 3, 17, 25)):
        images = np.random.RandomState(0).normal(size=shape).astype(np.float32)
        (found,) = session.run(None, {"data": images})
        expected = net(mx.nd.array(images)).asnumpy()
        assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()
