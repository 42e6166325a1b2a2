"""The manifest: files that are missing or were changed are named before anything is loaded."""

import json
import math
import os

import cv2
import numpy as np
import pytest

from gluon_tricks.data.class_names import read_labels
from gluon_tricks.data.transforms.paper import evaluation
from gluon_tricks.deploy import manifest
from gluon_tricks.deploy.classifier import Classifier
from gluon_tricks.deploy.preprocessing import Preprocessing
from gluon_tricks.deploy.writer import Options
from gluon_tricks.errors import UserError


@pytest.fixture
def folder(tmp_path):
    for name in ("model-symbol.json", "model-0000.params", "model.onnx", "labels.txt"):
        (tmp_path / name).write_text("content of " + name)
    manifest.write(str(tmp_path), dict(model="stub", formats=dict(symbol={}, onnx={})))
    return tmp_path


def test_a_whole_folder_is_read_and_knows_itself(folder):
    assert manifest.is_export(str(folder))
    held = manifest.read(str(folder))
    assert held["model"] == "stub"
    assert sorted(held["files"]) == [
        "labels.txt",
        "model-0000.params",
        "model-symbol.json",
        "model.onnx",
    ]
    assert held["files"]["labels.txt"]["bytes"] == len("content of labels.txt")


def test_the_checksums_are_those_of_sha256sum(folder):
    import hashlib

    for name, entry in manifest.read(str(folder))["files"].items():
        assert entry["sha256"] == hashlib.sha256((folder / name).read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "name", ["model-symbol.json", "model-0000.params", "model.onnx", "labels.txt"]
)
def test_a_changed_or_missing_file_is_named(folder, name):
    (folder / name).write_text("other content")
    with pytest.raises(UserError, match=name + ": damaged"):
        manifest.read(str(folder))
    (folder / name).unlink()
    with pytest.raises(UserError, match=name + ": missing"):
        manifest.read(str(folder))


def test_only_the_files_of_the_format_that_is_wanted_are_checked(folder):
    (folder / "model.onnx").unlink()
    manifest.read(str(folder), ["symbol"])
    with pytest.raises(UserError, match="model.onnx"):
        manifest.read(str(folder), ["onnx"])


def test_a_format_that_the_folder_does_not_have_is_an_error(folder):
    with pytest.raises(UserError, match="has no format int8, only symbol, onnx"):
        manifest.read(str(folder), ["int8"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "[]",
        "{}",
        '{"kind": "gluon_tricks export"}',
        '{"kind": "gluon_tricks export", "version": 99}',
    ],
)
def test_a_damaged_manifest_is_named(folder, text):
    (folder / "manifest.json").write_text(text)
    with pytest.raises(UserError, match="manifest.json: "):
        manifest.read(str(folder))


def test_no_flipped_bit_of_a_manifest_describes_another_model(folder):
    file = folder / "manifest.json"
    whole, contents = file.read_bytes(), json.loads(file.read_bytes())
    for byte in range(len(whole)):
        data = bytearray(whole)
        data[byte] ^= 1 << byte % 8
        file.write_bytes(data)
        try:
            found = manifest.read(str(folder))
        except UserError as error:
            assert "manifest.json: " in str(error)
        else:
            assert without_digest(found) == without_digest(contents)  # white space, "sha256"


def without_digest(held):
    return {name: held[name] for name in ("kind", "version", "model", "formats", "files")}


def test_a_manifest_of_an_older_version_has_no_digest_of_its_own(folder):
    held = json.loads((folder / "manifest.json").read_text())
    del held["sha256"]
    (folder / "manifest.json").write_text(json.dumps(held))
    assert manifest.read(str(folder)) == held


def test_the_manifest_of_a_data_set_is_not_taken_for_an_export(tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps(dict(classes=["a"], splits={})))
    assert not manifest.is_export(str(tmp_path))
    assert not manifest.is_export(str(tmp_path / "nowhere"))


def test_labels_are_one_a_line_and_as_many_as_the_classes(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_bytes("häuser, rot\r\ncat\n\n".encode())
    assert read_labels(str(path)) == ["häuser, rot", "cat", ""]
    with pytest.raises(UserError, match="labels.txt: has 3 labels, but the model has 4 classes"):
        read_labels(str(path), 4)
    with pytest.raises(UserError, match="nowhere.txt: cannot be read"):
        read_labels(str(tmp_path / "nowhere.txt"))


def test_names_that_are_no_utf8_come_back_as_the_names_of_their_files(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_bytes(b"caf\xe9\ntea\n")  # Latin-1, as an old archive's folders are named
    assert read_labels(str(path)) == [os.fsdecode(b"caf\xe9"), "tea"]


@pytest.mark.parametrize("size", [32, 64, 128, 176, 192, 224, 288, 331])
@pytest.mark.parametrize("shape", [(240, 301), (317, 240), (200, 200)])
def test_whoever_follows_the_description_feeds_the_pixels_that_are_evaluated(size, shape):
    mean, std = (123.68, 116.779, 103.939), (58.393, 57.12, 57.375)
    about = manifest.description(
        Classifier("m", "gluon", "m", 3, Preprocessing(size, 0.875, mean, std), None), Options()
    )
    picture = np.random.default_rng(0).integers(0, 256, shape + (3,), dtype=np.uint8)
    payload = cv2.imencode(".png", picture[..., ::-1])[1].tobytes()
    transform = evaluation(size, 0.875, mean, std)
    evaluated = transform.image(payload, transform.sample(0, 0, [0]), 0)

    short = about["resize_shorter_edge"]
    height, width = (short if edge == min(shape) else edge * short // min(shape) for edge in shape)
    resized = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
    top, left = (height - size) // 2, (width - size) // 2
    np.testing.assert_array_equal(resized[top : top + size, left : left + size], evaluated)
    assert short == math.ceil(size / 0.875)


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(input_size="32"), "input_size is 32"),
        (dict(input_size=0), "--input-size is 0"),
        (dict(classes=True), "classes is True"),
        (dict(crop_ratio=2.0), "--crop-ratio is 2.0"),
        (dict(rgb_std=[1, 1, 0]), "--rgb-std is 1,1,0"),
        (dict(rgb_mean=[1, 1, float("nan")]), "--rgb-mean is 1,1,nan"),
        (dict(rgb_mean=[1, 1]), r"rgb_mean is \[1, 1\]"),
        (dict(rgb_mean=[1, 1, None]), "rgb_mean is"),
        (dict(model=7), "model is 7"),
        (dict(options={}), "options lack preprocess"),
        (dict(options=None), "options is None"),
    ],
)
def test_a_description_that_cannot_be_is_refused(change, message):
    about = manifest.description(
        Classifier("m", "gluon", "m", 3, Preprocessing(32, 0.875, (1, 2, 3), (4, 5, 6)), None),
        Options(),
    )
    assert manifest.check(about, "there") is about
    with pytest.raises(UserError, match="there: damaged.*" + message):
        manifest.check(dict(about, **change), "there")
