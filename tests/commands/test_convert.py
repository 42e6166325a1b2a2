"""``gluon-tricks convert``: there and back to the bit, and what both say of a network by themselves.

The network is small: ResNet-18 with 5 classes on images of 32 pixels.
"""

import json
import os

import mxnet as mx
import numpy as np
import pytest
from safetensors import numpy as reference

from gluon_tricks import cli, models, open_model
from gluon_tricks.config import Config
from gluon_tricks.errors import UserError
from gluon_tricks.training import network
from numpy_layers import dense, max_pool, means, relu, windows

MODEL = "resnet18_v1b"


@pytest.fixture(scope="module")
def params(tmp_path_factory):
    """A parameter file of GluonCV's form, with running statistics that are none of the initial."""
    path = str(tmp_path_factory.mktemp("params") / "net.params")
    mx.random.seed(3)
    net = models.get_model(MODEL, classes=5)
    net.initialize(mx.init.MSRAPrelu())
    net(mx.nd.zeros((1, 3, 32, 32)))
    for name, parameter in net.collect_params().items():
        if not name.endswith("weight"):
            low = 0.5 if name.endswith("var") else -0.5
            parameter.set_data(mx.nd.random.uniform(low, 1, parameter.shape))
    net.save_parameters(path)
    return path


@pytest.fixture(scope="module")
def folder(params, tmp_path_factory):
    """It as a folder that timm reads."""
    path = str(tmp_path_factory.mktemp("hub") / "resnet18")
    flags = ["--model", MODEL, "--input-size", "32", "--crop-ratio", "0.95"]
    assert cli.main(["convert", params, path, *flags]) == 0
    return path


def contents(path):
    return {name: array.asnumpy().tobytes() for name, array in mx.nd.load(path).items()}


def test_there_and_back_changes_no_bit(params, folder, tmp_path):
    back, alone = str(tmp_path / "back.params"), str(tmp_path / "a.safetensors")
    assert cli.main(["convert", folder, back]) == 0
    assert contents(back) == contents(params)
    assert cli.main(["convert", back, alone, "--model", MODEL, "--to", "torchvision"]) == 0
    assert reference.load_file(alone).keys() == weights(folder).keys()
    assert cli.main(["convert", alone, str(tmp_path / "again.params")]) == 0  # it says what it is
    assert contents(str(tmp_path / "again.params")) == contents(params)


def weights(folder):
    return reference.load_file(os.path.join(folder, "model.safetensors"))


def norm(x, p, at):
    weight, bias, mean, var = (
        p[f"{at}.{name}"].reshape(1, -1, 1, 1)
        for name in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / np.sqrt(var + 1e-5) * weight + bias


def conv(x, weight, stride):
    border = weight.shape[2] // 2
    x = np.pad(x, ((0, 0), (0, 0), (border, border), (border, border)))
    return np.einsum(
        "nchwij,ocij->nohw", windows(x, weight.shape[2], stride), weight, optimize=True
    )


def torchvision_resnet18(x, p):
    """Its forward pass, from He et al. and the names there."""
    x = max_pool(relu(norm(conv(x, p["conv1.weight"], 2), p, "bn1")))
    for stage in (1, 2, 3, 4):
        for block in (0, 1):
            at, stride = f"layer{stage}.{block}.", 2 if stage > 1 and block == 0 else 1
            y = relu(norm(conv(x, p[at + "conv1.weight"], stride), p, at + "bn1"))
            y = norm(conv(y, p[at + "conv2.weight"], 1), p, at + "bn2")
            if at + "downsample.0.weight" in p:
                x = norm(conv(x, p[at + "downsample.0.weight"], stride), p, at + "downsample.1")
            x = relu(x + y)
    return dense(means(x), p)


def test_the_file_computes_what_the_network_does(folder):
    image = np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype("float32")
    expected = torchvision_resnet18(image.astype("float64"), weights(folder))
    found = open_model(folder).predict(image)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_the_description_is_timms(folder):
    with open(os.path.join(folder, "config.json")) as file:
        said = json.load(file)
    how = said["pretrained_cfg"]
    assert (said["architecture"], said["num_classes"]) == ("resnet18", 5)
    assert how["input_size"] == [3, 32, 32] and how["crop_pct"] == 0.95
    assert how["mean"] == pytest.approx([0.485, 0.456, 0.406], abs=1e-4)
    assert how["std"] == pytest.approx([0.229, 0.224, 0.225], abs=1e-4)


def test_images_are_made_as_pillow_and_timm_make_them(folder):
    from io import BytesIO

    from PIL import Image

    opened = open_model(folder)
    pixels = np.random.default_rng(1).integers(0, 256, (50, 77, 3), dtype=np.uint8)
    payload = BytesIO()
    Image.fromarray(pixels).save(payload, "PNG")
    # shorter edge floor(32 / 0.95) = 33, longer 33 * 77 / 50 = 50.82; (50 - 32) / 2, (33 - 32) / 2
    resized = Image.fromarray(pixels).resize((50, 33), Image.Resampling.BILINEAR)
    expected = np.asarray(resized.crop((9, 0, 41, 32)))
    image = opened.preprocessing.image(payload.getvalue())
    np.testing.assert_array_equal(opened.preprocessing.pixels(image[None])[0], expected)


def test_a_run_starts_from_it_and_a_teacher_is_it(folder, params):
    config = Config(model=MODEL, classes=5, input_size=32, use_params=folder)
    started = network.student(config, [mx.cpu()], say=lambda line: None)
    there = mx.nd.load(params)
    for name, parameter in started._collect_params_with_prefix().items():
        np.testing.assert_array_equal(parameter.data().asnumpy(), there[name].asnumpy())
    source = network.teacher_source(Config(teacher=folder, classes=5))
    assert source.model == MODEL and source.trained_with.input_size == 32


def test_another_number_of_classes_is_a_new_head_or_an_error(folder):
    net = models.get_model(MODEL, classes=7)
    net.initialize()
    assert models.load_parameters(net, folder, new_head=True) == ["fc.weight", "fc.bias"]
    with pytest.raises(UserError, match="for 5 classes, not 7"):
        models.load_parameters(net, folder)


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["net.pth", "a.params"], "weights_only=True"),
        (["{params}", "a.safetensors", "--model", "resnet50_v1"], "stride in the first 1x1"),
        (["{folder}", "a.params", "--model", "resnet34_v1b"], "says resnet18_v1b"),
        (["{folder}", "a.params", "--to", "timm"], "no effect"),
        (["{folder}", "out", "--to", "torchvision"], "timm's form"),
        (["{folder}", "{params}"], "--force"),
    ],
)
def test_what_cannot_be_is_said(arguments, said, params, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.pth").write_bytes(b"PK")
    if "resnet50_v1" in arguments:
        net = models.get_model("resnet50_v1", classes=5)
        net.initialize()
        net(mx.nd.zeros((1, 3, 32, 32)))
        net.save_parameters(str(tmp_path / "fifty.params"))
        arguments = [str(tmp_path / "fifty.params"), *arguments[1:]]
    words = [word.format(params=params, folder=folder) for word in arguments]
    assert cli.main(["convert", *words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "change, said",
    [
        (dict(architecture="resnetaa50"), "in the stem"),
        (dict(architecture=7), "no name"),
        (dict(pretrained_cfg=dict(crop_mode="squash")), "crop_mode is squash"),
        (dict(pretrained_cfg=dict(interpolation="lanczos")), "interpolation is lanczos"),
        (dict(pretrained_cfg=dict(input_size=[3, 32, 48])), "a square"),
        (dict(pretrained_cfg=dict(mean=[0.5])), "three numbers"),
        (dict(num_classes=-1), "no count"),
    ],
)
def test_a_description_that_cannot_be_followed_is_refused(change, said, folder, tmp_path):
    with open(os.path.join(folder, "config.json")) as file:
        config = json.load(file)
    how = dict(config["pretrained_cfg"], **change.get("pretrained_cfg", {}))
    config = dict(config, **change, pretrained_cfg=how)
    (tmp_path / "config.json").write_text(json.dumps(config))
    os.link(os.path.join(folder, "model.safetensors"), tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=said):
        open_model(str(tmp_path))
