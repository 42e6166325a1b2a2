"""RecordIO: MXNet's own reader, writer and iterator are the independent source."""

import errno
import json
import os
import struct
import threading
import time
import zlib

import cv2
import mxnet as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gluon_tricks import cli
from gluon_tricks.data import file_reading, recordio
from gluon_tricks.data.describe import describe
from gluon_tricks.data.fingerprint import fingerprint, spread
from gluon_tricks.data.part_file import open_part
from gluon_tricks.data.record_checks import problem_of_label
from gluon_tricks.data.records import (
    RecordError,
    RecordFile,
    RecordWriter,
    index_path_of,
    read_index,
)
from gluon_tricks.errors import UserError

MAGIC = b"\x0a\x23\xd7\xce"
# A payload follows a header of 24 bytes, so what is aligned in it is aligned in the record.
PAYLOADS = [
    b"",
    b"x",
    b"four",
    MAGIC,
    MAGIC * 3,
    b"a" + MAGIC,
    MAGIC[:3],
    b"abcd" + MAGIC + b"tail",
    b"abcd" + MAGIC + MAGIC + b"x",
    b"abc" + MAGIC + b"d" + MAGIC + b"ab",
    b"ab" + MAGIC + b"abcdef" + MAGIC,
    bytes(range(256)) * 40,
]


def write(path, records):
    """Write (key, label, payload) with our writer."""
    with RecordWriter(str(path)) as writer:
        for record in records:
            writer.write(*record)
    return str(path)


def read_all(path):
    with RecordFile(path) as file:
        return [(int(key),) + file.read(i) for i, key in enumerate(file.keys)]


def png(value, size=(8, 8)):
    return cv2.imencode(".png", np.full(size + (3,), value, np.uint8))[1].tobytes()


def test_what_we_write_mxnet_reads_even_with_the_magic_inside(tmp_path):
    path = write(tmp_path / "a.rec", [(7 * i, float(i), p) for i, p in enumerate(PAYLOADS)])
    theirs = mx.recordio.MXIndexedRecordIO(index_path_of(path), path, "r")
    for i, payload in enumerate(PAYLOADS):
        header, found = mx.recordio.unpack(theirs.read_idx(7 * i))
        assert (header.flag, header.label, header.id, found) == (0, float(i), 7 * i, payload)
    theirs.close()


def test_what_mxnet_writes_we_read_even_with_the_magic_inside(tmp_path):
    path = str(tmp_path / "a.rec")
    theirs = mx.recordio.MXIndexedRecordIO(index_path_of(path), path, "w")
    for i, payload in enumerate(PAYLOADS):
        theirs.write_idx(
            3 * i, mx.recordio.pack(mx.recordio.IRHeader(0, float(i), 3 * i, 0), payload)
        )
    theirs.close()
    assert read_all(path) == [(3 * i, float(i), payload) for i, payload in enumerate(PAYLOADS)]


def test_our_files_equal_mxnets_to_the_byte_given_the_checksum_as_id2(tmp_path):
    ours = write(tmp_path / "ours.rec", [(i, float(i), p) for i, p in enumerate(PAYLOADS)])
    path = str(tmp_path / "theirs.rec")
    theirs = mx.recordio.MXIndexedRecordIO(index_path_of(path), path, "w")
    for i, payload in enumerate(PAYLOADS):
        crc = zlib.crc32(struct.pack("<IfQ", 0, float(i), i) + payload)
        header = mx.recordio.IRHeader(0, float(i), i, int.from_bytes(b"=crc", "little") << 32 | crc)
        theirs.write_idx(i, mx.recordio.pack(header, payload))
    theirs.close()
    for name in (str, index_path_of):
        with open(name(ours), "rb") as a, open(name(path), "rb") as b:
            assert a.read() == b.read()


@pytest.mark.parametrize("label", [3.0, [1.0, 2.0]])
def test_no_changed_byte_of_a_file_goes_unseen(tmp_path, label):
    records = [
        (i, label, payload)
        for i, payload in enumerate([b"some payload", MAGIC, b"abcd" + MAGIC + b"x"])
    ]
    path = write(tmp_path / "a.rec", records)
    with open(path, "rb") as file:
        sound, content = read_all(path), file.read()
    seen = 0
    for place in range(len(content)):
        # flip the lowest bit, the highest, or make it 0
        for change in (1, 0x80, content[place] or 0xFF):
            with open(path, "wb") as file:
                file.write(
                    content[:place] + bytes([content[place] ^ change]) + content[place + 1 :]
                )
            try:
                # a byte of padding, or of the checksum's mark
                np.testing.assert_equal(read_all(path), sound)
            except UserError as error:
                assert path in str(error)
                seen += 1
    assert seen > 0.8 * 3 * len(content)


def test_an_id2_of_another_meaning_is_no_checksum(tmp_path):
    path = str(tmp_path / "a.rec")
    theirs = mx.recordio.MXIndexedRecordIO(index_path_of(path), path, "w")
    for i, id2 in enumerate((0, 1, 2**64 - 1)):
        theirs.write_idx(i, mx.recordio.pack(mx.recordio.IRHeader(0, 1.0, i, id2), b"payload"))
    theirs.close()
    assert read_all(path) == [(i, 1.0, b"payload") for i in range(3)]


@given(
    st.lists(
        st.lists(
            st.one_of(st.binary(max_size=9), st.just(MAGIC), st.just(MAGIC[:2])), max_size=6
        ).map(b"".join),
        min_size=1,
        max_size=5,
    )
)
@settings(max_examples=60, deadline=None)
def test_any_payload_comes_back(tmp_path_factory, payloads):
    folder = tmp_path_factory.mktemp("any")
    path = write(folder / "a.rec", [(i, 1.5, payload) for i, payload in enumerate(payloads)])
    assert read_all(path) == [(i, 1.5, payload) for i, payload in enumerate(payloads)]
    theirs = mx.recordio.MXRecordIO(path, "r")
    assert [mx.recordio.unpack(theirs.read())[1] for _ in payloads] == payloads
    assert theirs.read() is None
    theirs.close()


def test_several_labels_come_back_as_float32_and_as_mxnet_reads_them(tmp_path):
    labels = np.array([0.25, -3, 1e6], np.float32)
    path = write(tmp_path / "a.rec", [(0, labels, b"payload"), (1, 2.0, b"other")])
    with RecordFile(path) as file:
        label, payload = file.read(0)
        assert label.dtype == np.float32 and payload == b"payload"
        np.testing.assert_array_equal(label, labels)
        np.testing.assert_array_equal(file.read_label(0), labels)
        assert file.read_label(1) == 2.0
    theirs = mx.recordio.MXIndexedRecordIO(index_path_of(path), path, "r")
    header, payload = mx.recordio.unpack(theirs.read_idx(0))
    np.testing.assert_array_equal(header.label, labels)
    assert header.flag == 3 and payload == b"payload"
    theirs.close()


def test_no_label_is_refused_as_it_would_be_read_as_0():
    with pytest.raises(ValueError, match="no label"):
        recordio.pack_image(0, [], b"payload")


def test_labels_that_are_no_classes_are_reported_as_they_are(tmp_path):
    assert problem_of_label(np.nan, None) == "its label is nan"
    assert problem_of_label(np.float32([1, np.inf]), None) and not problem_of_label(1e30, None)
    path = write(tmp_path / "a.rec", [(0, 2.0, png(0)), (1, 1e30, png(0))])
    report = describe(path)
    assert "images_of_class" not in report
    assert report["labels_from_to"] == pytest.approx([2, 1e30])


def test_image_record_iter_reads_our_file(tmp_path):
    path = write(tmp_path / "a.rec", [(i, float(i % 3), png(20 * i)) for i in range(8)])
    batches = mx.io.ImageRecordIter(
        path_imgrec=path,
        path_imgidx=index_path_of(path),
        data_shape=(3, 8, 8),
        batch_size=8,
        shuffle=False,
    )
    batch = batches.next()
    np.testing.assert_array_equal(batch.label[0].asnumpy(), [i % 3 for i in range(8)])
    np.testing.assert_array_equal(
        batch.data[0].asnumpy().mean(axis=(1, 2, 3)), [20 * i for i in range(8)]
    )


def test_records_are_in_the_order_of_the_index_whatever_their_place(tmp_path):
    path = write(tmp_path / "a.rec", [(i, float(i), b"p%d" % i) for i in range(6)])
    lines = open(index_path_of(path)).readlines()
    with open(index_path_of(path), "w") as file:
        file.writelines([lines[4], lines[0], lines[5]])
    assert read_all(path) == [(4, 4.0, b"p4"), (0, 0.0, b"p0"), (5, 5.0, b"p5")]


def test_many_threads_read_the_same_as_one(tmp_path):
    payloads = [bytes([i]) * (1000 * i) for i in range(50)]
    path = write(tmp_path / "a.rec", [(i, float(i), p) for i, p in enumerate(payloads)])
    wrong = []
    with RecordFile(path) as file:

        def work(seed):
            for i in np.random.RandomState(seed).randint(0, 50, 300):
                if file.read(i) != (float(i), payloads[i]):
                    wrong.append(i)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    assert not wrong


def test_a_record_larger_than_one_read_comes_back(tmp_path):
    large = np.random.RandomState(0).bytes(3 << 20) + MAGIC + b"abc"
    path = write(tmp_path / "a.rec", [(0, 1.0, b"small"), (1, 2.0, large), (2, 3.0, b"last")])
    assert read_all(path) == [(0, 1.0, b"small"), (1, 2.0, large), (2, 3.0, b"last")]


@pytest.mark.slow
def test_an_index_of_imagenets_size_is_read_in_well_under_two_seconds(tmp_path):
    path = tmp_path / "a.idx"
    offsets = np.arange(1281167) * 110000
    path.write_text("".join("%d\t%d\n" % pair for pair in enumerate(offsets.tolist())))
    begun = time.process_time()
    keys, found = read_index(path, "a.rec")
    assert time.process_time() - begun < 2
    assert len(keys) == 1281167
    np.testing.assert_array_equal(found, offsets)


def test_fingerprint_changes_with_the_index_and_counts_the_records(tmp_path):
    path = write(tmp_path / "a.rec", [(i, 0.0, b"p") for i in range(3)])
    first = fingerprint(path)
    assert first["records"] == 3 and first["bytes"] == os.path.getsize(path)
    lines = open(index_path_of(path)).readlines()
    with open(index_path_of(path), "w") as file:
        file.writelines(lines[::-1])
    assert fingerprint(path)["index_sha256"] != first["index_sha256"]


def test_a_missing_index_says_which_command_makes_it(tmp_path):
    path = write(tmp_path / "a.rec", [(0, 0.0, b"p")])
    os.unlink(index_path_of(path))
    with pytest.raises(UserError, match="gluon-tricks records index .*a.rec"):
        RecordFile(path)


@pytest.mark.parametrize(
    "content",
    ["", "\n", "0 0\n", "0\t0\t0\n", "a\t0\n", "0\t1.5\n", "0\t\n", "0\t0\n1", "9" * 30 + "\t0\n"],
)
def test_a_damaged_index_is_named(tmp_path, content):
    path = write(tmp_path / "a.rec", [(0, 0.0, b"p")])
    with open(index_path_of(path), "w") as file:
        file.write(content)
    with pytest.raises(RecordError, match="a.idx"):
        RecordFile(path)


@pytest.mark.parametrize("offset", [-4, 2, 400])
def test_an_index_that_points_outside_is_named_with_its_key(tmp_path, offset):
    path = write(tmp_path / "a.rec", [(0, 0.0, b"p")])
    with open(index_path_of(path), "w") as file:
        file.write(f"0\t0\n17\t{offset}\n")
    with pytest.raises(RecordError, match="record 17: ") as caught:
        RecordFile(path)
    assert caught.value.key == 17 and caught.value.path == path


def reindex(path, change):
    """Change the lines ``[key, offset]`` of an index."""
    lines = [[int(number) for number in line.split()] for line in open(index_path_of(path))]
    change(lines)
    with open(index_path_of(path), "w") as file:
        file.writelines("{}\t{}\n".format(*line) for line in lines)


@pytest.mark.parametrize(
    "column, line, said",
    [
        (0, 4, "line 5 has the same key as a line before it, 11"),
        (1, 3, "line 4 has the same offset"),
    ],
)
def test_an_index_that_has_a_key_or_a_place_twice_is_refused(tmp_path, column, line, said):
    path = write(tmp_path / "a.rec", [(10 + i, float(i), b"p%d" % i) for i in range(6)])

    def double(lines):
        lines[line][column] = lines[1][column]

    reindex(path, double)
    with pytest.raises(RecordError, match=said):
        RecordFile(path)


def test_a_record_of_another_id_than_its_key_is_an_error_that_names_both(tmp_path):
    path = write(tmp_path / "a.rec", [(10 + i, float(i), b"p%d" % i) for i in range(4)])

    def swap(lines):
        lines[1][1], lines[2][1] = lines[2][1], lines[1][1]

    reindex(path, swap)
    with RecordFile(path) as file:
        assert file.read(0) == (0.0, b"p0") and file.read_label(3) == 3.0
        for read in (file.read, file.read_label):
            with pytest.raises(
                RecordError, match="record 11: the record at its place has the id 12"
            ) as caught:
                read(1)
            assert caught.value.key == 11


def test_ids_of_other_programs_and_of_files_put_together_need_not_be_the_keys(tmp_path):
    path = str(tmp_path / "a.rec")
    theirs = mx.recordio.MXIndexedRecordIO(index_path_of(path), path, "w")
    for key in (3, 8, 5):
        theirs.write_idx(
            key, mx.recordio.pack(mx.recordio.IRHeader(0, float(key), 0, 0), b"payload")
        )
    theirs.close()
    assert read_all(path) == [(key, float(key), b"payload") for key in (3, 8, 5)]
    one = write(tmp_path / "one.rec", [(i, float(i), b"p%d" % i) for i in range(3)])
    with open(path, "wb") as both:
        both.write(open(one, "rb").read() * 2)
    assert cli.main(["records", "index", path, "--force"]) == 0
    assert [label for _, label, _ in read_all(path)] == [0.0, 1.0, 2.0] * 2


def test_files_that_are_no_recordio_are_named(tmp_path):
    for name, content in (
        ("empty.rec", b""),
        ("short.rec", b"abc"),
        ("other.rec", b"PK\3\4" + bytes(100)),
    ):
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).with_suffix(".idx").write_text("0\t0\n")
        with pytest.raises(UserError, match=name):
            RecordFile(tmp_path / name)
    for missing in (tmp_path / "missing.rec", tmp_path):
        with pytest.raises(UserError, match=str(missing)):
            RecordFile(missing)


def test_a_truncated_file_names_the_record_that_is_cut(tmp_path):
    path = write(tmp_path / "a.rec", [(10, 0.0, b"p" * 100), (11, 0.0, b"q" * 100)])
    whole = os.path.getsize(path)
    for cut in (1, 50, 100, 130):
        os.truncate(path, whole - cut)
        with RecordFile(path) as file:
            assert file.read(0) == (0.0, b"p" * 100)
            with pytest.raises(RecordError, match="a.rec, record 11: truncated"):
                file.read(1)


def test_a_wrong_magic_names_the_record(tmp_path):
    path = write(tmp_path / "a.rec", [(10, 0.0, b"p" * 100), (11, 0.0, b"q" * 100)])
    second = int(open(index_path_of(path)).readlines()[1].split()[1])
    with open(path, "r+b") as file:
        file.seek(second)
        file.write(b"zzzz")
    with RecordFile(path) as file, pytest.raises(RecordError, match="record 11: no record begins"):
        file.read(1)


def test_a_file_that_shrinks_while_open_is_an_error_with_its_key(tmp_path):
    path = write(tmp_path / "a.rec", [(10, 0.0, b"p" * 100), (11, 0.0, b"q" * 100)])
    with RecordFile(path) as file:
        os.truncate(path, 150)
        with pytest.raises(RecordError, match="record 11: the file became shorter"):
            file.read(1)


def test_a_disk_error_that_passes_is_retried_and_one_that_stays_is_named(tmp_path, monkeypatch):
    path = write(tmp_path / "a.rec", [(5, 1.0, b"p")])
    real, failures = os.pread, [2]

    def pread(*args):
        if failures[0]:
            failures[0] -= 1
            raise OSError(errno.EIO, "Input/output error")
        return real(*args)

    monkeypatch.setattr(file_reading, "RETRY_AFTER", (0.0, 0.0, 0.0))
    with RecordFile(path) as file:
        monkeypatch.setattr(file_reading.os, "pread", pread)
        assert file.read(0) == (1.0, b"p")
        failures[0] = 100
        with pytest.raises(
            RecordError, match="a.rec, record 5: cannot be read at byte 0: Input/output error"
        ):
            file.read(0)


def test_an_error_while_writing_leaves_nothing_and_the_old_files_whole(tmp_path):
    path = write(tmp_path / "a.rec", [(0, 0.0, b"old")])
    with pytest.raises(KeyError), RecordWriter(path) as writer:
        writer.write(0, 0.0, b"new")
        raise KeyError
    assert read_all(path) == [(0, 0.0, b"old")]
    assert sorted(os.listdir(tmp_path)) == ["a.idx", "a.rec"]


def test_nothing_has_its_name_before_the_end(tmp_path):
    with RecordWriter(str(tmp_path / "a.rec")) as writer:
        writer.write(0, 0.0, b"p")
        assert not (tmp_path / "a.rec").exists() and not (tmp_path / "a.idx").exists()
    assert sorted(os.listdir(tmp_path)) == ["a.idx", "a.rec"]


def test_a_new_file_never_has_the_index_of_an_older_one(tmp_path, monkeypatch):
    path, replace = write(tmp_path / "a.rec", [(0, 0.0, b"old")]), os.replace

    def interrupted(old, new):
        if new.endswith(".idx"):
            raise KeyboardInterrupt
        replace(old, new)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(path, [(1, 0.0, b"new"), (2, 0.0, b"one")])
    with pytest.raises(UserError, match="there is no such index"):
        RecordFile(path)


def test_two_writers_of_one_file_are_refused(tmp_path):
    with RecordWriter(str(tmp_path / "a.rec")):
        with pytest.raises(UserError, match="another process is writing"):
            RecordWriter(str(tmp_path / "a.rec"))


def test_a_writer_that_cannot_begin_leaves_nothing(tmp_path):
    with pytest.raises(UserError, match="a.idx.part: cannot be written"):
        RecordWriter(str(tmp_path / "a.rec"), str(tmp_path / "no" / "a.idx"))
    assert os.listdir(tmp_path) == []


def test_what_an_abandoned_writer_removes_is_not_the_next_ones(tmp_path, monkeypatch):
    path, removed = str(tmp_path / "a.rec"), []
    writer = RecordWriter(path)

    def unlink(name):
        with pytest.raises(UserError, match="another process is writing"):
            open_part(name[: -len(".part")])
        removed.append(name)

    monkeypatch.setattr(os, "unlink", unlink)
    writer.abandon()
    assert removed == [path + ".part", str(tmp_path / "a.idx.part")]


def test_a_full_disk_is_named():
    writer = RecordWriter.__new__(RecordWriter)
    writer.path, writer.index_path, writer.keep_parts = "/dev/full", "/dev/full", True
    writer._files = [open("/dev/full", "r+b", buffering=0), open("/dev/full", "r+b", buffering=0)]
    writer._record, writer._index = writer._files
    with pytest.raises(UserError, match="/dev/full: cannot be written: No space left"):
        writer.write(0, 0.0, b"p")
    writer.abandon()


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match="cannot be written"):
        RecordWriter(str(tmp_path / "missing" / "a.rec"))


def test_a_record_too_long_for_the_format_is_refused(monkeypatch):
    monkeypatch.setattr(recordio, "LENGTH_MASK", 1000)
    with pytest.raises(ValueError, match="512 MiB"):
        recordio.frame(bytes(1001))


@st.composite
def damaged_files(draw):
    """The bytes of a small file and its index, with some bytes exchanged, cut out or put in."""
    payloads = draw(st.lists(st.sampled_from(PAYLOADS[:-1]), min_size=1, max_size=4))
    frames = [recordio.frame(recordio.pack_image(i, float(i), p)) for i, p in enumerate(payloads)]
    offsets = np.cumsum([0] + [len(framed) for framed in frames])
    index = "".join(f"{i}\t{offset}\n" for i, offset in enumerate(offsets[:-1])).encode()
    files = [bytearray(b"".join(frames)), bytearray(index)]
    for _ in range(draw(st.integers(1, 4))):
        data = files[draw(st.integers(0, 3)) == 3]
        place = draw(st.integers(0, max(0, len(data) - 1)))
        kind = draw(st.integers(0, 2))
        if kind == 0:
            data[place : place + 1] = draw(st.binary(min_size=1, max_size=1))
        elif kind == 1:
            del data[place : place + draw(st.integers(1, 40))]
        else:
            data[place:place] = draw(st.one_of(st.just(MAGIC), st.binary(max_size=12)))
    return bytes(files[0]), bytes(files[1])


@given(damaged_files())
@settings(max_examples=150, deadline=None)
def test_a_fuzzed_file_gives_records_or_a_named_error_and_nothing_else(tmp_path_factory, contents):
    folder = tmp_path_factory.mktemp("fuzz")
    for name, content in zip(("a.rec", "a.idx"), contents):
        (folder / name).write_bytes(content)
    try:
        with RecordFile(folder / "a.rec") as file:
            for i in range(len(file)):
                try:
                    label, payload = file.read(i)
                    assert isinstance(payload, bytes)
                    np.testing.assert_array_equal(file.read_label(i), label)
                except RecordError as error:
                    assert error.key == file.keys[i] and "a.rec" in str(error)
    except UserError as error:
        assert "a.rec" in str(error) or "a.idx" in str(error)


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_scanning_any_bytes_ends_and_covers_them_all(content):
    def read(start, count):
        return content[start : start + count]

    place = 0
    for offset, length, _ in recordio.scan(read, len(content)):
        assert offset == place and length > 0
        place += length
    assert place == len(content)


def part(flag, length):
    return MAGIC + struct.pack("<I", flag << 29 | length)


def shared_parts(count):
    """Beginnings that all lead to the same later parts, which never end."""
    firsts = b"".join(part(1, 8 * (count - i - 1)) for i in range(count))
    return firsts + part(2, 0) * count


CRAFTED = {
    "beginnings that share their parts": shared_parts(300),
    "beginnings one inside the other": b"".join(part(1, 8 * (4000 - i)) for i in range(4000))
    + bytes(8),
    "later parts alone": part(2, 0) * 4000,
    "damage between records": (recordio.frame(b"body") + b"bad!") * 2000,
    "one record of many parts": part(1, 0) + part(2, 0) * 4000 + part(3, 0),
    "such a record without its end": part(1, 0) + part(2, 0) * 4000,
    "records in the shadow of a length": part(0, 1 << 20) + recordio.frame(b"body") * 2000,
}


@pytest.mark.parametrize("kind", CRAFTED)
def test_scanning_takes_time_in_proportion_to_the_file_whatever_it_holds(kind):
    content, calls = CRAFTED[kind], []

    def read(start, count):
        calls.append(count)
        return content[start : start + count]

    found = list(recordio.scan(read, len(content)))
    assert sum(length for _, length, _ in found) == len(content)
    assert len(calls) < len(content) and sum(calls) < 600 * len(content)
    assert [offset for offset, _, problem in found if problem is None] == sound_places(content)


def sound_places(content):
    """Where the sound records lie, found the slow way: from each place the walk begins again."""
    found, place = [], 0
    while place < len(content):
        rest = content[place:]
        try:
            length = recordio.read_frame(
                lambda start, count: rest[start : start + count], len(rest)
            )[1]
            found.append(place)
            place += length
        except ValueError:
            place = max(content.find(MAGIC, place + 4), 0) or len(content)
    return found


def test_the_places_of_a_large_file_take_little_memory():
    places = recordio.OffsetSet()
    for place in range(0, 1 << 22, 8):
        places.add(place)
    assert 8 in places and 4 not in places and 1 << 22 not in places
    assert sum(bits.__sizeof__() for bits in places._pages.values()) < (1 << 22) // 16


def relabel(path):
    """Other labels, with the checksums that belong to them; index and sizes stay."""
    with RecordFile(path) as file:
        records = [
            (int(key), (file.read(i)[0] + 1) % 10, file.read(i)[1])
            for i, key in enumerate(file.keys)
        ]
    write(path, records)


def test_a_fingerprint_tells_records_of_the_same_sizes_apart(tmp_path):
    path = write(tmp_path / "a.rec", [(i, float(i % 10), bytes([i]) * 9) for i in range(30)])
    first = fingerprint(path)
    relabel(path)
    second = fingerprint(path)
    assert {name for name in first if first[name] != second[name]} == {"sample_sha256"}


def test_of_a_large_file_evenly_spread_records_are_read(tmp_path, monkeypatch):
    assert list(spread(3)) == [0, 1, 2] and list(spread(9, 5)) == [0, 2, 4, 6, 8]
    chosen = spread(1281167)
    assert len(chosen) == 1024 and chosen[0] == 0 and chosen[-1] == 1281166
    assert set(np.diff(chosen)) == {1252, 1253}

    path = write(tmp_path / "a.rec", [(i, 0.0, bytes(20)) for i in range(2000)])
    monkeypatch.setattr("gluon_tricks.data.fingerprint.HASHED_WHOLE", 0)
    with RecordFile(path) as file:
        offset = int(file.offsets[spread(2000)[7]])
    first = fingerprint(path)
    for place, seen in ((offset + 12, True), (offset - 4, False)):
        data = bytearray(open(path, "rb").read())
        data[place] ^= 1
        (tmp_path / "b.rec").write_bytes(data)
        assert (fingerprint(tmp_path / "b.rec", index_path_of(path)) != first) == seen


def test_a_fingerprint_has_the_manifests_digest_if_it_is_of_a_file_of_this_size(tmp_path):
    path = write(tmp_path / "a.rec", [(i, 0.0, b"p") for i in range(3)])
    for entry, expected in (
        ({"bytes": os.path.getsize(path), "sha256": "abc"}, "abc"),
        ({"bytes": 3, "sha256": "abc"}, None),
        ({"bytes": os.path.getsize(path), "sha256": 3}, None),
        ([], None),
    ):
        (tmp_path / "manifest.json").write_text(json.dumps({"splits": {"a": entry}}))
        assert fingerprint(path).get("sha256") == expected
