"""``gluon-tricks prepare food101``, ``flowers``, ``cars``, ``aircraft`` and ``pets`` on folders of
the official form, with tiny images.
"""

import os
import struct
import zlib

import numpy as np
import pytest
import scipy.io
import simplejpeg

from gluon_tricks import cli
from gluon_tricks.commands.prepare import DATA_SETS
from gluon_tricks.data.prepare import listed
from gluon_tricks.data.records import RecordFile

# Of each set three classes, and for each split the files with their labels.
CLASSES = {
    "food101": ["apple_pie", "beignets", "waffles"],
    "flowers": ["1", "2", "3"],
    "cars": ["AM General Hummer SUV 2000", "Ram C/V Cargo Van 2012", "smart fortwo 2012"],
    "aircraft": ["707-320", "F/A-18", "Model B200"],
    "pets": ["Abyssinian", "great_pyrenees", "yorkshire_terrier"],
}
FILES = {
    "food101": {
        "train": {f"images/{name}/{i}.jpg": i % 3 for i, name in enumerate(CLASSES["food101"] * 2)},
        "val": {f"images/{name}/9.jpg": i for i, name in enumerate(CLASSES["food101"])},
    },
    "flowers": {
        "train": {f"jpg/image_{i:05d}.jpg": (i * 2) % 3 for i in (1, 3, 4, 7)},
        "val": {f"jpg/image_{i:05d}.jpg": (i * 2) % 3 for i in (2, 5, 6)},
    },
    "cars": {
        "train": {f"cars_train/{i:05d}.jpg": i % 3 for i in range(1, 6)},
        "val": {f"cars_test/{i:05d}.jpg": (i + 1) % 3 for i in range(1, 4)},
    },
    "aircraft": {
        "train": {f"data/images/{1000 + i}.jpg": i % 3 for i in range(5)},
        "val": {f"data/images/{2000 + i}.jpg": i % 3 for i in range(3)},
    },
    "pets": {
        "train": {f"images/{CLASSES['pets'][i % 3]}_{i}.jpg": i % 3 for i in range(5)},
        "val": {f"images/{CLASSES['pets'][i]}_10{i}.jpg": i for i in range(3)},
    },
}


def jpeg(name):
    random = np.random.RandomState(zlib.crc32(name.encode()))
    return simplejpeg.encode_jpeg(random.randint(0, 255, (16, 16, 3)).astype(np.uint8), 90)


def write(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines))


def write_food101(folder, files):
    for name, file in (("train", "train.txt"), ("val", "test.txt")):
        write(folder / "meta" / file, [path[len("images/") : -4] for path in files[name]])
    write(folder / "meta" / "classes.txt", CLASSES["food101"])


def write_flowers(folder, files):
    number = {path: int(path[-9:-4]) for name in files for path in files[name]}
    labels = np.zeros(max(number.values()), np.uint8)
    for found in files.values():
        for path, label in found.items():
            labels[number[path] - 1] = label + 1
    scipy.io.savemat(folder / "imagelabels.mat", {"labels": labels[None]})
    train, val = ([number[path] for path in files[name]] for name in ("train", "val"))
    sets = dict(trnid=train[::2], valid=train[1::2], tstid=val)
    sets = {name: np.array(numbers, np.uint16)[None] for name, numbers in sets.items()}
    scipy.io.savemat(folder / "setid.mat", sets)


def write_cars(folder, files):
    (folder / "devkit").mkdir(exist_ok=True)
    meta = np.array(CLASSES["cars"], dtype=object)[None]
    scipy.io.savemat(folder / "devkit" / "cars_meta.mat", {"class_names": meta})
    kind = [(name, object) for name in ("bbox_x1", "class", "fname")]
    for name, file in (
        ("train", folder / "devkit" / "cars_train_annos.mat"),
        ("val", folder / "cars_test_annos_withlabels.mat"),
    ):
        rows = [(7, label + 1, os.path.basename(path)) for path, label in files[name].items()]
        scipy.io.savemat(file, {"annotations": np.array(rows, kind)[None]}, do_compression=True)


def write_aircraft(folder, files):
    write(folder / "data" / "variants.txt", CLASSES["aircraft"])
    for name, file in (("train", "trainval"), ("val", "test")):
        lines = [f"{p[-8:-4]} {CLASSES['aircraft'][label]}" for p, label in files[name].items()]
        write(folder / "data" / f"images_variant_{file}.txt", lines)


def write_pets(folder, files):
    for name, file in (("train", "trainval.txt"), ("val", "test.txt")):
        lines = [f"{path[7:-4]} {label + 1} 2 1" for path, label in files[name].items()]
        write(folder / "annotations" / file, ["#Image CLASS-ID SPECIES BREED ID", *lines])


LISTS = dict(
    food101=write_food101,
    flowers=write_flowers,
    cars=write_cars,
    aircraft=write_aircraft,
    pets=write_pets,
)


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A function that writes a set, and returns its folder."""

    def make(name):
        counts = {split: len(found) for split, found in FILES[name].items()}
        monkeypatch.setattr(DATA_SETS[name], "PUBLISHED", listed.Published(classes=3, **counts))
        folder = tmp_path / "source"
        for found in FILES[name].values():
            for path in found:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(jpeg(path))
        LISTS[name](folder, FILES[name])
        return folder

    return make


def prepare(name, source, *flags):
    return cli.main(["prepare", name, str(source), str(source.parent / "out"), *flags])


def records(out, name):
    """{where from: (label, payload)}, in the order of the file."""
    origins = [line.split("\t")[2] for line in (out / f"{name}.lst").read_text().splitlines()]
    with RecordFile(out / f"{name}.rec") as file:
        return {origin: file.read(i) for i, origin in enumerate(origins)}


def refused(capsys, name, folder, *flags):
    """What is said of a set that is refused, in one line."""
    assert prepare(name, folder, *flags) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1, printed
    return printed


@pytest.mark.parametrize("name", LISTS)
def test_images_have_the_labels_and_the_split_of_the_sets_own_lists(source, name):
    folder = source(name)
    (folder / "unlisted.jpg").write_bytes(b"no image")
    assert prepare(name, folder) == 0
    out = folder.parent / "out"
    for split, found in FILES[name].items():
        expected = {path: (float(label), jpeg(path)) for path, label in found.items()}
        assert records(out, split) == expected
    assert list(records(out, "val")) == sorted(FILES[name]["val"])
    assert (out / "labels.txt").read_text().splitlines() == CLASSES[name]


def test_the_published_counts_are_those_of_other_programs():
    """Those in assembled-cnn's functions/data_config.py; torchvision's docs repeat some."""
    assert {name: tuple(DATA_SETS[name].PUBLISHED) for name in LISTS} == dict(
        food101=(101, 75750, 25250),
        flowers=(102, 2040, 6149),
        cars=(196, 8144, 8041),
        aircraft=(100, 6667, 3333),
        pets=(37, 3680, 3669),
    )


@pytest.mark.parametrize("name", LISTS)
def test_a_missing_image_is_named_or_left_out_if_asked(source, capsys, name):
    folder = source(name)
    missing = max(FILES[name]["train"])
    (folder / missing).unlink()
    os.mkfifo(folder / missing)  # which would wait for ever
    said = refused(capsys, name, folder)
    assert missing in said and "--allow-partial" in said
    assert prepare(name, folder, "--allow-partial") == 0
    assert set(records(folder.parent / "out", "train")) == set(FILES[name]["train"]) - {missing}


@pytest.mark.parametrize("name", LISTS)
def test_lists_that_are_shorter_than_published_are_refused(source, capsys, name):
    folder = source(name)
    train = dict(list(FILES[name]["train"].items())[1:])
    LISTS[name](folder, dict(FILES[name], train=train))
    assert f"{len(train)} train images instead of {len(train) + 1}" in refused(capsys, name, folder)


# the images of cars lie in two folders
@pytest.mark.parametrize("name", sorted(set(LISTS) - {"cars"}))
def test_an_image_that_is_listed_for_training_and_for_the_test_is_refused(source, capsys, name):
    folder = source(name)
    train = FILES[name]["train"]
    LISTS[name](folder, dict(FILES[name], val=dict(list(train.items())[:1])))
    assert f"{min(train)} is listed for training and for the test" in refused(capsys, name, folder)


@pytest.mark.parametrize(
    "name, file, lines, said",
    [
        ("food101", "meta/test.txt", ["waffles/9", "waffles/9"], "has images/waffles/9.jpg twice"),
        ("food101", "meta/test.txt", ["soup/1"], "soup/1 is of a class that is not in classes.txt"),
        ("food101", "meta/test.txt", ["waffles/../../../x"], "lies outside the folder"),
        ("food101", "meta/classes.txt", ["apple_pie"], "is of a class that is not in classes.txt"),
        ("aircraft", "data/images_variant_test.txt", ["2000 Boeing"], "not in variants.txt"),
        ("aircraft", "data/images_variant_test.txt", ["/etc/x Model B200"], "missing"),
        ("aircraft", "data/variants.txt", [*CLASSES["aircraft"], "X"], "4 classes instead of 3"),
        ("pets", "annotations/test.txt", ["Abyssinian_1 one"], "is not 'BREED_NUMBER CLASS ...'"),
        ("pets", "annotations/test.txt", ["Abyssinian_1 2"], "has the class of great_pyrenees"),
        ("pets", "annotations/test.txt", ["pug_1 4"], "lists 4 classes instead of 3"),
    ],
)
def test_what_is_wrong_in_a_list_is_named(source, capsys, name, file, lines, said):
    folder = source(name)
    write(folder / file, lines)
    assert said in refused(capsys, name, folder)


@pytest.mark.parametrize("name", ["flowers", "cars"])
def test_a_class_that_is_none_is_named(source, capsys, name):
    folder = source(name)
    first = min(FILES[name]["train"])
    LISTS[name](folder, dict(FILES[name], train=dict(FILES[name]["train"], **{first: 3})))
    assert f"{first} is listed with the class 4, of 1 to 3" in refused(capsys, name, folder)


@pytest.mark.parametrize(
    "name, file, found, said",
    [
        ("flowers", "setid.mat", dict(trnid=[9], valid=[1], tstid=[2]), "image 9 has no label"),
        ("flowers", "setid.mat", dict(trnid=[1], tstid=[2]), "has no valid"),
        ("flowers", "imagelabels.mat", dict(labels=[1, np.nan]), "something other than a number"),
        ("flowers", "imagelabels.mat", dict(labels=np.array(["a", "b"])), "something other than a"),
        ("cars", "devkit/cars_meta.mat", dict(other=[1]), "has no class_names"),
        ("cars", "cars_test_annos_withlabels.mat", dict(annotations=[1]), "have no fname and"),
    ],
)
def test_what_is_wrong_in_a_mat_file_is_named(source, capsys, name, file, found, said):
    folder = source(name)
    scipy.io.savemat(folder / file, found)
    assert said in refused(capsys, name, folder)


def test_a_file_that_is_no_list_is_named(source, capsys, monkeypatch):
    folder = source("flowers")
    whole = (folder / "setid.mat").read_bytes()
    bomb = zlib.compress(bytes(1 << 22))
    packed = b"MATLAB 5.0".ljust(124) + b"\0\1IM" + struct.pack("<II", 15, len(bomb)) + bomb
    monkeypatch.setattr(listed, "MOST_OF_A_LIST", 1 << 20)
    for data, said in (
        (whole[:150], "setid.mat cannot be read"),
        (packed, "setid.mat holds more than 1,048,576 bytes"),
        (bytes((1 << 20) + 1), "has 1,048,577 bytes; at most 1,048,576 are read"),
        (b"", "is empty"),
    ):
        (folder / "setid.mat").write_bytes(data)
        assert said in refused(capsys, "flowers", folder)
    (folder / "setid.mat").unlink()
    assert "setid.mat: cannot be read: No such file" in refused(capsys, "flowers", folder)


def test_cars_test_list_may_lie_in_the_devkit(source):
    folder = source("cars")
    name = "cars_test_annos_withlabels.mat"
    (folder / name).rename(folder / "devkit" / name)
    assert prepare("cars", folder) == 0


def test_flowers_may_have_names(source):
    folder = source("flowers")
    write(folder / "names.txt", ["pink primrose", "pocket orchid", "bird of paradise"])
    assert prepare("flowers", folder, "--class-names", str(folder / "names.txt")) == 0
    labels = (folder.parent / "out" / "labels.txt").read_text()
    assert labels == "pink primrose\npocket orchid\nbird of paradise\n"
