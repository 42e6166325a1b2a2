"""``gluon-tricks prepare imagenet`` on archives of the official form, with tiny images."""

import collections
import gzip
import io
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import time
import zlib

import cv2
import numpy as np
import pytest
import scipy.io
import simplejpeg

from gluon_tricks import cli
from gluon_tricks.data.decode import decode
from gluon_tricks.data.jpeg import one_scan
from gluon_tricks.data.prepare import devkit, imagenet, tar
from gluon_tricks.data.records import RecordFile
from gluon_tricks.errors import UserError

IDS = ["n01440764", "n02105855", "n03425413", "n09999999"]  # sorted
ILSVRC_IDS = [3, 1, 4, 2]  # the development kit's own numbers, in another order
PER_CLASS = [6, 9, 7, 8]
TRUTH = [1, 2, 3, 4, 4, 3, 2, 1, 1, 2]


def jpeg(seed, size=(16, 20)):
    image = np.random.RandomState(seed).randint(0, 255, size + (3,)).astype(np.uint8)
    return simplejpeg.encode_jpeg(image, 90)


def add(archive, name, data):
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def tar_of(files, format=tarfile.USTAR_FORMAT):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=format) as archive:
        for name, content in files.items():
            add(archive, name, content)
    return data.getvalue()


def train_files(scale=1):
    """{WordNet id: {name: image}}, with the oddities of the real data set among them."""
    files = {}
    for label, (wordnet_id, count) in enumerate(zip(IDS, PER_CLASS)):
        files[wordnet_id] = {
            f"{wordnet_id}_{i}.JPEG": jpeg(1000 * label + i) for i in range(count * scale)
        }
    image = np.random.RandomState(5).randint(0, 255, (16, 20, 4)).astype(np.uint8)
    files["n02105855"]["n02105855_2.JPEG"] = cv2.imencode(".png", image[:, :, :3])[1].tobytes()
    files["n03425413"]["n03425413_0.JPEG"] = simplejpeg.encode_jpeg(image, 90, "CMYK", "444")
    files["n03425413"]["n03425413_1.JPEG"] = simplejpeg.encode_jpeg(
        image[:, :, :1].copy(), 90, "GRAY", "Gray"
    )
    return files


def devkit_bytes(ids=IDS, ilsvrc_ids=ILSVRC_IDS, counts=PER_CLASS, truth=TRUTH):
    fields = [
        "ILSVRC2012_ID",
        "WNID",
        "words",
        "gloss",
        "num_children",
        "children",
        "wordnet_height",
        "num_train_images",
    ]
    synsets = np.zeros((len(ids) + 1, 1), dtype=[(field, object) for field in fields])
    for i, (wordnet_id, number, count) in enumerate(zip(ids, ilsvrc_ids, counts)):
        synsets[i, 0] = (
            float(number),
            wordnet_id,
            f"word {i}, other",
            "gloss",
            0.0,
            np.zeros((0, 0)),
            0.0,
            float(count),
        )
    synsets[-1, 0] = (
        float(len(ids) + 1),
        "n00001740",
        "entity",
        "gloss",
        2.0,
        np.array([[1.0, 2.0]]),
        1.0,
        0.0,
    )
    meta = io.BytesIO()
    scipy.io.savemat(meta, {"synsets": synsets})
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        add(archive, "ILSVRC2012_devkit_t12/data/meta.mat", meta.getvalue())
        lines = "".join(f"{number}\n" for number in truth)
        add(
            archive,
            "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt",
            lines.encode(),
        )
    return data.getvalue()


def val_files():
    return {f"ILSVRC2012_val_{i + 1:08d}.JPEG": jpeg(9000 + i) for i in range(len(TRUTH))}


def write_archives(folder, train=None, val=None, kit=None, format=tarfile.USTAR_FORMAT):
    folder.mkdir(exist_ok=True)
    train = train_files() if train is None else train
    # The classes in another order than that of their names, as an archive may have them.
    inner = {
        wordnet_id + ".tar": tar_of(train[wordnet_id], format)
        for wordnet_id in sorted(train, reverse=True)
    }
    (folder / imagenet.TRAIN).write_bytes(tar_of(inner, format))
    (folder / imagenet.VAL).write_bytes(tar_of(val_files() if val is None else val, format))
    (folder / imagenet.DEVKIT).write_bytes(devkit_bytes() if kit is None else kit)
    return folder


@pytest.fixture
def source(tmp_path):
    return write_archives(tmp_path / "source")


@pytest.fixture(autouse=True)
def small_imagenet(monkeypatch):
    """The counts of these archives in the place of the real ones."""
    monkeypatch.setattr(devkit, "CLASSES", 4)
    monkeypatch.setattr(devkit, "TRAIN_IMAGES", sum(PER_CLASS))
    monkeypatch.setattr(devkit, "VAL_IMAGES", len(TRUTH))


def prepare(source, directory, *flags):
    return cli.main(["prepare", "imagenet", str(source), str(directory)] + list(flags))


def records(directory, name):
    """{where from: (label, payload)} of a split."""
    origins = [line.rstrip("\n").split("\t")[2] for line in open(directory / (name + ".lst"))]
    with RecordFile(directory / (name + ".rec")) as file:
        return {origin: file.read(i) for i, origin in enumerate(origins)}


def contents(directory):
    return {name: (directory / name).read_bytes() for name in os.listdir(directory)}


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_image_is_there_with_the_label_of_its_sorted_wordnet_id(tmp_path, format):
    source, files = write_archives(tmp_path / "source", format=format), train_files()
    assert prepare(source, tmp_path / "out") == 0
    found = records(tmp_path / "out", "train")
    assert len(found) == sum(PER_CLASS)
    changed = []
    for label, wordnet_id in enumerate(IDS):
        for name, image in files[wordnet_id].items():
            assert found[wordnet_id + "/" + name][0] == label
            if found[wordnet_id + "/" + name][1] != image:
                changed.append(name)
    assert sorted(changed) == ["n02105855_2.JPEG", "n03425413_0.JPEG"]  # the PNG and the CMYK one
    labels = (tmp_path / "out" / "labels.txt").read_text().splitlines()
    assert [line.split(" ", 1)[0] for line in labels] == IDS and labels[0].endswith("word 0, other")


def test_validation_labels_are_the_development_kits_mapped_by_its_own_numbers(source, tmp_path):
    assert prepare(source, tmp_path / "out") == 0
    found, files = records(tmp_path / "out", "val"), val_files()
    for i, number in enumerate(TRUTH):
        name = f"ILSVRC2012_val_{i + 1:08d}.JPEG"
        assert found[name] == (float(ILSVRC_IDS.index(number)), files[name])


def test_the_odd_images_become_jpegs_that_decode(source, tmp_path):
    assert prepare(source, tmp_path / "out") == 0
    for _, payload in records(tmp_path / "out", "train").values():
        assert payload[:3] == b"\xff\xd8\xff" and decode(payload).shape == (16, 20, 3)
        assert simplejpeg.decode_jpeg_header(payload)[2] in ("YCbCr", "Gray")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["splits"]["train"]["forms"] == {"kept": 28, "png": 1, "cmyk": 1}
    assert manifest["splits"]["train"]["per_class"] == PER_CLASS


@pytest.mark.skipif(
    shutil.which("jpegtran") is None, reason="needs jpegtran: apt-get install libjpeg-turbo-progs"
)
def test_every_image_can_have_restart_markers(source, tmp_path):
    assert prepare(source, tmp_path / "plain") == 0
    assert prepare(source, tmp_path / "marked", "--restart-marks") == 0  # the old spelling
    for name, form in (("train", {"marked": 28, "png": 1, "cmyk": 1}), ("val", {"marked": 10})):
        plain, marked = records(tmp_path / "plain", name), records(tmp_path / "marked", name)
        assert list(plain) == list(marked)
        for (label, payload), (same_label, same) in zip(plain.values(), marked.values()):
            assert (
                label == same_label and one_scan(same).interval and not one_scan(payload).interval
            )
            np.testing.assert_array_equal(decode(same), decode(payload))
        manifest = json.loads((tmp_path / "marked" / "manifest.json").read_text())
        assert manifest["splits"][name]["forms"] == form


def test_only_the_result_is_left(source, tmp_path):
    prepare(source, tmp_path / "out")
    assert sorted(os.listdir(tmp_path / "out")) == sorted(
        ["labels.txt", "manifest.json"]
        + [s + e for s in ("train", "val") for e in (".rec", ".idx", ".lst")]
    )


def test_training_images_are_shuffled_across_classes_by_the_seed(source, tmp_path):
    for name, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        prepare(source, tmp_path / name, "--seed", seed, "--workers", str(ord(name) - ord("a") + 1))
    a, b, c = (contents(tmp_path / name) for name in "abc")
    assert a == b and a["train.rec"] != c["train.rec"] and a["val.rec"] == c["val.rec"]
    labels = [label for label, _ in records(tmp_path / "a", "train").values()]
    assert sum(x != y for x, y in zip(labels, labels[1:])) > 10


def test_one_of_the_two_files_can_be_written_without_the_others_archive(source, tmp_path, capsys):
    (source / imagenet.TRAIN).unlink()
    assert prepare(source, tmp_path / "out") == 2
    assert imagenet.TRAIN in capsys.readouterr().err
    assert prepare(source, tmp_path / "out", "--only", "val") == 0
    assert not (tmp_path / "out" / "train.rec").exists()
    write_archives(source)
    assert prepare(source, tmp_path / "out", "--only", "train") == 0
    assert set(json.loads((tmp_path / "out" / "manifest.json").read_text())["splits"]) == {
        "train",
        "val",
    }


def test_missing_classes_and_images_are_named_and_allowed_on_demand(tmp_path, capsys):
    train, val = train_files(), val_files()
    del train["n03425413"]
    del train["n09999999"]["n09999999_5.JPEG"]
    del val["ILSVRC2012_val_00000004.JPEG"]
    source = write_archives(tmp_path / "source", train, val)
    assert prepare(source, tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert "class n03425413 is missing; class n09999999 has 7 images instead of 8" in said
    assert prepare(source, tmp_path / "out", "--only", "val") == 2
    assert "image 4 is missing" in capsys.readouterr().err
    assert prepare(source, tmp_path / "out", "--allow-partial") == 0
    assert {label for label, _ in records(tmp_path / "out", "train").values()} == {0.0, 1.0, 3.0}
    assert len(records(tmp_path / "out", "val")) == 9


def test_the_kit_has_to_be_that_of_2012(source, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(devkit, "TRAIN_IMAGES", 1281167)
    assert prepare(source, tmp_path / "out") == 2
    assert "1,281,167" in capsys.readouterr().err


@pytest.mark.parametrize(
    "kit, said",
    [
        (b"no archive", "cannot be read"),
        (devkit_bytes()[:-300], "ILSVRC2012_devkit_t12.tar.gz"),
        (tar_of({"data/other.txt": b"x"}), "has no meta.mat"),
        (
            tar_of({"data/meta.mat": b"x" * 300, "ILSVRC2012_validation_ground_truth.txt": b"1\n"}),
            "meta.mat cannot be read",
        ),
        (devkit_bytes(truth=[1, 2, 9]), "names a class that meta.mat lacks: 9"),
        (devkit_bytes(ids=["n00000001"] + IDS[1:]), "holds n01440764.tar, which is not a class"),
        (devkit_bytes(truth=TRUTH[:-1], counts=[6, 9, 7, 9]), "--allow-partial"),
    ],
)
def test_a_wrong_development_kit_is_named(tmp_path, capsys, kit, said):
    source = write_archives(tmp_path / "source", kit=kit)
    assert prepare(source, tmp_path / "out") == 2
    printed = capsys.readouterr().err
    assert said in printed and printed.count("\n") == 1


def test_a_development_kit_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch, capsys):
    packed = b"MATLAB 5.0".ljust(124) + b"\0\1IM"
    bomb = zlib.compress(bytes(1 << 22))
    packed += struct.pack("<II", 15, len(bomb)) + bomb
    truth = {"ILSVRC2012_validation_ground_truth.txt": b"1\n"}
    monkeypatch.setattr(devkit, "MOST_UNPACKED", 1 << 20)
    for kit in (
        gzip.compress(bytes(1 << 22)),
        bytes(1 << 22),
        gzip.compress(tar_of({"data/meta.mat": packed, **truth})),
    ):
        source = write_archives(tmp_path / "source", kit=kit)
        assert prepare(source, tmp_path / "out") == 2
        assert "holds more than 1,048,576 bytes" in capsys.readouterr().err


def test_the_metadata_of_an_archive_is_read_in_proportion_to_its_size():
    assert tar.pax(b"12 path=abc\n" * 80000 + b"10 size=7\n") == {"path": "abc", "size": 7}
    for damaged in (b"", b"x", b"99", b"0 a=b\n", b"-3 a=b\n", b" " * 99):
        assert tar.pax(damaged) == {}
    started = time.process_time()
    tar.pax(b"4 =\n" * (1 << 18))
    assert time.process_time() - started < 2


def test_a_name_too_long_for_any_file_is_refused_before_it_is_read(tmp_path):
    member = tarfile.TarInfo("long")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, 1 << 30
    (tmp_path / "a.tar").write_bytes(member.tobuf())
    os.truncate(tmp_path / "a.tar", 1 << 31)
    with open(tmp_path / "a.tar", "rb") as file:
        with pytest.raises(
            UserError, match="a.tar: damaged tar header at byte 0: a name of 107374"
        ):
            tar.members(file.fileno(), 0, 1 << 31, "a.tar")


def test_images_that_do_not_belong_to_the_validation_archive_are_named(tmp_path, capsys):
    for name in ("ILSVRC2012_val_00000011.JPEG", "ILSVRC2012_test_00000001.JPEG"):
        source = write_archives(tmp_path / "source", val={name: jpeg(0)})
        assert prepare(source, tmp_path / "out") == 2
        assert name in capsys.readouterr().err


def test_a_name_that_an_archive_holds_twice_is_refused(tmp_path, capsys):
    """Counted twice, or the later image under the other's label."""
    train, val = train_files(), val_files()
    source = write_archives(tmp_path / "source", train, {**val, "again/" + min(val): jpeg(1)})
    assert prepare(source, tmp_path / "out", "--allow-partial") == 2
    assert f"holds {min(val)} twice" in capsys.readouterr().err
    train[IDS[0]]["again/" + min(train[IDS[0]])] = jpeg(1)
    write_archives(source, train, val)
    assert prepare(source, tmp_path / "out", "--allow-partial") == 2
    assert f"(n01440764.tar inside): holds {min(train_files()[IDS[0]])} twice" in (
        capsys.readouterr().err
    )


def test_damaged_archives_are_named_with_the_place(source, tmp_path, capsys):
    whole = (source / imagenet.TRAIN).read_bytes()
    inner_header = whole.index(b"n09999999_3.JPEG")
    damaged = {
        whole[: len(whole) // 2]: "truncated",
        whole[:inner_header]
        + b"x"
        + whole[inner_header + 1 :]: "(n09999999.tar inside): no tar header",
        b"\0" * 10240: "holds no images",
        b"garbage" * 1000: "no tar header at byte 0",
        b"": "is empty",
    }
    for content, said in damaged.items():
        (source / imagenet.TRAIN).write_bytes(content)
        assert prepare(source, tmp_path / "out", "--allow-partial") == 2
        printed = capsys.readouterr().err
        assert said in printed and imagenet.TRAIN in printed


def test_broken_images_are_named_by_class_and_file(tmp_path, capsys):
    train = train_files()
    train["n01440764"]["n01440764_3.JPEG"] = jpeg(3)[:-100]
    source = write_archives(tmp_path / "source", train)
    assert prepare(source, tmp_path / "out") == 2
    assert "n01440764/n01440764_3.JPEG: " in capsys.readouterr().err
    assert prepare(source, tmp_path / "out", "--skip-broken") == 0
    assert len(records(tmp_path / "out", "train")) == sum(PER_CLASS) - 1


def test_md5_sums_are_compared_when_asked_for(source, tmp_path, monkeypatch, capsys):
    assert prepare(source, tmp_path / "out", "--md5") == 2
    assert "1d675b47d978889d74fa0da5fadfb00e" in capsys.readouterr().err
    import hashlib

    sums = {name: hashlib.md5((source / name).read_bytes()).hexdigest() for name in imagenet.MD5}
    monkeypatch.setattr(imagenet, "MD5", sums)
    assert prepare(source, tmp_path / "out", "--md5") == 0


def test_resized_and_interrupted_nowhere_is_the_same_for_any_number_of_threads(source, tmp_path):
    for workers in "13":
        prepare(
            source, tmp_path / workers, "--resize", "8", "--quality", "70", "--workers", workers
        )
    assert contents(tmp_path / "1") == contents(tmp_path / "3")


def test_the_headers_are_read_once_even_when_interrupted(source, tmp_path, monkeypatch):
    convert = imagenet.images.normal_form

    class Interrupted(BaseException):
        pass

    def interrupted(*_args, **_kwargs):
        raise Interrupted

    monkeypatch.setattr(imagenet.images, "normal_form", interrupted)
    with pytest.raises(Interrupted):
        prepare(source, tmp_path / "out")
    monkeypatch.setattr(imagenet.images, "normal_form", convert)
    scans, scan = [], imagenet.scan_train
    monkeypatch.setattr(imagenet, "scan_train", lambda *args: scans.append(1) or scan(*args))
    assert prepare(source, tmp_path / "out", "--seed", "0") == 0 and not scans


def test_kept_headers_are_those_of_the_same_archive_only(source, tmp_path):
    cache, path = str(tmp_path / "kept.npz"), str(source / imagenet.TRAIN)
    members = ["a", "n\u00e4me"], np.array([0, 1]), np.array([512, 2048]), np.array([7, 8])
    imagenet.keep_members(cache, path, *members)
    for kept, given in zip(imagenet.recall_members(cache, path), members):
        assert list(kept) == list(given)
    os.utime(path, (0, 0))
    assert imagenet.recall_members(cache, path) is None
    imagenet.keep_members(cache, path, *members)
    os.truncate(cache, os.path.getsize(cache) // 2)
    assert imagenet.recall_members(cache, path) is None
    assert imagenet.recall_members(cache + ".missing", path) is None


@pytest.mark.slow
def test_a_run_killed_again_and_again_ends_with_the_bytes_of_an_undisturbed_one(tmp_path):
    source = write_archives(tmp_path / "source", train_files(scale=20))
    flags = [str(source), "--allow-partial", "--resize", "12", "--workers", "3"]
    slow = (
        "import sys, time\n"
        "from gluon_tricks import cli\n"
        "from gluon_tricks.data.prepare import conversion, images\n"
        "conversion.SYNC_EVERY, quick = 0.02, images.normal_form\n"
        "def normal_form(*args, **kwargs):\n"
        "    time.sleep(0.01)\n"
        "    return quick(*args, **kwargs)\n"
        "images.normal_form = normal_form\n"
        "sys.exit(cli.main(['prepare', 'imagenet'] + sys.argv[1:]))\n"
    )
    assert cli.main(["prepare", "imagenet", flags[0], str(tmp_path / "whole")] + flags[1:]) == 0
    command = [sys.executable, "-c", slow, flags[0], str(tmp_path / "out")] + flags[1:]
    state, places = tmp_path / "out" / "train.rec.state", []
    for kill in range(3):
        process = subprocess.Popen(command, start_new_session=True)
        try:
            limit = time.monotonic() + 60
            while time.monotonic() < limit and process.poll() is None:
                done = json.loads(state.read_text())["done"] if state.exists() else 0
                if done > (places[-1] if places else 0) + 60:
                    break
                time.sleep(0.01)
            assert process.poll() is None, "it ended before it could be killed"
        finally:
            with_group(process, signal.SIGKILL)
        places.append(json.loads(state.read_text())["done"])
    assert places == sorted(set(places)) and places[-1] < 600
    assert not (tmp_path / "out" / "train.rec").exists()
    subprocess.run(command, check=True, timeout=120)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def with_group(process, number):
    """End a process and those it started."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass
    process.wait(timeout=30)


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_those_that_pythons_tarfile_finds(tmp_path, format):
    path = tmp_path / "a.tar"
    files = {
        "plain": b"1",
        "empty": b"",
        "a/b/" + "long" * (20 if format == tarfile.USTAR_FORMAT else 60): b"22" * 600,
    }
    if format != tarfile.USTAR_FORMAT:
        files["n\u00e4me"] = b"3" * 512
    with tarfile.open(path, "w", format=format) as archive:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, data in files.items():
            add(archive, name, data)
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "plain"
        archive.addfile(link)
    with tarfile.open(path) as archive:
        expected = [(m.name, m.offset_data, m.size) for m in archive if m.isfile()]
    with open(path, "rb") as file:
        assert tar.members(file.fileno(), 0, os.path.getsize(path), str(path)) == expected
        assert [os.pread(file.fileno(), size, offset) for _, offset, size in expected] == list(
            files.values()
        )


def test_a_tar_damaged_anywhere_gives_members_or_a_named_error(tmp_path):
    whole = tar_of({"a": b"1" * 700, "b" * 120: b"2" * 100}, tarfile.GNU_FORMAT)
    random, outcomes = np.random.RandomState(0), collections.Counter()
    path = tmp_path / "damaged.tar"
    for _ in range(300):
        content = bytearray(whole)
        place = random.randint(len(content))
        if random.randint(3):
            content[place] = random.randint(256)
        else:
            del content[place:]
        path.write_bytes(content)
        with open(path, "rb") as file:
            try:
                tar.members(file.fileno(), 0, len(content), str(path))
                outcomes["read"] += 1
            except UserError as error:
                assert "damaged.tar: " in str(error)
                outcomes["refused"] += 1
    assert outcomes["refused"] > 30 and outcomes["read"] > 30
