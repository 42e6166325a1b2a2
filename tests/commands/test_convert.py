"""``gluon-tricks convert``: there and back to the bit, and what both sides say of a network.

The network is small: ResNet-18 with 5 classes on images of 32 pixels.
"""

import dataclasses
import json
import os
import resource
import shutil
import struct
from io import BytesIO

import mxnet as mx
import numpy as np
import pytest
import record_files
from numpy_layers import dense, max_pool, means, relu, windows
from PIL import Image
from safetensors import numpy as reference

from gluon_tricks import cli, models, open_model
from gluon_tricks.config import Config
from gluon_tricks.deploy import evaluation
from gluon_tricks.deploy.convert import convert, write_folder
from gluon_tricks.errors import UserError
from gluon_tricks.locking import Lock
from gluon_tricks.training import network

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


@pytest.mark.slow
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
    opened = open_model(folder).preprocessing
    assert (opened.rgb_mean, opened.rgb_std) == (Config().rgb_mean, Config().rgb_std)  # exactly
    how = said["pretrained_cfg"]
    assert (said["architecture"], said["num_classes"]) == ("resnet18", 5)
    assert how["input_size"] == [3, 32, 32] and how["crop_pct"] == 0.95
    # the authors' 123.68, 116.779, 103.939 and 58.393, 57.12, 57.375, of 255
    assert how["mean"] == pytest.approx([0.48502, 0.45796, 0.40760], abs=1e-5)
    assert how["std"] == pytest.approx([0.22899, 0.224, 0.225], abs=1e-5)


def test_images_are_made_as_pillow_and_timm_make_them(folder):
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
    with pytest.raises(UserError, match="--teacher-model resnet34_v1b: but .* says resnet18_v1b"):
        network.teacher_source(Config(teacher=folder, teacher_model="resnet34_v1b"))


def test_a_backbone_for_segmentation_is_it(folder, params):
    net = models.get_model("fcn_resnet18_v1b", classes=3)
    net.initialize()
    file, _ = network.parameter_file("--backbone-params", folder)
    assert models.load_parameters(net.backbone, file) == []
    there = mx.nd.load(params)["layer4.1.conv2.weight"]
    found = net._collect_params_with_prefix()["layer4.1.conv2.weight"].data()
    np.testing.assert_array_equal(found.asnumpy(), there.asnumpy())


def test_another_number_of_classes_is_a_new_head_or_an_error(folder):
    net = models.get_model(MODEL, classes=7)
    net.initialize()
    assert models.load_parameters(net, folder, new_head=True) == ["fc.weight", "fc.bias"]
    with pytest.raises(UserError, match="for 5 classes, not 7"):
        models.load_parameters(net, folder)


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """20 images of various sizes, with labels from 0 to 4."""
    path = tmp_path_factory.mktemp("images") / "val.rec"
    return record_files.write(path, count=20, label=lambda key: key % 5)


@pytest.fixture(scope="module")
def bicubic(folder, tmp_path_factory):
    """The folder with what timm's own configurations have: bicubic, sizes for testing, names."""
    path = tmp_path_factory.mktemp("hub") / "bicubic"
    shutil.copytree(folder, path)
    config = json.loads((path / "config.json").read_text())
    config["pretrained_cfg"].update(
        *[dict(interpolation="bicubic", mean=[0.5, 0.5, 0.5], std=[0.25, 0.5, 1.0])],
        test_input_size=[3, 40, 40],
        test_crop_pct=0.9,
    )
    config["label_names"] = ["a", "b", "c", "d", "e"]
    (path / "config.json").write_text(json.dumps(config))
    return str(path)


def logits_of(folder, payloads):
    """By Pillow and NumPy alone, from 40 pixels of 44 (40 / 0.9, rounded down)."""
    images = []
    for payload in payloads:
        picture = Image.open(BytesIO(payload)).convert("RGB")
        short = min(picture.size)
        size = [length * 44 // short for length in picture.size]
        left, top = (round((length - 40) / 2) for length in size)
        picture = picture.resize(size, Image.Resampling.BICUBIC)
        images.append(np.asarray(picture.crop((left, top, left + 40, top + 40))) / 255)
    normalised = (np.stack(images) - 0.5) / [0.25, 0.5, 1.0]
    return torchvision_resnet18(normalised.transpose(0, 3, 1, 2), weights(folder))


def test_evaluate_and_predict_make_timms_images(bicubic, record, tmp_path, capsys):
    payloads = [record_files.payload(number) for number in range(0, 20, 2)]  # PNG
    expected = logits_of(bicubic, payloads).argmax(axis=1)
    keys = ",".join(str(1000 + number) for number in range(0, 20, 2))
    words = ["predict", bicubic, "--rec", record, "--keys", keys, "--json", str(tmp_path / "p")]
    assert cli.main(words) == 0
    found = json.loads((tmp_path / "p").read_text())["images"]
    assert [one["top"][0]["label"] for one in found] == ["abcde"[number] for number in expected]
    opened = open_model(bicubic)
    (batch,) = evaluation.batches(opened, record)
    logits = opened.predict(batch.images)[::2]
    np.testing.assert_allclose(logits, logits_of(bicubic, payloads), rtol=0, atol=2e-3)
    assert cli.main(["evaluate", bicubic, "--rec-val", record, "--json", str(tmp_path / "e")]) == 0
    figures = json.loads((tmp_path / "e").read_text())
    right = (opened.predict(batch.images).argmax(axis=1) == batch.labels).sum()
    assert figures["top1"] == pytest.approx(100 * right / 20)


@pytest.mark.slow
def test_an_export_of_a_folder_keeps_its_images(bicubic, record, tmp_path):
    out = str(tmp_path / "out")
    words = ["export", bicubic, "-o", out, "--format", "onnx", "--preprocess"]
    assert cli.main(words) == 0
    image = record_files.payload(0)
    there = open_model(bicubic)
    expected = there.predict(there.preprocessing.image(image)[None])
    # the file alone says what its folder does
    alone = str(shutil.move(os.path.join(out, "model.onnx"), tmp_path / "model.onnx"))
    found = open_model(alone)
    assert found.preprocessing == there.preprocessing and found.labels == there.labels
    logits = found.predict(found.preprocessing.image(image)[None])
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-3)


@pytest.mark.slow
def test_safetensors_is_a_format_of_export(params, folder, record, tmp_path, capsys):
    out = str(tmp_path / "out")
    words = ["export", params, "--model", MODEL, "-o", out, "--format", "safetensors"]
    words += ["--input-size", "32"]
    assert cli.main([*words, "--softmax"]) == 2
    assert "--softmax has no effect with --format safetensors" in capsys.readouterr().err
    assert cli.main(words) == 0
    assert "read back and run on 4 images: equal to the bit" in capsys.readouterr().out
    assert weights(out).keys() == weights(folder).keys()
    opened = open_model(out)
    assert opened.kind == "safetensors"
    back = str(tmp_path / "back.params")
    assert cli.main(["convert", out, back]) == 0
    assert contents(back) == contents(params)
    assert cli.main(["convert", params, out, "--model", MODEL, "--force"]) == 2  # its checksums
    assert "holds an export" in capsys.readouterr().err
    image = mx.nd.random.normal(shape=(2, 3, 32, 32)).asnumpy()
    np.testing.assert_array_equal(opened.predict(image), open_model(folder).predict(image))
    with open(os.path.join(out, "model.safetensors"), "ab") as file:
        file.write(b"0")
    with pytest.raises(UserError, match="SHA-256"):
        open_model(out)


def test_what_another_process_has_written_meanwhile_is_not_replaced(folder, tmp_path):
    target = tmp_path / "there.safetensors"
    target.write_bytes(b"another's")
    with pytest.raises(UserError, match="there.safetensors: already exists"):
        convert(open_model(folder), str(target), force=False)
    assert target.read_bytes() == b"another's" and os.listdir(tmp_path) == [target.name]


def as_halves(array, kind):
    """A safetensors entry's bytes: float16, or the upper halves of float32."""
    if kind == "F16":
        return array.astype("float16").tobytes()
    return (array.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()


@pytest.mark.parametrize("kind, digits", [("F16", 2.0**-10), ("BF16", 2.0**-7)])
def test_files_of_16_bits_are_read(kind, digits, folder, tmp_path):
    header, data = {}, b""
    for name, array in weights(folder).items():
        bytes_of = as_halves(array, kind)
        place = [len(data), len(data) + len(bytes_of)]
        header[name] = dict(dtype=kind, shape=list(array.shape), data_offsets=place)
        data += bytes_of
    text = json.dumps(header).encode()
    path = tmp_path / "half.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    opened = open_model(str(path), model=MODEL)
    assert opened.classes == 5
    assert cli.main(["convert", str(path), str(tmp_path / "a.params"), "--model", MODEL]) == 0
    found = mx.nd.load(str(tmp_path / "a.params"))["fc.weight"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.asnumpy(), weights(folder)["fc.weight"], rtol=digits)


def test_a_file_of_another_network_is_named_with_what_is_missing(folder, tmp_path, capsys):
    arrays = weights(folder)
    arrays["more.weight"] = arrays.pop("layer3.0.bn1.bias")
    reference.save_file(arrays, str(tmp_path / "a.safetensors"))
    words = ["convert", str(tmp_path / "a.safetensors"), str(tmp_path / "a.params")]
    assert cli.main(words) == 2
    assert "--model" in capsys.readouterr().err
    assert cli.main([*words, "--model", MODEL]) == 2
    said = capsys.readouterr().err
    assert "no layer3.0.bn1.bias; resnet18 has no more.weight" in said
    (tmp_path / "a.safetensors").write_bytes(b"12345678")
    assert cli.main([*words, "--model", MODEL]) == 2
    assert "damaged" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--use-params", "--teacher"])
def test_no_training_reads_a_pickle(flag, tmp_path, capfd):
    path = tmp_path / "net.pth"
    path.write_bytes(b"PK")
    words = ["train", "--model", MODEL, "--synthetic", "8", "--batch-size", "4"]
    words += ["--classes", "5", "--input-size", "32", flag, str(path)]
    assert cli.main([*words, "--save-dir", str(tmp_path / "run")]) == 2
    assert "save_file(torch.load(" in capfd.readouterr().err


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["net.pth", "a.params"], "weights_only=True"),
        (["{folder}", "a.pth"], "pickles, which are not written"),
        (["{params}", "a.safetensors", "--model", "resnet50_v1"], "stride in the first 1x1"),
        (["{folder}", "a.params", "--model", "resnet34_v1b"], "says resnet18_v1b"),
        (["{folder}", "a.params", "--to", "timm"], "no effect"),
        (["{folder}", "out", "--to", "torchvision"], "timm's layout"),
        (["{folder}", "{params}"], "--force"),
        (["{folder}", "nowhere/a.params"], "there is no folder nowhere"),
        (["{folder}", "a.onnx"], "export --format onnx"),
        (["{folder}", "net.pth.txt", "--force"], "is a file, but a folder would be written"),
        (["{folder}", ".", "--force"], "a folder with other contents"),
    ],
)
def test_what_cannot_be_is_said(arguments, said, params, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.pth").write_bytes(b"PK")
    (tmp_path / "net.pth.txt").write_bytes(b"PK")
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
        (dict(architecture="seresnet50"), "timm's seresnet50: it has no layer1.0.conv3"),
        (dict(architecture=7), "not a name"),
        (dict(pretrained_cfg=dict(crop_mode="squash")), "crop_mode is squash"),
        (dict(pretrained_cfg=dict(interpolation="lanczos")), "interpolation is lanczos"),
        (dict(pretrained_cfg=dict(input_size=[3, 32, 48])), "a square"),
        (dict(pretrained_cfg=dict(mean=[0.5])), "three numbers"),
        (dict(num_classes=-1), "not a count"),
        (dict(architecture=""), "not a name"),
        (dict(pretrained_cfg=[1]), "pretrained_cfg holds no names"),
        (dict(pretrained_cfg=dict(input_size=32)), "a square"),
        (dict(pretrained_cfg=dict(mean=5)), "three numbers"),
        (dict(pretrained_cfg=dict(mean=[10**400, 0, 0])), "too large"),
        (dict(pretrained_cfg=dict(mean=[float("nan"), 0, 0])), "not finite"),
        (dict(pretrained_cfg=dict(std=[0, 1, 1])), "positive"),
        (dict(pretrained_cfg=dict(crop_pct=2)), "outside"),
    ],
)
def test_a_description_that_cannot_be_followed_is_refused(change, said, folder, tmp_path):
    with open(os.path.join(folder, "config.json")) as file:
        config = json.load(file)
    how = change.get("pretrained_cfg", {})
    how = dict(config["pretrained_cfg"], **how) if isinstance(how, dict) else how
    config = dict(config, **{**change, "pretrained_cfg": how})
    (tmp_path / "config.json").write_text(json.dumps(config))
    os.link(os.path.join(folder, "model.safetensors"), tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=said):
        open_model(str(tmp_path))


def test_a_damaged_description_is_named(folder, tmp_path):
    (tmp_path / "config.json").write_text('{"architecture": "resn')
    os.link(os.path.join(folder, "model.safetensors"), tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="config.json: Unterminated string"):
        open_model(str(tmp_path))


def test_a_folder_that_is_empty_or_was_cut_off_is_written(folder, tmp_path):
    empty, half = tmp_path / "empty", tmp_path / "half"
    empty.mkdir()
    assert cli.main(["convert", folder, str(empty)]) == 0
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")
    (half / "config.json.new").write_bytes(b"{")
    with pytest.raises(UserError, match=r"no weights in timm's layout \(config.json and model"):
        open_model(str(half))
    assert cli.main(["convert", folder, str(half)]) == 2
    assert cli.main(["convert", folder, str(half), "--force"]) == 0
    assert weights(half).keys() == weights(empty).keys() == weights(folder).keys()


def test_an_earlier_description_does_not_stay_with_other_weights(folder, tmp_path):
    """Weights and description are two files; a kill between them leaves no wrong pair."""
    out = tmp_path / "out"
    shutil.copytree(folder, out)
    (out / "model.safetensors").unlink()
    (out / "model.safetensors").mkdir()  # cannot be replaced, so that the writing ends there
    with pytest.raises(UserError, match="cannot be written"):
        write_folder(open_model(folder), str(out))
    assert os.listdir(out) == ["model.safetensors"]


def test_one_writes_at_a_time(folder, tmp_path, capsys):
    with Lock(str(tmp_path / ".a.params.lock"), "a"):
        assert cli.main(["convert", folder, str(tmp_path / "a.params")]) == 2
    assert "is writing to it" in capsys.readouterr().err
    assert cli.main(["convert", folder, str(tmp_path / "a.params")]) == 0
    assert os.listdir(tmp_path) == ["a.params"]


@pytest.mark.parametrize("target", ["a.params", "a.safetensors"])
def test_a_full_disk_leaves_nothing(target, folder, tmp_path):
    opened, path = open_model(folder), str(tmp_path / target)
    _, most = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000_000, most))
    try:
        with pytest.raises(UserError, match="cannot be written"):
            convert(opened, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir(tmp_path) == []


def test_quantised_weights_are_refused(folder, tmp_path):
    arrays = weights(folder)
    arrays["fc.weight"] = arrays["fc.weight"].astype("int8")
    reference.save_file(arrays, str(tmp_path / "a.safetensors"))
    with pytest.raises(UserError, match="fc.weight is int8; floating-point"):
        open_model(str(tmp_path / "a.safetensors"), model=MODEL)


def test_the_normalisation_of_a_converted_run_is_the_runs(folder):
    """A run that goes on from it, or learns from it, has nothing to note or to change."""
    said = []
    config = Config(model=MODEL, classes=5, input_size=32, use_params=folder)
    network.student(config, [mx.cpu()], say=said.append)
    config = Config(model=MODEL, classes=5, input_size=32, teacher=folder)
    network.teacher(config, [mx.cpu()], say=said.append)
    assert said == []
    network.teacher(
        dataclasses.replace(config, rgb_mean=(0.0, 0.0, 0.0)), [mx.cpu()], say=said.append
    )
    assert len(said) == 1 and "normalised its way" in said[0]
