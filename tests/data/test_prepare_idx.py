"""``gluon-tricks prepare idx`` and ``digits``: data sets that become PNGs."""

import gzip
import json
import struct
import sys

import cv2
import mxnet as mx
import numpy as np
import pytest
from sklearn.datasets import load_digits

from gluon_tricks import cli
from gluon_tricks.data.decode import decode
from gluon_tricks.data.records import RecordFile, index_path_of


def idx_bytes(array):
    return (
        struct.pack(">HBB", 0, 8, array.ndim)
        + struct.pack(f">{array.ndim}I", *array.shape)
        + array.tobytes()
    )


def write_idx(folder, packed, images=(60, 20), shape=(28, 28)):
    """A data set of (training, test) random images; returns {"train": (images, labels), "val":
    ...}.
    """
    folder.mkdir(exist_ok=True)
    random, made = np.random.RandomState(0), {}
    for name, prefix, count in zip(("train", "val"), ("train", "t10k"), images):
        pixels = random.randint(0, 256, (count,) + shape).astype(np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        for what, array in ((f"images-idx{pixels.ndim}", pixels), ("labels-idx1", labels)):
            path = folder / "{}-{}-ubyte{}".format(prefix, what, ".gz" if packed else "")
            path.write_bytes(gzip.compress(idx_bytes(array)) if packed else idx_bytes(array))
        made[name] = pixels, labels
    return made


def decoded(path):
    """[(label, RGB image)] of a file."""
    with RecordFile(path) as file:
        return [(label, decode(payload)) for label, payload in map(file.read, range(len(file)))]


@pytest.mark.parametrize("packed", [False, True])
def test_every_pixel_and_label_of_idx_files_comes_back(tmp_path, packed):
    made = write_idx(tmp_path / "source", packed)
    assert cli.main(["prepare", "idx", str(tmp_path / "source"), str(tmp_path / "out")]) == 0
    for name, (pixels, labels) in made.items():
        found = decoded(tmp_path / "out" / (name + ".rec"))
        assert sorted((label, image[:, :, 0].tobytes()) for label, image in found) == sorted(
            (float(label), image.tobytes()) for label, image in zip(labels, pixels)
        )
    assert [label for label, _ in found] == made["val"][1].tolist()
    assert (tmp_path / "out" / "labels.txt").read_text().split() == [str(i) for i in range(10)]


def write_emnist(folder, name="letters"):
    """Files of the published form: transposed images; the letters' labels begin with 1."""
    folder.mkdir(exist_ok=True)
    images = np.random.RandomState(0).randint(0, 256, (26, 28, 28)).astype(np.uint8)
    for part in ("train", "test"):
        arrays = {
            "images-idx3": np.ascontiguousarray(images.transpose(0, 2, 1)),
            "labels-idx1": np.arange(1, 27, dtype=np.uint8),
        }
        for what, array in arrays.items():
            (folder / f"emnist-{name}-{part}-{what}-ubyte.gz").write_bytes(
                gzip.compress(idx_bytes(array))
            )
    lines = "".join(f"{i} {64 + i} {96 + i}\n" for i in range(1, 27))
    (folder / f"emnist-{name}-mapping.txt").write_text(lines)
    return images


def test_emnist_becomes_upright_letters_of_26_classes(tmp_path, capsys):
    images = write_emnist(tmp_path / "source")
    prepare = ["prepare", "idx", str(tmp_path / "source"), str(tmp_path / "out")]
    assert cli.main(prepare) == 0
    found = decoded(tmp_path / "out" / "val.rec")
    assert [label for label, _ in found] == list(range(26))
    np.testing.assert_array_equal([image[:, :, 0] for _, image in found], images)
    assert (tmp_path / "out" / "labels.txt").read_text().split()[:3] == ["Aa", "Bb", "Cc"]
    (tmp_path / "source" / "emnist-letters-mapping.txt").unlink()
    assert cli.main(prepare) == 0
    assert (tmp_path / "out" / "labels.txt").read_text().split()[:3] == ["1", "2", "3"]
    write_emnist(tmp_path / "source", "digits")
    assert cli.main(prepare) == 2
    assert "choose one with --emnist: digits, letters" in capsys.readouterr().err
    assert cli.main(prepare + ["--emnist", "letters"]) == 0
    assert cli.main(prepare + ["--emnist", "byclass"]) == 2


def test_a_class_without_images_is_named(tmp_path, capsys):
    write_idx(tmp_path / "source", False)
    path = tmp_path / "source" / "train-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes().replace(b"\x03", b"\x04"))
    assert cli.main(["prepare", "idx", str(tmp_path / "source"), str(tmp_path / "out")]) == 2
    assert "the class with label 3 has no training images" in capsys.readouterr().err


def test_a_packed_file_that_becomes_far_larger_is_refused_before_it_is_unpacked(tmp_path, capsys):
    write_idx(tmp_path / "source", False)
    path = tmp_path / "source" / "train-images-idx3-ubyte"
    path.unlink()
    header = struct.pack(">HBBIII", 0, 8, 3, 200, 1000, 1000)
    path.with_suffix(".gz").write_bytes(gzip.compress(header + bytes(1 << 16)))
    assert cli.main(["prepare", "idx", str(tmp_path / "source"), str(tmp_path / "out")]) == 2
    assert "announces 200000000 bytes" in capsys.readouterr().err


def test_idx_images_in_colour_come_back(tmp_path):
    made = write_idx(tmp_path / "source", False, shape=(8, 9, 3))
    assert cli.main(["prepare", "idx", str(tmp_path / "source"), str(tmp_path / "out")]) == 0
    found = decoded(tmp_path / "out" / "val.rec")
    np.testing.assert_array_equal([image for _, image in found], made["val"][0])


def test_names_of_the_classes_can_be_given(tmp_path, capsys):
    write_idx(tmp_path / "source", False)
    names = tmp_path / "names.txt"
    names.write_text("\n".join(f"class {i}" for i in range(10)))
    flags = ["--class-names", str(names)]
    assert (
        cli.main(["prepare", "idx", str(tmp_path / "source"), str(tmp_path / "out")] + flags) == 0
    )
    assert (tmp_path / "out" / "labels.txt").read_text().startswith("class 0\nclass 1\n")
    names.write_text("\n".join(f"other {i}" for i in range(10)))
    assert (
        cli.main(["prepare", "idx", str(tmp_path / "source"), str(tmp_path / "out")] + flags) == 0
    )
    assert (tmp_path / "out" / "labels.txt").read_text().startswith("other 0\n")
    names.write_text("\n".join(f"class {i}" for i in range(11)))
    assert (
        cli.main(["prepare", "idx", str(tmp_path / "source"), str(tmp_path / "out")] + flags) == 0
    )
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["classes"] == len(manifest["splits"]["train"]["per_class"]) == 11
    names.write_text("one\n")
    assert (
        cli.main(["prepare", "idx", str(tmp_path / "source"), str(tmp_path / "out")] + flags) == 2
    )
    assert "1 names" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name, content, said",
    [
        ("train-images-idx3-ubyte", b"", "is not an idx file"),
        (
            "train-images-idx3-ubyte",
            b"\0\0\x0d\3" + bytes(100),
            "is not an idx file of unsigned bytes",
        ),
        (
            "train-images-idx3-ubyte",
            idx_bytes(np.zeros((60, 28, 28), np.uint8))[:-1],
            "holds fewer values",
        ),
        (
            "train-images-idx3-ubyte",
            idx_bytes(np.zeros((60, 28, 28), np.uint8)) + b"x",
            "holds more values",
        ),
        (
            "train-images-idx3-ubyte",
            b"\0\0\x08\3\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\1",
            "announces",
        ),
        ("train-images-idx3-ubyte", b"\0\0\x08\3\0", "cannot be read"),
        ("train-labels-idx1-ubyte", idx_bytes(np.zeros(59, np.uint8)), "60 images"),
        ("train-labels-idx1-ubyte", idx_bytes(np.zeros((60, 2), np.uint8)), "do not go together"),
        ("t10k-images-idx3-ubyte", None, "has no t10k-images-idx3-ubyte"),
    ],
)
def test_damaged_idx_files_are_named(tmp_path, capsys, name, content, said):
    write_idx(tmp_path / "source", False)
    if content is None:
        (tmp_path / "source" / name).unlink()
    else:
        (tmp_path / "source" / name).write_bytes(content)
    assert cli.main(["prepare", "idx", str(tmp_path / "source"), str(tmp_path / "out")]) == 2
    printed = capsys.readouterr().err
    assert said in printed and printed.count("\n") == 1


def test_a_damaged_gz_is_named(tmp_path, capsys):
    write_idx(tmp_path / "source", True)
    path = tmp_path / "source" / "train-images-idx3-ubyte.gz"
    for damaged in (path.read_bytes()[:-100], b"no gzip", path.read_bytes()[:50] + b"x" * 100):
        path.write_bytes(damaged)
        assert cli.main(["prepare", "idx", str(tmp_path / "source"), str(tmp_path / "out")]) == 2
        assert "train-images-idx3-ubyte.gz" in capsys.readouterr().err


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    assert cli.main(["prepare", "digits", str(folder)]) == 0
    return folder


def test_the_digits_split_is_stratified_complete_and_fixed(digits):
    train, val = (decoded(digits / (name + ".rec")) for name in ("train", "val"))
    assert (len(train), len(val)) == (1442, 355)
    labels = load_digits().target
    for digit in range(10):
        held_out = sum(label == digit for label, _ in val)
        assert held_out == (labels == digit).sum() // 5
    origins = [
        int(line.rsplit("/")[-1])
        for name in ("train", "val")
        for line in open(digits / (name + ".lst"))
    ]
    assert sorted(origins) == list(range(1797))
    assert sorted(origins[1442:])[:8] == [1, 4, 5, 8, 12, 18, 19, 20]


def test_each_digit_is_its_8x8_pixels_made_larger(digits):
    data = load_digits()
    with RecordFile(digits / "val.rec") as file:
        origins = [int(line.rsplit("/")[-1]) for line in open(digits / "val.lst")]
        for position in range(0, len(file), 20):
            label, payload = file.read(position)
            image = decode(payload)
            assert image.shape == (32, 32, 3) and label == data.target[origins[position]]
            small = cv2.resize(
                image[:, :, 0].astype(np.float32), (8, 8), interpolation=cv2.INTER_AREA
            )
            assert np.abs(small - data.images[origins[position]] * (255 / 16)).mean() < 20


def test_image_record_iter_decodes_the_digits_like_our_decoder(digits):
    path = str(digits / "val.rec")
    batches = mx.io.ImageRecordIter(
        path_imgrec=path, path_imgidx=index_path_of(path), data_shape=(3, 32, 32), batch_size=5
    )
    batch = batches.next()
    for (label, image), theirs, their_label in zip(
        decoded(path), batch.data[0].asnumpy(), batch.label[0].asnumpy()
    ):
        np.testing.assert_array_equal(theirs.transpose(1, 2, 0), image)
        assert label == their_label


def test_without_scikit_learn_the_message_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    assert cli.main(["prepare", "digits", str(tmp_path / "out")]) == 2
    assert "pip install scikit-learn" in capsys.readouterr().err
