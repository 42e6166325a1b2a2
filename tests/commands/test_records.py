"""``gluon-tricks records``: every kind of damage is found and named, without a traceback."""

import errno
import hashlib
import json
import os
import struct

import cv2
import mxnet as mx
import numpy as np
import pytest
import simplejpeg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gluon_tricks import cli
from gluon_tricks.data import file_reading
from gluon_tricks.data.records import RecordFile, RecordWriter, index_path_of
from gluon_tricks.data.sources import checked_label
from gluon_tricks.data.verify import verify
from gluon_tricks.errors import UserError


def picture(seed, size=(24, 32)):
    return cv2.resize(
        np.random.RandomState(seed).randint(0, 255, (6, 8, 3)).astype(np.uint8), size[::-1]
    )


def jpeg(seed, size=(24, 32)):
    return simplejpeg.encode_jpeg(np.ascontiguousarray(picture(seed, size)), 90)


def png(seed):
    return cv2.imencode(".png", picture(seed))[1].tobytes()


def write(path, payloads, labels=None):
    with RecordWriter(str(path)) as writer:
        for i, payload in enumerate(payloads):
            writer.write(100 + i, 0.0 if labels is None else labels[i], payload)
    return str(path)


def offsets_of(path):
    return [int(line.split()[1]) for line in open(index_path_of(path))]


def test_a_sound_file_has_no_problem(tmp_path, capsys):
    path = write(tmp_path / "a.rec", [jpeg(0), png(1), jpeg(2)])
    assert cli.main(["records", "verify", path, "--classes", "1"]) == 0
    assert "3 records, all sound" in capsys.readouterr().out


def write_manifest(path):
    """What ``gluon-tricks prepare`` writes of a file's checksum."""
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    split = os.path.splitext(os.path.basename(path))[0]
    with open(os.path.join(os.path.dirname(path), "manifest.json"), "w") as file:
        json.dump({"splits": {split: {"sha256": digest}}}, file)


def flipped(payload):
    """A JPEG with one bit flipped that decodes without a word, to another picture."""
    sound = simplejpeg.decode_jpeg(payload)
    for place in range(len(payload) - 3, 0, -1):
        damaged = payload[:place] + bytes([payload[place] ^ 1]) + payload[place + 1 :]
        try:
            if not np.array_equal(simplejpeg.decode_jpeg(damaged), sound):
                return damaged
        except ValueError:
            pass
    raise AssertionError("no such bit")


def exchange(path, old, new):
    with open(path, "rb") as file:
        content = file.read()
    assert content.count(old) == 1
    with open(path, "wb") as file:
        file.write(content.replace(old, new))


def test_a_wrong_picture_that_decodes_is_named_by_its_key(tmp_path, capsys):
    path = write(tmp_path / "a.rec", [jpeg(0), jpeg(1, (64, 64)), jpeg(2)])
    assert cli.main(["records", "verify", path]) == 0
    assert "3 records, all sound; each is as it was written (CRC-32)" in capsys.readouterr().out
    exchange(path, jpeg(1, (64, 64)), flipped(jpeg(1, (64, 64))))
    assert cli.main(["records", "verify", path]) == 1
    printed = capsys.readouterr().out
    assert (
        f"record 101 (byte {offsets_of(path)[1]}): its bytes are not those that were written"
        in printed
    )
    assert "1 problem" in printed


def test_a_file_of_mxnets_tools_is_compared_with_the_checksum_of_the_manifest(tmp_path, capsys):
    path = str(tmp_path / "a.rec")
    theirs = mx.recordio.MXIndexedRecordIO(index_path_of(path), path, "w")
    for i in range(3):
        theirs.write_idx(i, mx.recordio.pack(mx.recordio.IRHeader(0, 0.0, i, 0), jpeg(i, (64, 64))))
    theirs.close()
    write_manifest(path)
    assert cli.main(["records", "verify", path]) == 0
    assert "all sound; the file is as it was prepared (SHA-256)" in capsys.readouterr().out
    exchange(path, jpeg(1, (64, 64)), flipped(jpeg(1, (64, 64))))
    assert cli.main(["records", "verify", path]) == 1
    printed = capsys.readouterr().out
    assert (
        "its bytes are not those that 'gluon-tricks prepare' wrote" in printed
        and "1 problem" in printed
    )
    # Without the checksum nothing shows it, and the command says so.
    os.unlink(str(tmp_path / "manifest.json"))
    assert cli.main(["records", "verify", path]) == 0
    assert "as far as decoding shows: 3 without a checksum" in capsys.readouterr().out


def test_names_that_are_not_those_that_were_prepared_are_a_problem(tmp_path, capsys):
    path = write(tmp_path / "a.rec", [jpeg(0)])
    names = tmp_path / "labels.txt"
    names.write_text("bee\nant\n")
    (tmp_path / "manifest.json").write_text('{"labels_sha256": "0"}')
    assert cli.main(["records", "verify", path]) == 1
    printed = capsys.readouterr().out
    assert f"{path}: {names}: holds other names" in printed and "1 record, 1 problem" in printed


@pytest.mark.parametrize("damage", ["no record", "cut", "longer"])
def test_the_checksum_is_of_the_whole_file_also_if_it_is_damaged(tmp_path, damage):
    path = write(tmp_path / "a.rec", [jpeg(i) for i in range(4)])
    with open(path, "r+b") as file:
        if damage == "no record":
            file.seek(offsets_of(path)[1])
            file.write(b"\0\0\0\0")
        elif damage == "cut":
            file.truncate(offsets_of(path)[3] + 6)
        else:
            file.seek(0, os.SEEK_END)
            file.write(b"more than there was")
    # of the damaged file: its checksum fits, and the other problems are all there are
    write_manifest(path)
    _, _, problems = verify(path, workers=2)
    assert problems and not [p for p in problems if "SHA-256" in p.problem]


def test_a_stretch_that_the_disk_cannot_read_is_named_and_the_rest_is_examined(
    tmp_path, monkeypatch
):
    path = write(tmp_path / "a.rec", [jpeg(0), jpeg(1), b"no image"])
    write_manifest(path)
    bad, pread = offsets_of(path)[1] + 100, os.pread

    def read(descriptor, count, offset):
        if offset <= bad < offset + count:
            raise OSError(errno.EIO, "Input/output error")
        return pread(descriptor, count, offset)

    monkeypatch.setattr(file_reading, "RETRY_AFTER", ())
    monkeypatch.setattr(os, "pread", read)
    _, _, problems = verify(path)
    assert [problem.key for problem in problems] == [101, 102]
    assert "Input/output error" in problems[0].problem


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"splits": []}', '{"splits": {"a": null}}'])
def test_a_manifest_of_another_kind_is_none(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    assert verify(write(tmp_path / "a.rec", [jpeg(0)])) == (1, 0, [])


@pytest.mark.parametrize("workers", [1, 4])
def test_each_broken_image_and_wrong_label_is_named_by_its_key(tmp_path, capsys, workers):
    payloads = [
        jpeg(0),
        jpeg(1)[:-200],
        png(2),
        png(3)[:-30],
        b"no image",
        b"",
        jpeg(6),
        jpeg(7),
        jpeg(8),
    ]
    path = write(tmp_path / "a.rec", payloads, [0, 0, 0, 0, 0, 0, 10, -1, 1.5])
    report = str(tmp_path / "report.json")
    code = cli.main(
        ["records", "verify", path, "--classes", "10", "--json", report, "--workers", str(workers)]
    )
    assert code == 1
    found = json.load(open(report))[0]
    assert found["records"] == 9
    assert [problem["key"] for problem in found["problems"]] == [101, 103, 104, 105, 106, 107, 108]
    printed = capsys.readouterr().out
    assert f"record 101 (byte {offsets_of(path)[1]})" in printed and "7 problems" in printed


def test_the_end_of_a_truncated_file_is_found(tmp_path):
    path = write(tmp_path / "a.rec", [jpeg(i) for i in range(4)])
    third = offsets_of(path)[2]
    os.truncate(path, third + 40)
    records, _, problems = verify(path)
    assert records == 2
    assert [problem.key for problem in problems] == [102, 103]
    assert "truncated" in problems[0].problem and problems[0].offset == third


def test_damage_in_the_middle_does_not_hide_what_follows(tmp_path):
    path = write(tmp_path / "a.rec", [jpeg(i) for i in range(5)])
    with open(path, "r+b") as file:
        file.seek(offsets_of(path)[1])
        file.write(b"\0\0\0\0")
        file.seek(offsets_of(path)[3] + 4)
        file.write(struct.pack("<I", 5 << 29 | 17))
    records, _, problems = verify(path, workers=2)
    assert records == 3
    assert [problem.key for problem in problems] == [101, 103]


def test_disagreement_of_index_and_file_is_found(tmp_path):
    path = write(tmp_path / "a.rec", [jpeg(i) for i in range(4)])
    offsets = offsets_of(path)
    with open(index_path_of(path), "w") as file:
        file.write(f"7\t{offsets[0]}\n7\t{offsets[1]}\n8\t{offsets[1]}\n9\t{offsets[3] + 4}\n")
    _, _, problems = verify(path)
    said = [(problem.key, problem.offset, problem.problem) for problem in problems]
    assert (7, offsets[1], "the index has this key before") in said
    assert (8, offsets[1], "the index has this place before") in said
    assert (None, offsets[2], "the index does not list this record") in said
    assert (9, offsets[3] + 4, "the index points there, and no record begins there") in said


def swap_places(path, one, other):
    lines = [line.split() for line in open(index_path_of(path))]
    lines[one][1], lines[other][1] = lines[other][1], lines[one][1]
    with open(index_path_of(path), "w") as file:
        file.writelines("\t".join(line) + "\n" for line in lines)


def write_theirs(path, keys_and_ids):
    """A file of MXNet's own tools."""
    theirs = mx.recordio.MXIndexedRecordIO(index_path_of(path), path, "w")
    for key, identity in keys_and_ids:
        theirs.write_idx(
            key, mx.recordio.pack(mx.recordio.IRHeader(0, 0.0, identity, 0), jpeg(key))
        )
    theirs.close()
    return path


def test_records_under_the_wrong_keys_are_named(tmp_path):
    ours = write(tmp_path / "ours.rec", [jpeg(i) for i in range(4)])
    # as im2rec writes a shuffled list
    theirs = write_theirs(str(tmp_path / "theirs.rec"), [(key, key) for key in (7, 3, 9, 5)])
    for path, wrong in ((ours, [101, 102]), (theirs, [3, 9])):
        assert verify(path)[2] == []
        swap_places(path, 1, 2)
        problems = verify(path)[2]
        assert sorted(problem.key for problem in problems) == wrong
        assert all("the record at its place has the id" in problem.problem for problem in problems)


@pytest.mark.parametrize(
    "keys_and_ids",
    [
        [(7, 0), (0, 0), (9, 0)],  # no ids
        [(1, 0), (2, 1), (3, 2)],  # counted otherwise
        [(7, 100), (3, 200), (9, 300)],  # of another source
        [(0, 2), (1, 0), (2, 1)],  # keys are places, as in an index that was rebuilt
    ],
)
def test_ids_that_are_no_keys_are_not_compared_with_them(tmp_path, keys_and_ids):
    assert verify(write_theirs(str(tmp_path / "a.rec"), keys_and_ids))[2] == []


@pytest.mark.parametrize("label", [[1.0, 2.0], 3.0, -1.0, 0.5, float("nan"), float("inf")])
def test_verify_names_every_label_that_training_refuses(tmp_path, label):
    path = write(tmp_path / "a.rec", [jpeg(0), jpeg(1)], [0.0, label])
    problems = verify(path, classes=3)[2]
    assert [problem.key for problem in problems] == [101]
    with RecordFile(path) as file, pytest.raises(UserError):
        checked_label(file.read(1)[0], 3, path, 101)
    assert cli.main(["records", "verify", path, "--classes", "0"]) == 2


def test_names_act_on_no_terminal(tmp_path, capsys):
    path = write(tmp_path / "a\x1b[31m\n.rec", [jpeg(0)])
    for action in (["verify"], ["info"], ["index", "--force"]):
        assert cli.main(["records", *action, path]) == 0
        printed = capsys.readouterr().out
        assert "\x1b" not in printed and "a\\x1b[31m\\n." in printed


def test_a_missing_index_is_a_problem_and_the_records_are_read_all_the_same(tmp_path, capsys):
    path = write(tmp_path / "a.rec", [jpeg(0), b"broken"])
    os.unlink(index_path_of(path))
    assert cli.main(["records", "verify", path]) == 1
    printed = capsys.readouterr().out
    assert "gluon-tricks records index" in printed and "2 problems" in printed


def test_a_lost_index_comes_back_to_the_byte(tmp_path):
    magic = b"\x0a\x23\xd7\xce"
    path = write(tmp_path / "a.rec", [jpeg(0), magic * 9, b"abcd" + magic, b""])
    with open(index_path_of(path), "rb") as file:
        before = file.read()
    os.unlink(index_path_of(path))
    assert cli.main(["records", "index", path]) == 0
    with open(index_path_of(path), "rb") as file:
        assert file.read() == before


def test_an_index_that_is_there_is_kept_unless_forced(tmp_path, capsys):
    path = write(tmp_path / "a.rec", [jpeg(0)])
    assert cli.main(["records", "index", path]) == 2
    assert "--force" in capsys.readouterr().err
    assert cli.main(["records", "index", path, "--force"]) == 0


def test_ids_that_are_not_unique_become_numbers(tmp_path, capsys):
    path = str(tmp_path / "a.rec")
    with RecordWriter(path) as writer:
        for label in range(3):
            writer.write(5, float(label), jpeg(label))
    assert cli.main(["records", "index", path, "--force"]) == 0
    with RecordFile(path) as file:
        assert file.keys.tolist() == [0, 1, 2] and [file.read(i)[0] for i in range(3)] == [
            0.0,
            1.0,
            2.0,
        ]


def test_the_index_of_a_damaged_file_is_made_only_when_asked_for(tmp_path, capsys):
    path = write(tmp_path / "a.rec", [jpeg(i) for i in range(4)])
    os.truncate(path, os.path.getsize(path) - 10)
    os.unlink(index_path_of(path))
    assert cli.main(["records", "index", path]) == 2
    assert "--salvage" in capsys.readouterr().err and not os.path.exists(index_path_of(path))
    assert cli.main(["records", "index", path, "--salvage"]) == 0
    with RecordFile(path) as file:
        assert file.keys.tolist() == [100, 101, 102]


def test_info_counts_images_classes_and_sizes(tmp_path, capsys):
    sizes = [(24, 32), (40, 20), (30, 30)]
    path = write(
        tmp_path / "a.rec", [jpeg(i, size) for i, size in enumerate(sizes)] + [png(3)], [2, 0, 2, 7]
    )
    report = str(tmp_path / "report.json")
    assert cli.main(["records", "info", path, "--json", report]) == 0
    found = json.load(open(report))[0]
    assert (
        found["records"] == 4
        and found["bytes"] == os.path.getsize(path)
        and found["keys"] == [100, 103]
    )
    assert found["images_of_class"] == {"0": 1, "2": 2, "7": 1}
    assert found["formats"] == {"JPEG": 3, "PNG": 1}
    assert found["height"] == {"min": 24, "median": 27, "max": 40}
    assert found["width"] == {"min": 20, "median": 31, "max": 32}
    printed = capsys.readouterr().out
    assert "classes: 3, labels 0 to 7" in printed and "3 JPEG" in printed


def test_unreadable_files_end_in_one_line(tmp_path, capsys):
    (tmp_path / "empty.rec").write_bytes(b"")
    for action in ("verify", "index", "info"):
        for name in ("missing.rec", "empty.rec", ""):
            assert cli.main(["records", action, str(tmp_path / name)]) == 2
            said = capsys.readouterr().err
            assert said.count("\n") == 1 and str(tmp_path / name) in said


@given(st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_fuzzed_files_end_without_a_traceback(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("fuzz")
    path = write(folder / "a.rec", [jpeg(0, (8, 8)), png(1), b"\x0a\x23\xd7\xce" * 4])
    content = bytearray(open(path, "rb").read())
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=30))
        content = content or bytearray(b"x")
    with open(path, "wb") as file:
        file.write(content)
    assert cli.main(["records", "verify", path, "--workers", "1"]) in (0, 1)
    assert cli.main(["records", "index", path, "--force", "--salvage"]) in (0, 2)
    assert cli.main(["records", "info", path, "--workers", "1"]) in (0, 2)
