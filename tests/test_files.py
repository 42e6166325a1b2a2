"""Small files are whole or not there."""

import hashlib
import os
import pathlib

import pytest

from gluon_tricks import files
from gluon_tricks.cli import main
from gluon_tricks.errors import UserError


def test_a_file_that_cannot_be_written_whole_leaves_the_old_one(tmp_path, monkeypatch):
    path = str(tmp_path / "a.json")
    files.write_json(path, {"a": [1, "ü"]})
    before = open(path).read()
    assert before == '{\n "a": [\n  1,\n  "\\u00fc"\n ]\n}\n'
    with monkeypatch.context() as patched:
        patched.setattr(
            os,
            "fsync",
            lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")),
        )
        with pytest.raises(UserError, match="a.json: cannot be written: No space left"):
            files.write_json(path, {"b": 2})
    assert open(path).read() == before and os.listdir(tmp_path) == ["a.json"]


def test_a_sealed_file_is_read_back_and_one_without_a_seal_too(tmp_path):
    path = str(tmp_path / "a.json")
    files.write_sealed_json(path, {"a": (1, 2.5), "b": {2: "ü", 10: None}})
    found = files.read_sealed_json(path)
    assert found == {"a": [1, 2.5], "b": {"2": "ü", "10": None}, "sha256": found["sha256"]}
    assert found["sha256"] == (
        hashlib.sha256(b'{"a": [1, 2.5], "b": {"10": null, "2": "\\u00fc"}}').hexdigest()
    )
    files.write_json(path, {"a": 1})
    assert files.read_sealed_json(path) == {"a": 1}
    files.write_json(path, dict(found, a=[1, 2]))
    with pytest.raises(ValueError, match="another SHA-256"):
        files.read_sealed_json(path)


def test_the_terminal_and_pipes_can_be_written_to():
    read, write = os.pipe()
    files.write_text(f"/dev/fd/{write}", "text")
    os.close(write)
    with os.fdopen(read) as pipe:
        assert pipe.read() == "text"


def test_the_checksum_is_that_of_all_blocks(tmp_path):
    data = bytes(range(256)) * 5000  # more than a block
    (tmp_path / "a").write_bytes(data)
    assert files.sha256(str(tmp_path / "a")) == hashlib.sha256(data).hexdigest()


def test_standard_output_is_for_the_json_alone(capsys):
    with files.json_output("-"):
        print("words")
        files.write_json("-", {"a": 1})
    print("after")
    printed = capsys.readouterr()
    assert printed.out == '{\n "a": 1\n}\nafter\n' and printed.err == "words\n"
    for path in ("a.json", None):
        with files.json_output(path):
            print("words")
        assert capsys.readouterr().out == "words\n"


def test_a_command_does_not_begin_if_its_json_could_not_be_written(tmp_path, capsys):
    for path, why in (
        (tmp_path / "absent" / "a.json", f"there is no folder {tmp_path}/absent"),
        (tmp_path, "it is a folder"),
    ):
        assert main(["models", "resnet18_v1d", "--json", str(path)]) == 2
        printed = capsys.readouterr()
        assert f"{path}: cannot be written: {why}" in printed.err and printed.out == ""


def test_what_is_replaced_is_whole_or_the_old_one(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(KeyError), files.replacing(str(path)) as place:
        pathlib.Path(place).write_text("half")
        raise KeyError
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a"]
    with files.replacing(str(path)) as place:
        pathlib.Path(place).write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and os.listdir(tmp_path) == ["a"]
