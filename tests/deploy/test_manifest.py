"""The manifest: files that are missing or were changed are named before anything is loaded."""

import json

import pytest

from gluon_tricks.deploy import manifest
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
    assert sorted(held["files"]) == ["labels.txt", "model-0000.params", "model-symbol.json", "model.onnx"]
    assert held["files"]["labels.txt"]["bytes"] == len("content of labels.txt")


def test_the_checksums_are_those_of_sha256sum(folder):
    import hashlib

    for name, entry in manifest.read(str(folder))["files"].items():
        assert entry["sha256"] == hashlib.sha256((folder / name).read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["model-symbol.json", "model-0000.params", "model.onnx", "labels.txt"])
def test_a_changed_or_missing_file_is_named(folder, name):
    (folder / name).write_text("other content")
    with pytest.raises(UserError, match=name + ": damaged"):
        manifest.read(str(folder))
    (folder / name).unlink()
    with pytest.raises(UserError, match=name + ": missing"):
        manifest.read(str(folder))


def test_only_the_files_of_the_form_that_is_wanted_are_checked(folder):
    (folder / "model.onnx").unlink()
    manifest.read(str(folder), ["symbol"])
    with pytest.raises(UserError, match="model.onnx"):
        manifest.read(str(folder), ["onnx"])


def test_a_form_that_the_folder_does_not_have_is_an_error(folder):
    with pytest.raises(UserError, match="has no form int8, but symbol, onnx"):
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


def test_the_manifest_of_a_data_set_is_not_taken_for_an_export(tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps(dict(classes=["a"], splits={})))
    assert not manifest.is_export(str(tmp_path))
    assert not manifest.is_export(str(tmp_path / "nowhere"))


def test_labels_are_one_a_line_and_as_many_as_the_classes(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_bytes("häuser, rot\r\ncat\n\n".encode())
    assert manifest.read_labels(str(path)) == ["häuser, rot", "cat", ""]
    with pytest.raises(UserError, match="labels.txt: has 3 labels, but the model has 4 classes"):
        manifest.read_labels(str(path), 4)
    path.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(UserError, match="labels.txt: cannot be read"):
        manifest.read_labels(str(path))
    with pytest.raises(UserError, match="nowhere.txt: cannot be read"):
        manifest.read_labels(str(tmp_path / "nowhere.txt"))
