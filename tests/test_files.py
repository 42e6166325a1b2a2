"""Small files are whole or not there."""

import hashlib
import os

import pytest

from gluon_tricks import files
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
    assert open(path).read() == before


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
    with files.json_output("a.json"):
        print("words")
    assert capsys.readouterr().out == "words\n"
