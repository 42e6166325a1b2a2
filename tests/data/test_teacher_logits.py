"""Files of stored logits: what is written comes back, and damage is named."""

import os
import struct

import numpy as np
import pytest

from gluon_tricks.data import teacher_logits
from gluon_tricks.data.teacher_logits import About, TeacherLogits, TeacherLogitsWriter
from gluon_tricks.errors import UserError

KEYS = np.array([5, 3, 900000000000, 7, 1], np.int64)
LOGITS = np.random.RandomState(0).normal(0, 5, (5, 6)).astype(np.float32)


def about(dtype="float16", **others):
    fields = dict(records=5, classes=6, dtype=dtype, teacher=dict(sha256="a"), preprocessing={})
    return About(**dict(fields, data=dict(records=5), **others))


def write(path, logits=LOGITS, keys=KEYS, **given):
    with TeacherLogitsWriter(str(path), about(**given), keys) as writer:
        for row in logits:
            writer.write(row[None])
    return str(path)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_rows_come_back_by_key_in_any_order_and_as_often_as_asked(tmp_path, dtype):
    stored = TeacherLogits(write(tmp_path / "x", dtype=dtype))
    assert stored.about == about(dtype)
    np.testing.assert_array_equal(stored.keys, KEYS)
    found = stored.rows(np.array([7, 5, 7, 900000000000]))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, LOGITS[[3, 0, 3, 2]].astype(dtype))
    assert os.listdir(tmp_path) == ["x"]


def test_the_format_is_the_documented_one(tmp_path):
    """Read with struct alone."""
    data = open(write(tmp_path / "x"), "rb").read()
    assert data[:8] == b"GTLOGIT1"
    start = 12 + struct.unpack("<I", data[8:12])[0]
    assert start % 64 == 0
    assert len(data) == start + 5 * (6 * 2 + 12) + 32 == about().file_bytes(start)
    rows = struct.unpack("<30e", data[start : start + 60])
    np.testing.assert_array_equal(np.reshape(rows, (5, 6)), LOGITS.astype(np.float16))
    assert [struct.unpack_from("<qI", data, start + 60 + 12 * i)[0] for i in range(5)] == list(KEYS)


def test_imagenet_in_float16_has_2_6_gigabytes():
    imagenet = About(1281167, 1000, "float16", {}, {}, {})
    assert imagenet.file_bytes(512) == pytest.approx(2.58e9, rel=1e-3)


@pytest.mark.parametrize("keep", [0, 1, 700, 100000])
def test_an_interrupted_file_is_continued_and_is_the_same_in_the_end(tmp_path, keep):
    whole = open(write(tmp_path / "whole"), "rb").read()
    with pytest.raises(KeyboardInterrupt):
        with TeacherLogitsWriter(str(tmp_path / "x"), about(), KEYS) as writer:
            writer.write(LOGITS[:3])
            raise KeyboardInterrupt
    assert sorted(os.listdir(tmp_path)) == ["whole", "x.part"]
    if keep != 100000:  # the last row was cut off, or more
        os.truncate(tmp_path / "x.part", min(keep, os.path.getsize(tmp_path / "x.part") - 5))
    with TeacherLogitsWriter(str(tmp_path / "x"), about(), KEYS) as writer:
        assert writer.done == {100000: 3, 700: 2}.get(keep, 0)
        writer.write(LOGITS[writer.done :])
    assert (tmp_path / "x").read_bytes() == whole


def test_rows_that_a_power_cut_left_as_zeros_are_written_again(tmp_path):
    whole = open(write(tmp_path / "whole"), "rb").read()
    start = len(whole) - 5 * (12 + 12) - 32
    (tmp_path / "x.part").write_bytes(whole[: start + 12] + bytes(12) + whole[start + 24 :])
    with TeacherLogitsWriter(str(tmp_path / "x"), about(), KEYS) as writer:
        assert writer.done == 1
        writer.write(LOGITS[1:])
    assert (tmp_path / "x").read_bytes() == whole


def test_what_another_teacher_has_left_is_not_continued(tmp_path):
    os.rename(write(tmp_path / "x"), tmp_path / "x.part")
    other = about()._replace(teacher=dict(sha256="b"))
    with TeacherLogitsWriter(str(tmp_path / "x"), other, KEYS) as writer:
        assert writer.done == 0
        writer.write(LOGITS)
    assert TeacherLogits(str(tmp_path / "x")).about.teacher == dict(sha256="b")


def test_every_changed_byte_and_every_length_is_noticed(tmp_path):
    data = open(write(tmp_path / "x"), "rb").read()
    bad = str(tmp_path / "bad")
    for place in range(0, len(data), 3):
        with open(bad, "wb") as file:
            file.write(data[:place] + bytes([data[place] ^ 16]) + data[place + 1 :])
        with pytest.raises(UserError, match="bad: (damaged|is not a file of stored logits)"):
            TeacherLogits(bad).rows(KEYS)
    for length in list(range(0, len(data), 7)) + [len(data) - 1]:
        with open(bad, "wb") as file:
            file.write(data[:length])
        with pytest.raises(UserError, match="bad: (damaged|is not a file of stored logits)"):
            TeacherLogits(bad)
    with open(bad, "wb") as file:
        file.write(data + b"x")
    with pytest.raises(UserError, match=f"has {len(data) + 1} bytes instead of {len(data)}"):
        TeacherLogits(bad)


def test_a_file_that_becomes_shorter_is_named_and_ends_no_process(tmp_path):
    path = write(tmp_path / "x")
    stored = TeacherLogits(path)
    os.truncate(path, 0)
    with pytest.raises(UserError, match=f"x, record {KEYS[1]}: the file became shorter"):
        stored.rows(KEYS[1:2])


def test_a_header_that_asks_for_more_than_the_file_has_allocates_nothing(tmp_path):
    huge = about()._replace(records=2**60, classes=2**60)
    for head in (teacher_logits.pack_head(huge), b"GTLOGIT1" + b"\xff" * 4):
        (tmp_path / "x").write_bytes(head + bytes(100))
        with pytest.raises(UserError, match="bytes"):
            TeacherLogits(str(tmp_path / "x"))


def test_what_is_absent_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere: cannot be read: No such file"):
        TeacherLogits(str(tmp_path / "nowhere"))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="pipe: cannot be read: Not a plain file"):
        TeacherLogits(str(tmp_path / "pipe"))
    stored = TeacherLogits(write(tmp_path / "x"))
    for key in (4, -1, 10**15):
        with pytest.raises(UserError, match=f"has no logits of record {key}"):
            stored.rows(np.array([3, key, 2]))
    with pytest.raises(UserError, match="two rows of one record"):
        TeacherLogits(write(tmp_path / "y", keys=KEYS[[0, 1, 2, 3, 0]]))


def test_a_logit_that_float16_cannot_hold_is_an_error_and_float32_holds_it(tmp_path):
    large = LOGITS.copy()
    large[2, 3] = -70000
    with pytest.raises(UserError, match="record 900000000000 reach 70000.*--dtype float32"):
        write(tmp_path / "x", large)
    assert TeacherLogits(write(tmp_path / "x", large, dtype="float32")).rows(KEYS).min() == -70000


def test_a_disk_that_is_too_small_is_said_before_anything_is_computed(tmp_path):
    with pytest.raises(UserError, match=r"x: \d+\.\d\d GB are needed there, and the disk has"):
        TeacherLogitsWriter(str(tmp_path / "x"), about()._replace(classes=10**16), KEYS)
    assert os.listdir(tmp_path) == []


def test_two_processes_do_not_write_one_file(tmp_path):
    first = TeacherLogitsWriter(str(tmp_path / "x"), about(), KEYS)
    with pytest.raises(UserError, match="another process is writing it"):
        TeacherLogitsWriter(str(tmp_path / "x"), about(), KEYS)
    with pytest.raises(UserError, match="cannot be written: No such file"):
        TeacherLogitsWriter(str(tmp_path / "nowhere" / "x"), about(), KEYS)
    first.write(LOGITS)
    first.finish()


@pytest.mark.parametrize("first, last", [(0, 512), (512, 1024), (1024, 2048), (3584, 4096)])
def test_a_row_of_which_a_block_was_not_written_is_written_again(tmp_path, first, last):
    wide, logits = about()._replace(classes=1000, dtype="float32"), np.ones((5, 1000))
    with TeacherLogitsWriter(str(tmp_path / "x"), wide, KEYS) as writer:
        writer.write(logits)
    whole = (tmp_path / "x").read_bytes()
    second_row = whole.index(np.ones(1, "<f4").tobytes()) + wide.row_bytes
    block = second_row // 512 * 512
    data = bytearray(whole)
    data[block + first : block + last] = bytes(last - first)
    (tmp_path / "y.part").write_bytes(data)
    with TeacherLogitsWriter(str(tmp_path / "y"), wide, KEYS) as writer:
        assert writer.done < 3
        writer.write(logits[writer.done :])
    assert (tmp_path / "y").read_bytes() == whole


def test_what_is_no_file_of_logits_is_not_overwritten(tmp_path):
    (tmp_path / "train.rec").write_bytes(b"images")
    (tmp_path / "folder").mkdir()
    (tmp_path / "device").symlink_to("/dev/null")
    for name, words in (
        ("train.rec", "holds no stored logits; name another file"),
        ("folder", "Is a directory"),
        ("device", "Not a plain file"),
    ):
        with pytest.raises(UserError, match=f"{name}: .*{words}"):
            TeacherLogitsWriter(str(tmp_path / name), about(), KEYS)
    assert sorted(os.listdir(tmp_path)) == ["device", "folder", "train.rec"]
    assert (tmp_path / "train.rec").read_bytes() == b"images"
    path = write(tmp_path / "x")
    assert write(path) == path  # an older one is replaced
