"""Unfinished files have one writer."""

import fcntl
import os

import pytest

from gluon_tricks.data.part_file import open_part
from gluon_tricks.errors import UserError


def test_a_part_is_for_one_writer_and_the_next_one_has_what_is_there(tmp_path):
    with open_part(str(tmp_path / "a\x1b")) as file:
        file.write(b"half")
        with pytest.raises(UserError, match=r"a\\x1b.part: another process is writing it"):
            open_part(str(tmp_path / "a\x1b"))
    with open_part(str(tmp_path / "a\x1b")) as file:
        assert file.read() == b"half"


def test_a_file_that_was_finished_between_opening_and_locking_it_is_let_alone(
    tmp_path, monkeypatch
):
    path, lock = tmp_path / "a", fcntl.flock
    (tmp_path / "a.part").write_bytes(b"whole")

    def finish_first(file, how):
        monkeypatch.setattr(fcntl, "flock", lock)
        os.replace(tmp_path / "a.part", path)
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", finish_first)
    with open_part(str(path)) as file:
        file.truncate(0)
    assert path.read_bytes() == b"whole"


def test_a_disk_without_locks_does_without(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(37, "No locks")))
    with open_part(str(tmp_path / "a")) as file:
        file.write(b"1")
    with pytest.raises(FileNotFoundError):
        open_part(str(tmp_path / "nowhere" / "a"))
