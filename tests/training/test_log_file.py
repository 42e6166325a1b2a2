"""--logging-file writes where the user asks and removes nothing there; --tensorboard says what it
needs.
"""

import sys
import types

import pytest

from gluon_tricks.errors import UserError
from gluon_tricks.tasks.classification import Classification
from gluon_tricks.training.logger import Logger


def say(folder, log_file, *lines):
    logger = Logger(Classification, str(folder), str(log_file))
    for line in lines:
        logger.say(line)
    logger.close()


def test_a_log_file_gets_the_plain_lines_in_a_folder_that_it_makes(tmp_path):
    for log_file in ("logs/mine.log", tmp_path / "elsewhere" / "mine.log"):
        say(tmp_path, log_file, "one", "grün")
        assert (tmp_path / log_file).read_text() == "one\ngrün\n"


@pytest.mark.parametrize(
    "there, kept", [("my notes", "my notes\n"), ("my notes\n", "my notes\n"), ("", "")]
)
def test_what_stands_in_a_log_file_stays(tmp_path, there, kept):
    (tmp_path / "notes.txt").write_text(there)
    say(tmp_path, tmp_path / "notes.txt", "one")
    say(tmp_path, tmp_path / "notes.txt", "two")
    assert (tmp_path / "notes.txt").read_text() == kept + "one\ntwo\n"


def test_a_log_file_may_be_a_device(tmp_path):
    say(tmp_path, "/dev/null", "one")


def test_a_log_file_that_is_the_runs_own_log_has_each_line_once(tmp_path):
    (tmp_path / "link").symlink_to("train.log")
    for log_file in ("train.log", tmp_path / "train.log", "link"):
        say(tmp_path, log_file, "one")
    assert (tmp_path / "train.log").read_text() == "one\n" * 3


@pytest.mark.parametrize(
    "name", ["log.jsonl", "timing.jsonl", "config.json", "./result.json", "labels.txt"]
)
def test_a_log_file_with_the_name_of_another_file_of_the_run_is_refused(tmp_path, name):
    (tmp_path / name).write_text("{}\n")
    with pytest.raises(UserError, match="--logging-file .*" + name):
        Logger(Classification, str(tmp_path), name)
    assert (tmp_path / name).read_text() == "{}\n"


def test_nothing_is_added_to_a_file_that_is_no_text(tmp_path):
    records = b"\x0a\x23\xd7\xce\0\0records"
    (tmp_path / "train.rec").write_bytes(records)
    with pytest.raises(UserError, match="--logging-file .*train.rec: is there already and is not"):
        Logger(Classification, str(tmp_path), str(tmp_path / "train.rec"))
    assert (tmp_path / "train.rec").read_bytes() == records


@pytest.mark.parametrize("path", ["folder", "file/x.log", "/proc/x.log"])
def test_a_log_file_that_cannot_be_written_is_named(tmp_path, path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="--logging-file .*" + path + ": cannot be written: "):
        Logger(Classification, str(tmp_path), path)


@pytest.mark.parametrize(
    "broken", [ImportError("not here"), TypeError("Descriptors cannot be created directly")]
)
def test_tensorboard_says_what_it_needs(tmp_path, monkeypatch, broken):
    class Broken(types.ModuleType):
        def __getattr__(self, name):
            raise broken

    monkeypatch.setitem(sys.modules, "tensorboardX", Broken("tensorboardX"))
    with pytest.raises(
        UserError, match=r"--tensorboard needs tensorboardX \(.*pip install 'tensorboardX"
    ):
        Logger(Classification, str(tmp_path), tensorboard=True)
