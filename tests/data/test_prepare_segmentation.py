"""``gluon-tricks prepare segmentation`` and ``prepare ade20k`` on tiny made-up data."""

import hashlib
import io
import json
import os
import zipfile

import mxnet as mx
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from gluon_tricks import cli
from gluon_tricks.data.mask_files import IGNORED
from gluon_tricks.data.prepare import ade20k, zip_archive
from gluon_tricks.data.prepare.images import encode_png
from gluon_tricks.errors import UserError

VOC = np.random.RandomState(7).randint(0, 256, 768).tolist()  # a palette


def size_of(seed):
    return 12 + seed % 5, 16 + seed % 3


def jpeg(seed, size=None):
    shape = (*(size or size_of(seed)), 3)
    return simplejpeg.encode_jpeg(np.random.RandomState(seed).randint(0, 255, shape, np.uint8), 90)


def mask_of(seed, classes, size=None):
    """Classes of a random mask, a part of which is ignored."""
    mask = np.random.RandomState(seed).randint(0, classes, size or size_of(seed)).astype(np.uint8)
    mask[: 1 + seed % 4] = IGNORED
    return mask


def palette_png(mask):
    image = Image.fromarray(mask, "L").copy()
    image.putpalette(VOC)
    data = io.BytesIO()
    image.save(data, "png")
    return data.getvalue()


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@pytest.fixture
def source(tmp_path):
    """Eight images with masks of three classes, in folders inside; half have a palette."""
    for seed in range(8):
        encode = palette_png if seed % 2 else encode_png
        write(tmp_path / "images" / f"f{seed % 2}" / f"{seed}.jpg", jpeg(seed))
        write(tmp_path / "masks" / f"f{seed % 2}" / f"{seed}.png", encode(mask_of(seed, 3)))
    (tmp_path / "names.txt").write_text("cat\ndog\nsheep, or goat\n")
    return tmp_path


def prepare(source, *flags, out="out"):
    command = ["prepare", "segmentation", str(source / "images"), str(source / "masks")]
    names = ["--class-names", str(source / "names.txt")]
    return cli.main([*command, str(source / out), *names, *flags])


def by_mxnet(path):
    """{key: (label, pixels)} as MXNet reads a file; grey for masks."""
    path = str(path)
    reader = mx.recordio.MXIndexedRecordIO(path[:-4] + ".idx", path, "r")
    found = {}
    for key in reader.keys:
        header, payload = mx.recordio.unpack(reader.read_idx(key))
        grey = path.endswith(".mask.rec")
        found[key] = header.label, mx.image.imdecode(payload, flag=int(not grey)).asnumpy()
    reader.close()
    return found


def sources(path):
    """{key: source} of a list."""
    lines = (line.split("\t") for line in path.read_text().splitlines())
    return {int(key): name for key, _, name in lines}


def contents(folder):
    return {name: (folder / name).read_bytes() for name in os.listdir(folder)}


def test_mxnet_reads_images_and_masks_under_the_same_keys(source):
    assert prepare(source) == 0
    out = source / "out"
    images, masks = by_mxnet(out / "train.rec"), by_mxnet(out / "train.mask.rec")
    assert list(images) == list(masks) == list(range(8))
    origins = sources(out / "train.lst")
    assert sorted(origins.values()) != list(origins.values())  # shuffled
    for key, name in origins.items():
        seed = int(name[3:-4])
        assert sources(out / "train.mask.lst")[key] == name.replace("jpg", "png")
        assert images[key][0] == masks[key][0] == 0
        expected = simplejpeg.decode_jpeg(jpeg(seed))
        assert images[key][1].shape == expected.shape
        np.testing.assert_array_equal(masks[key][1][:, :, 0], mask_of(seed, 3))
    assert (out / "labels.txt").read_text() == "cat\ndog\nsheep, or goat\n"


def test_the_manifest_knows_both_files_and_verify_reads_them(source, capsys):
    prepare(source, "--val-fraction", "0.25")
    manifest = json.loads((source / "out" / "manifest.json").read_text())
    assert list(manifest["splits"]) == ["train", "train.mask", "val", "val.mask"]
    for name, entry in manifest["splits"].items():
        data = (source / "out" / f"{name}.rec").read_bytes()
        assert entry["records"] == (6 if name.startswith("train") else 2)
        assert entry["sha256"] == hashlib.sha256(data).hexdigest() and "per_class" not in entry
    capsys.readouterr()
    assert cli.main(["records", "verify", str(source / "out" / "val.rec")]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.count("as it was prepared") for line in said] == [1, 1] and "val.mask" in said[1]


def test_threads_change_nothing_and_a_killed_run_goes_on(source, monkeypatch):
    prepare(source, "--val-fraction", "0.25", out="whole")
    stored, calls = ade20k.Values.stored, []

    class Killed(BaseException):
        pass

    def killed(self, data):
        calls.append(data)
        if len(calls) == 4:
            raise Killed
        return stored(self, data)

    monkeypatch.setattr(ade20k.Values, "stored", killed)
    with pytest.raises(Killed):
        prepare(source, "--val-fraction", "0.25", "--workers", "1")
    monkeypatch.undo()
    assert not (source / "out" / "train.mask.rec").exists()
    assert prepare(source, "--val-fraction", "0.25", "--workers", "3") == 0
    assert contents(source / "out") == contents(source / "whole")


def test_first_class_and_ignored_values_are_mapped(source):
    for seed in range(8):
        mask = mask_of(seed, 3)
        shifted = np.where(mask == IGNORED, 0, mask + 5).astype(np.uint8)
        write(source / "masks" / f"f{seed % 2}" / f"{seed}.png", encode_png(shifted))
    assert prepare(source, "--first-class", "5", "--ignore", "0,200") == 0
    for key, (_, mask) in by_mxnet(source / "out" / "train.mask.rec").items():
        seed = int(sources(source / "out" / "train.lst")[key][3:-4])
        np.testing.assert_array_equal(mask[:, :, 0], mask_of(seed, 3))


def test_cityscapes_names_and_folders(source):
    for part in ("train", "val"):
        for seed in range(3):
            name = f"{part}/aachen/aachen_{seed}"
            write(source / "left" / f"{name}_leftImg8bit.png", encode_png(picture(seed)))
            write(source / "fine" / f"{name}_labelTrainIds.png", encode_png(mask_of(seed, 3)))
            write(source / "fine" / f"{name}_color.png", encode_png(picture(seed)))
            write(source / "fine" / f"{name}_polygons.json", b"{}")
    suffixes = ["--image-suffix", "_leftImg8bit", "--mask-suffix", "_labelTrainIds"]
    folders = [str(source / "left/train"), str(source / "fine/train")]
    val = ["--val", str(source / "left/val"), str(source / "fine/val")]
    flags = ["--class-names", str(source / "names.txt"), *suffixes, *val]
    assert cli.main(["prepare", "segmentation", *folders, str(source / "out"), *flags]) == 0
    masks = by_mxnet(source / "out" / "val.mask.rec")
    for key, (_, mask) in masks.items():
        np.testing.assert_array_equal(mask[:, :, 0], mask_of(key, 3))
    assert len(masks) == len(by_mxnet(source / "out" / "train.mask.rec")) == 3


def picture(seed):
    return np.random.RandomState(seed).randint(0, 255, (*size_of(seed), 3)).astype(np.uint8)


def test_vocs_lists_choose_among_images_of_which_most_have_no_mask(source):
    write(source / "images" / "f0" / "no_mask.jpg", jpeg(1))
    (source / "train.txt").write_text("f0/4\nf1/1\nf0/0\n")
    (source / "val.txt").write_text("f1/3\n")
    lists = ["--list", str(source / "train.txt"), "--val-list", str(source / "val.txt")]
    assert prepare(source, *lists) == 0
    assert sorted(sources(source / "out" / "train.lst").values()) == [
        "f0/0.jpg",
        "f0/4.jpg",
        "f1/1.jpg",
    ]
    assert sources(source / "out" / "val.mask.lst") == {0: "f1/3.png"}


def refused(source, capsys, *flags):
    """The one line of the error."""
    assert prepare(source, *flags) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error:" in line] or [""]
    assert not (source / "out" / "train.mask.rec").exists()
    return line


@pytest.mark.parametrize(
    "name, mask, said",
    [
        ("f1/3.png", mask_of(3, 3, size=(9, 9)), "f1/3.png (has 9 x 9 pixels, and its image f1/3"),
        ("f0/2.png", np.full(size_of(2), 3, np.uint8), "f0/2.png (the pixel in row 0, column 0 h"),
        ("f0/2.png", np.zeros((*size_of(2), 3), np.uint8), "f0/2.png (is a colour PNG"),
    ],
)
def test_a_mask_that_does_not_fit_is_named(source, capsys, name, mask, said):
    write(source / "masks" / name, encode_png(mask))
    line = refused(source, capsys)
    assert said in line and "1 of 8 masks are broken" in line
    assert "--skip-broken" not in line  # it does not exist here


def test_missing_misplaced_and_doubtful_masks_are_named(source, capsys):
    os.rename(source / "masks" / "f0" / "2.png", source / "masks" / "f1" / "2.png")
    said = refused(source, capsys)
    assert "images/f0/2.jpg: has no mask in" in said and "2 such in all" in said
    (source / "masks" / "f1" / "2.png").unlink()
    write(source / "images" / "f0" / "4.png", encode_png(picture(4)))
    assert "4.png: " in (said := refused(source, capsys)) and "has the same name" in said


def test_lists_and_flags_that_make_no_sense_are_refused(source, capsys):
    for name, text in (("a", "f0/0\nf0/9\n"), ("b", "f0/0\nf0/0\n"), ("c", "f0/0\n")):
        (source / name).write_text(text)
    a, b, c = (str(source / name) for name in "abc")
    assert "f0/9 is neither an image nor a mask" in refused(source, capsys, "--list", a)
    assert "has f0/0 twice" in refused(source, capsys, "--list", b)
    both = refused(source, capsys, "--list", c, "--val-list", c)
    assert "f0/0 is in" in both
    assert "--val-list needs --list" in refused(source, capsys, "--val-list", c)
    assert "--val-fraction 1.0" in refused(source, capsys, "--val-fraction", "1")
    assert "too few images" in refused(source, capsys, "--val-fraction", "0.01")
    assert "--ignore 256" in refused(source, capsys, "--ignore", "3,256")
    assert "masks have values up to 255" in refused(source, capsys, "--first-class", "254")


def test_ignored_classes_are_said(source, capsys):
    assert prepare(source, "--ignore", "255,1") == 0
    assert "no pixels of dog: such a class counts 0 in the mIoU" in capsys.readouterr().err
    masks = by_mxnet(source / "out" / "train.mask.rec").values()
    assert {value for _, mask in masks for value in np.unique(mask)} == {0, 2, IGNORED}
    assert prepare(source, "--ignore", "255,7", out="other") == 0
    assert "mIoU" not in capsys.readouterr().err
    (source / "names.txt").write_text("\n")
    assert prepare(source) == 2 and "names.txt: holds no names" in capsys.readouterr().err


def test_an_image_that_exif_turns_needs_a_mask_of_its_upright_size(source, capsys):
    tall, turned = io.BytesIO(), Image.fromarray(picture(2))
    exif = turned.getexif()
    exif[274] = 6
    turned.save(tall, "jpeg", exif=exif)
    write(source / "images" / "f0" / "2.jpg", tall.getvalue())
    assert "f0/2.png (has " in refused(source, capsys)
    upright = tuple(reversed(size_of(2)))
    write(source / "masks" / "f0" / "2.png", encode_png(mask_of(2, 3, size=upright)))
    assert prepare(source) == 0
    assert cli.main(["records", "verify", str(source / "out" / "train.rec")]) == 0


# ---- ADE20K

ROOT = "ADEChallengeData2016/"
COUNTS = {"train": 5, "val": 3}


def object_info(classes=150):
    lines = [f"{i}\t0.1\t10\t20\tname {i}, other" for i in range(1, classes + 1)]
    return "Idx\tRatio\tTrain\tVal\tName\n" + "\n".join(lines) + "\n"


def ade_mask(seed):
    """0 is none of the classes."""
    return np.random.RandomState(seed).randint(0, 151, size_of(seed)).astype(np.uint8)


def ade_files():
    files = {ROOT + "objectInfo150.txt": object_info().encode(), ROOT + "images/": b""}
    files[ROOT + "sceneCategories.txt"] = b"ADE_train_00000001 airport\n"
    for folder, part in (("training", "train"), ("validation", "val")):
        for number in range(1, COUNTS[part] + 1):
            name = f"{folder}/ADE_{part}_{number:08d}"
            seed = number + 100 * (part == "val")
            files[f"{ROOT}images/{name}.jpg"] = jpeg(seed)
            files[f"{ROOT}annotations/{name}.png"] = encode_png(ade_mask(seed))
    return files


def write_zip(path, files, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


@pytest.fixture
def archive(tmp_path, monkeypatch):
    monkeypatch.setattr(ade20k, "IMAGES", COUNTS)
    return write_zip(tmp_path / "ade.zip", ade_files())


def prepare_ade(archive, *flags, out="ade"):
    return cli.main(["prepare", "ade20k", str(archive), str(archive.parent / out), *flags])


def test_ade20ks_other_is_ignored_and_its_classes_begin_with_0(archive):
    assert prepare_ade(archive) == 0
    out = archive.parent / "ade"
    names = (out / "labels.txt").read_text().splitlines()
    assert len(names) == 150 and names[0] == "name 1, other" and names[149] == "name 150, other"
    for part, count in COUNTS.items():
        masks, images = by_mxnet(out / f"{part}.mask.rec"), by_mxnet(out / f"{part}.rec")
        assert len(masks) == len(images) == count
        for key, name in sources(out / f"{part}.lst").items():
            seed = int(name[-12:-4]) + 100 * (part == "val")
            expected = ade_mask(seed).astype(int) - 1
            np.testing.assert_array_equal(
                masks[key][1][:, :, 0], np.where(expected < 0, 255, expected)
            )
            assert images[key][1].shape == (*size_of(seed), 3)
    assert cli.main(["records", "verify", str(out / "train.rec"), str(out / "val.rec")]) == 0


def test_a_zip_without_compression_gives_the_same_bytes(archive):
    prepare_ade(archive)
    stored = write_zip(archive.parent / "stored.zip", ade_files(), zipfile.ZIP_STORED)
    assert prepare_ade(stored, "--workers", "3", out="stored") == 0
    assert contents(archive.parent / "ade") == contents(archive.parent / "stored")


def without(*words):
    return {name: data for name, data in ade_files().items() if not all(w in name for w in words)}


@pytest.mark.parametrize(
    "files, said",
    [
        (without("annotations", "train_00000003"), "images/training/ADE_train_00000003.jpg has no"),
        (without("images", "val_00000002"), "2 val images instead of 3; --allow-partial"),
        (without("objectInfo150"), "has no objectInfo150.txt"),
        ({**ade_files(), ROOT + "objectInfo150.txt": object_info(149).encode()}, "its lines from"),
        (
            {**ade_files(), ROOT + "images/training/x.jpg": b""},
            "training/x.jpg, which is not one of",
        ),
        (
            {
                **without("train_00000001", "annot"),
                ROOT + "annotations/ADE_train_00000001.png": b"",
            },
            "annotations/ADE_train_00000001.png, which is not one of",
        ),
        ({**ade_files(), "x/images/training/ADE_train_00000001.jpg": b""}, "00000001 twice"),
    ],
)
def test_what_is_not_ade20k_is_named(archive, capsys, files, said):
    write_zip(archive, files)
    assert prepare_ade(archive) == 2
    printed = capsys.readouterr().err
    assert said in printed and printed.count("\n") == 1


def test_partial_archives_on_demand_but_never_single_masks(archive, capsys):
    write_zip(archive, without("val_00000002"))
    assert prepare_ade(archive) == 2
    assert prepare_ade(archive, "--allow-partial") == 0
    assert len(by_mxnet(archive.parent / "ade" / "val.mask.rec")) == 2
    write_zip(archive, without("annotations", "val_00000002"))
    assert prepare_ade(archive, "--allow-partial", out="other") == 2
    assert "00000002.jpg has no mask" in capsys.readouterr().err


def test_the_published_sha1_is_compared_on_demand(archive, monkeypatch, capsys):
    assert prepare_ade(archive, "--sha1") == 2
    assert ade20k.SHA1 in capsys.readouterr().err
    monkeypatch.setattr(ade20k, "SHA1", hashlib.sha1(archive.read_bytes()).hexdigest())
    assert prepare_ade(archive, "--sha1") == 0


# ---- zips


def read_all(path):
    """What reading of each file gives, or the error."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        for member in zip_archive.members(str(path)):
            try:
                yield zip_archive.read(descriptor, member, str(path))
            except ValueError as error:
                yield str(error)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_file_inside_a_zip_is_what_zipfile_reads(tmp_path, method):
    files = {"a/b": b"x" * 5000, "a/ü": os.urandom(300), "empty": b""}
    path = write_zip(tmp_path / "a.zip", files, method)
    assert list(read_all(path)) == list(files.values())


def test_a_zip_that_holds_a_file_twice_is_refused(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("a", b"1")
        archive.writestr("a", b"2")
    with pytest.raises(UserError, match="a.zip: holds a twice"):
        zip_archive.members(str(path))


def test_damage_and_bombs_inside_a_zip_are_said(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "a.zip", {"a": bytes(range(250)) * 20}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[700] ^= 1
    path.write_bytes(data)
    assert "is damaged" in next(read_all(path))
    monkeypatch.setattr(zip_archive, "MOST_UNPACKED", 4999)
    assert "holds more than 4,999 bytes" in next(read_all(path))
    path = write_zip(tmp_path / "b.zip", {"a": b"x"}, zipfile.ZIP_BZIP2)
    assert "packed in an uncommon way (12)" in next(read_all(path))


def test_a_file_that_is_longer_than_the_zips_directory_says_is_not_unpacked(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a": bytes(1 << 20)})
    data = path.read_bytes()
    path.write_bytes(data.replace((1 << 20).to_bytes(4, "little"), (100).to_bytes(4, "little")))
    assert "is damaged" in next(read_all(path))


def test_what_is_no_zip_is_named(tmp_path, capsys):
    for content in (b"no zip", b"", write_zip(tmp_path / "a.zip", ade_files()).read_bytes()[:-30]):
        (tmp_path / "b.zip").write_bytes(content)
        assert prepare_ade(tmp_path / "b.zip") == 2
        assert "b.zip: " in capsys.readouterr().err
