"""Opening models: every format gives the same answers, and anything else one clear message."""

import json
import os
import shutil

import cv2
import mxnet as mx
import numpy as np
import pytest
from network_checks import Fixed, initialised
from scipy.special import softmax

import gluon_tricks
from gluon_tricks import config as flags
from gluon_tricks.deploy import manifest as manifests
from gluon_tricks.deploy.export import export
from gluon_tricks.deploy.opening import open_model
from gluon_tricks.errors import UserError
from gluon_tricks.models import get_model, registry
from gluon_tricks.training.checkpoint import FORMAT, seal


@pytest.fixture(scope="module")
def params(network, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("params") / "net.params")
    network("cifar_resnet20_v1").save_parameters(path)
    return path


def opened(params, **given):
    return open_model(params, model="cifar_resnet20_v1", classes=5, **given)


@pytest.fixture(scope="module")
def run_folder(params, tmp_path_factory):
    """A run's folder as training leaves it, with two checkpoints of which the older one is the
    best.
    """
    import hashlib

    folder = tmp_path_factory.mktemp("runs") / "run"
    config = flags.Config(
        model="cifar_resnet20_v1", classes=5, input_size=32, crop_ratio=1.0, synthetic=8
    )
    for step in (3, 6):
        checkpoint = folder / "checkpoints" / f"step-{step:08d}"
        checkpoint.mkdir(parents=True)
        arrays = mx.nd.load(params)
        mx.nd.save(
            str(checkpoint / "net.params"),
            {name: array * (1 if step == 3 else 0.5) for name, array in arrays.items()},
        )
        digest = hashlib.sha256((checkpoint / "net.params").read_bytes()).hexdigest()
        best = dict(step=3, epoch=0, top1=90.0, top5=100.0, loss=0.5, images=8)
        (checkpoint / "state.json").write_text(
            json.dumps(
                seal(
                    dict(
                        format=FORMAT,
                        step=step,
                        num_update=step,
                        best=best,
                        sha256={"net.params": digest},
                    )
                )
            )
        )
    (folder / "best").symlink_to("checkpoints/step-00000003")
    (folder / "config.json").write_text(
        json.dumps(
            dict(
                version="0",
                flags=json.loads(flags.to_json(config)),
                layout=dict(began_with=8),
                data=dict(train=None, validation=None),
            )
        )
    )
    return str(folder)


@pytest.fixture(scope="module")
def folder(params, tmp_path_factory):
    """An export whose formats were written, but not run by other processes as test_export does."""
    from gluon_tricks.deploy import graph as graphs
    from gluon_tricks.deploy import onnx

    path = tmp_path_factory.mktemp("export")
    model = opened(params)
    graph = graphs.with_softmax(graphs.trace(model.trained.net))
    graphs.save(graph, *(str(path / name) for name in manifests.FILES["symbol"]))
    onnx.convert(graph, str(path / "model.onnx"), (3, 32, 32))
    (path / "labels.txt").write_text("".join(f"name {i}\n" for i in range(5)))
    manifests.write(
        str(path),
        dict(
            model=model.model,
            classes=5,
            input_size=32,
            crop_ratio=0.875,
            rgb_mean=[1, 2, 3],
            rgb_std=[4, 5, 6],
            options=dict(preprocess=False, softmax=True, fold_bn=False),
            measured=None,
            formats=dict(symbol={}, onnx={}),
        ),
    )
    return str(path)


def test_a_parameter_file_gives_the_networks_logits(params, network, images):
    model = opened(params, rgb_mean=(1.0, 2.0, 3.0))
    np.testing.assert_array_equal(
        model.predict(images), network("cifar_resnet20_v1")(mx.nd.array(images)).asnumpy()
    )
    assert (model.kind, model.classes, model.preprocessing.rgb_mean, model.label(2)) == (
        "gluon",
        5,
        (1.0, 2.0, 3.0),
        "2",
    )
    assert model.preprocessing.input_size == 32  # what networks for CIFAR are made for


def test_a_run_gives_its_best_or_its_last_parameters(run_folder, params, images):
    best = open_model(run_folder)
    np.testing.assert_array_equal(best.predict(images), opened(params).predict(images))
    assert (
        best.trained.step,
        best.preprocessing.input_size,
        best.preprocessing.crop_ratio,
        best.measured["top1"],
    ) == (3, 32, 1.0, 90.0)
    larger = open_model(
        run_folder, input_size=40, crop_ratio=0.5
    )  # test at another size than in training
    assert (larger.preprocessing.input_size, larger.preprocessing.crop_ratio) == (40, 0.5)
    last = open_model(run_folder, params="last")
    assert last.trained.step == 6 and last.measured is None
    assert not np.array_equal(last.predict(images), best.predict(images))


def test_a_checkpoint_and_its_parameter_file_know_their_run(run_folder, images):
    expected = open_model(run_folder).predict(images)
    for path in (
        "checkpoints/step-00000003",
        "best",
        "best/net.params",
        "checkpoints/step-00000003/net.params",
    ):
        np.testing.assert_array_equal(
            open_model(os.path.join(run_folder, path)).predict(images), expected
        )


@pytest.mark.parametrize("path", ["", "model-0000.params", "model-symbol.json"])
def test_an_export_gives_the_logits_and_its_labels(folder, params, images, path):
    model = open_model(os.path.join(folder, path))
    np.testing.assert_array_equal(model.predict(images), opened(params).predict(images))
    assert (model.kind, model.label(2), model.preprocessing.rgb_std) == (
        "symbol",
        "name 2",
        (4, 5, 6),
    )


@pytest.mark.parametrize("path, format", [("", "onnx"), ("model.onnx", None)])
def test_an_onnx_form_gives_the_logits(folder, params, images, path, format):
    model = open_model(os.path.join(folder, path), format=format)
    expected = opened(params).predict(images)
    np.testing.assert_allclose(model.predict(images), expected, atol=1e-4 * np.abs(expected).max())
    assert model.kind == "onnx"


def test_an_onnx_file_alone_says_its_classes_and_size(folder, tmp_path, images):
    shutil.copy(os.path.join(folder, "model.onnx"), tmp_path / "alone.onnx")
    model = open_model(str(tmp_path / "alone.onnx"), crop_ratio=0.5)
    assert (
        model.classes,
        model.preprocessing.input_size,
        model.preprocessing.crop_ratio,
        model.predict(images).shape,
    ) == (5, 32, 0.5, (4, 5))
    with pytest.raises(UserError, match="--classes 7: but .*alone.onnx says 5"):
        open_model(str(tmp_path / "alone.onnx"), classes=7)


@pytest.mark.parametrize("preprocess", [False, True])
def test_an_exported_onnx_file_alone_knows_its_preprocessing_and_its_labels(
    params, tmp_path, images, preprocess
):
    from gluon_tricks.deploy.writer import FormatWriter, Options

    mean, std = (10.0, 20.0, 30.0), (4.0, 5.0, 6.0)
    model = opened(params, rgb_mean=mean, rgb_std=std, crop_ratio=0.8)
    model.labels = ["a", "b", "c", "d", "\u00e9\udcff"]
    FormatWriter(model, str(tmp_path), Options(preprocess, True, False)).write("onnx")
    alone = open_model(str(tmp_path / "model.onnx"))
    found = (
        alone.model,
        alone.classes,
        alone.preprocessing.input_size,
        alone.preprocessing.crop_ratio,
        alone.preprocessing.rgb_mean,
        alone.preprocessing.rgb_std,
        alone.labels,
    )
    assert found == ("cifar_resnet20_v1", 5, 32, 0.8, mean, std, model.labels)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3))
    normalised = ((pixels - np.array(mean)) / std).transpose(0, 3, 1, 2).astype(np.float32)
    expected = model.predict(normalised)
    np.testing.assert_allclose(
        alone.predict(normalised), expected, atol=1e-4 * np.abs(expected).max()
    )
    with pytest.raises(UserError, match="--crop-ratio 0.5: but .*model.onnx says 0.8"):
        open_model(str(tmp_path / "model.onnx"), crop_ratio=0.5)


def test_labels_of_another_number_are_refused(params, tmp_path):
    (tmp_path / "names.txt").write_text("a\nb\n")
    with pytest.raises(UserError, match="names.txt: has 2 labels, but the model has 5 classes"):
        opened(params, labels=str(tmp_path / "names.txt"))


def test_images_of_a_wrong_shape_or_type_are_refused(params, folder, images):
    for model in (opened(params), open_model(folder), open_model(folder, format="onnx")):
        for wrong in (
            images[0],
            images[:, :1],
            images.astype(np.float64),
            images.transpose(0, 2, 3, 1),
        ):
            with pytest.raises(UserError, match="takes float32 images"):
                model.predict(wrong)
    with pytest.raises(UserError, match=r"cannot compute images of shape \(4, 3, 16, 16\)"):
        open_model(folder, format="onnx").predict(images[:, :, ::2, ::2])


@pytest.mark.slow
def test_what_cannot_be_loaded_gets_one_clear_message(params, run_folder, folder, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    (tmp_path / "text.onnx").write_text("hello")
    (tmp_path / "damaged.params").write_bytes(open(params, "rb").read()[:1000])
    for path, given, message in [
        (tmp_path / "nowhere", {}, "no such model"),
        (tmp_path / "empty", {}, "holds no run"),
        (tmp_path / "picture.png", {}, "is neither a .params, .safetensors or .onnx file"),
        (tmp_path / "text.onnx", {}, "text.onnx: not an ONNX file, or damaged"),
        (tmp_path / "damaged.params", dict(model="cifar_resnet20_v1", classes=5), "damaged"),
        (params, {}, "unknown network.* give --model$"),
        (params, dict(model="cifar_resnet20_v1", classes=6), "is for 5 classes, not 6"),
        (params, dict(model="mobilenet0.25", classes=5), "does not fit"),
        (
            run_folder,
            dict(model="mobilenet0.25"),
            "--model mobilenet0.25: but .* says cifar_resnet20_v1",
        ),
        (folder, dict(input_size=64), "--input-size 64: but .* says 32"),
        (folder, dict(format="int8"), "has no format int8, only symbol, onnx"),
        (run_folder, dict(format="onnx"), "--format onnx asks for a format of an exported folder"),
    ]:
        with pytest.raises(UserError, match=message):
            open_model(str(path), **given)


@pytest.mark.slow
def test_a_parameter_file_of_a_network_with_additions_is_opened_by_their_flags(tmp_path):
    additions = dict(attention="se", attention_reduction=4, anti_alias=3, gem=True)
    net = initialised(get_model("resnet18_v1b", classes=5, drop_block=0.1, **additions))
    net.save_parameters(str(tmp_path / "net.params"))
    x = np.random.RandomState(0).normal(size=(2, 3, 33, 33)).astype("float32")
    given = dict(model="resnet18_v1b", input_size=33)
    found = open_model(str(tmp_path / "net.params"), **given, **additions).predict(x)
    np.testing.assert_allclose(found, net(mx.nd.array(x)).asnumpy(), rtol=1e-4, atol=1e-4)
    with pytest.raises(UserError, match="the network has no layer1.0.se.squeeze.weight"):
        open_model(str(tmp_path / "net.params"), **given)


def test_a_size_that_a_network_cannot_take_is_not_exported(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_networks", dict(registry._networks))
    registry.register("fixed")(Fixed)
    net = Fixed("fixed", 3)
    net.initialize()
    net(mx.nd.zeros((1, 3, 32, 32)))
    net.save_parameters(str(tmp_path / "net.params"))
    model = open_model(str(tmp_path / "net.params"), model="fixed", classes=3, input_size=24)
    with pytest.raises(UserError, match=r"cannot compute images of shape \(3, 3, 24, 24\)"):
        export(model, str(tmp_path / "export"))
    assert not (tmp_path / "export").exists()


def test_damaged_folders_are_refused_naming_the_file(run_folder, folder, tmp_path):
    run = shutil.copytree(run_folder, str(tmp_path / "run"), symlinks=True)
    with open(os.path.join(run, "best", "net.params"), "r+b") as file:
        file.seek(5000)
        file.write(b"other")
    with pytest.raises(UserError, match="best is damaged: net.params"):
        open_model(run)
    with open(os.path.join(run, "config.json"), "w") as file:
        file.write("{")
    with pytest.raises(UserError, match="config.json: damaged"):
        open_model(os.path.join(run, "checkpoints", "step-00000006"))
    export_copy = shutil.copytree(folder, str(tmp_path / "export"))
    with open(os.path.join(export_copy, "model-0000.params"), "ab") as file:
        file.write(b"!")
    with pytest.raises(UserError, match="model-0000.params: damaged"):
        open_model(export_copy)


def test_a_manifest_that_lacks_a_part_is_named_or_opened(folder, tmp_path):
    shutil.copytree(str(folder), str(tmp_path / "export"))
    file = tmp_path / "export" / "manifest.json"
    whole = json.loads(file.read_text())
    del whole["sha256"]  # as in older versions, else every change is refused by the checksum
    refused = []
    for name in whole:
        file.write_text(json.dumps({key: whole[key] for key in whole if key != name}))
        try:
            assert open_model(str(tmp_path / "export")).classes == whole["classes"]
        except UserError as error:
            refused.append(name)
            assert "manifest.json" in str(error) or "holds no run" in str(error), name
    assert {"kind", "version", "formats", "files", "classes", "options"} <= set(refused)


def test_a_run_without_a_checkpoint_says_so(run_folder, tmp_path):
    (tmp_path / "run").mkdir()
    shutil.copy(os.path.join(run_folder, "config.json"), tmp_path / "run")
    with pytest.raises(UserError, match="has no whole checkpoint yet"):
        open_model(str(tmp_path / "run"))


def test_an_export_is_not_exported_again(folder, tmp_path):
    with pytest.raises(UserError, match="is an export itself"):
        export(open_model(folder), str(tmp_path / "out"))


def test_the_package_opens_a_model_that_classifies_files(params, tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    model = gluon_tricks.open_model(params, model="cifar_resnet20_v1", classes=5)
    found, missing = model.classify([str(tmp_path / "a.png"), str(tmp_path / "b.png")], top=2)
    shares = softmax(model.predict(found.image[None])[0])
    assert [guess.number for guess in found.top] == list(np.argsort(-shares)[:2])
    assert found.top[0].probability == pytest.approx(shares.max()) and found.error is None
    assert missing.top == [] and "b.png: cannot be read" in missing.error


@pytest.mark.slow
def test_the_name_of_a_network_opens_its_published_parameters(network, tmp_path, monkeypatch):
    from gluoncv.model_zoo import model_store

    file = str(tmp_path / "published.params")
    network("resnet18_v1b", classes=1000).save_parameters(file)
    monkeypatch.setattr(model_store, "get_model_file", lambda *given, **named: file)
    found = open_model("resnet18_v1b")
    assert (found.kind, found.classes, found.preprocessing.input_size) == ("gluon", 1000, 224)
    images = np.random.default_rng(0).normal(size=(1, 3, 64, 64)).astype(np.float32)
    expected = open_model(file, model="resnet18_v1b", classes=1000).predict(images)
    np.testing.assert_array_equal(found.predict(images), expected)
    assert open_model("resnet18_v1b", input_size=64).preprocessing.input_size == 64
    with pytest.raises(UserError, match="its published parameters are not for 10 classes"):
        open_model("resnet18_v1b", classes=10)
    with pytest.raises(UserError, match="--model resnet50_v1b: but resnet18_v1b says resnet18_v1b"):
        open_model("resnet18_v1b", model="resnet50_v1b")
