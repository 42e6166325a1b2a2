"""``gluon-tricks prepare places365`` on archives of the official form, with tiny images."""

import hashlib

import numpy as np
import pytest
import simplejpeg
from source_files import write_tar

from gluon_tricks import cli
from gluon_tricks.data.prepare import places365
from gluon_tricks.data.records import RecordFile

CLASSES = ["/a/airfield", "/a/apartment_building/outdoor", "/b/bog"]
PER_CLASS = [3, 2, 4]
VAL = [2, 0, 1, 1]


def jpeg(seed):
    image = np.random.RandomState(seed).randint(0, 255, (16, 16, 3)).astype(np.uint8)
    return simplejpeg.encode_jpeg(image, 90)


def train_files():
    return {
        f"data_256{name}/{i + 1:08d}.jpg": jpeg(10 * label + i)
        for label, (name, count) in enumerate(zip(CLASSES, PER_CLASS))
        for i in range(count)
    }


def val_files():
    return {f"val_256/Places365_val_{i + 1:08d}.jpg": jpeg(100 + i) for i in range(len(VAL))}


def lists():
    names = [name.rsplit("/")[-1] for name in val_files()]
    return {
        places365.CATEGORIES: "".join(f"{name} {i}\n" for i, name in enumerate(CLASSES)),
        places365.VAL: "".join(f"{name} {label}\n" for name, label in zip(names, VAL)),
        "places365_train_standard.txt": "not read\n",
    }


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setattr(places365, "CLASSES", 3)
    monkeypatch.setattr(places365, "IMAGES", {"train": sum(PER_CLASS), "val": len(VAL)})
    (tmp_path / "source").mkdir()
    for name, files in (
        (places365.ARCHIVES["small"]["train"], train_files()),
        (places365.ARCHIVES["small"]["val"], val_files()),
        (places365.LISTS, lists()),
    ):
        write_tar(tmp_path / "source" / name, files)
    return tmp_path / "source"


def prepare(source, *flags):
    return cli.main(["prepare", "places365", str(source), str(source.parent / "out"), *flags])


def records(source, name):
    """{where from: (label, payload)}."""
    out = source.parent / "out"
    origins = [line.split("\t")[2] for line in (out / f"{name}.lst").read_text().splitlines()]
    with RecordFile(out / f"{name}.rec") as file:
        return {origin: file.read(i) for i, origin in enumerate(origins)}


def test_labels_are_those_of_the_folders_and_of_the_list(source):
    assert prepare(source) == 0
    train, val = records(source, "train"), records(source, "val")
    assert train == {
        name[len("data_256") :]: (float(CLASSES.index(name[len("data_256") : -13])), data)
        for name, data in train_files().items()
    }
    expected = (name.rsplit("/")[-1] for name in val_files())
    assert list(val) == list(expected) and [label for label, _ in val.values()] == VAL
    assert [payload for _, payload in val.values()] == list(val_files().values())
    out = source.parent / "out"
    assert (out / "labels.txt").read_text().splitlines() == [name[1:] for name in CLASSES]
    assert not (out / "train.members.npz").exists()


@pytest.mark.parametrize(
    "archive, files, said",
    [
        ("train", {**train_files(), "data_256/a/unknown/1.jpg": b""}, "in the folder of no class"),
        ("train", dict(list(train_files().items())[1:]), "8 train images instead of 9"),
        ("val", dict(list(val_files().items())[1:]), "3 val images instead of 4; --allow-partial"),
        ("val", {**val_files(), "val_256/Places365_val_00000009.jpg": b""}, "which is not in"),
    ],
)
def test_what_does_not_belong_there_is_named(source, capsys, archive, files, said):
    write_tar(source / places365.ARCHIVES["small"][archive], files)
    assert prepare(source) == 2
    printed = capsys.readouterr().err
    assert said in printed and printed.count("\n") == 1
    if "instead of" in said:
        assert prepare(source, "--allow-partial") == 0
        assert len(records(source, archive)) == len(files)


@pytest.mark.parametrize(
    "name, text, said",
    [
        (places365.CATEGORIES, "/a/airfield 0\n/b/bog 2\n/c/x 1\n", "does not number 3 classes"),
        (places365.CATEGORIES, "/a/airfield\n", "line 1 of categories_places365.txt is not"),
        (places365.VAL, "Places365_val_00000001.jpg 3\n", "a class that is not one of 3"),
        (places365.VAL, "a.jpg 1\na.jpg 1\n", "has a.jpg twice"),
    ],
)
def test_wrong_lists_are_named(source, capsys, name, text, said):
    write_tar(source / places365.LISTS, {**lists(), name: text})
    assert prepare(source) == 2
    assert said in capsys.readouterr().err


def test_one_file_alone_the_large_images_and_the_checksums(source, monkeypatch, capsys):
    (source / places365.ARCHIVES["small"]["train"]).unlink()
    assert prepare(source) == 2
    assert "train_256_places365standard.tar: missing" in capsys.readouterr().err
    assert prepare(source, "--only", "val", "--md5") == 2
    assert places365.MD5["val_256.tar"] in capsys.readouterr().err
    sums = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in source.iterdir()}
    monkeypatch.setattr(places365, "MD5", sums)
    assert prepare(source, "--only", "val", "--md5") == 0
    write_tar(source / places365.ARCHIVES["large"]["val"], val_files())
    assert prepare(source, "--only", "val", "--large") == 0
