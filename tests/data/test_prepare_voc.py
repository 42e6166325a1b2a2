"""``gluon-tricks prepare voc`` on archives of the official form, with tiny images."""

import hashlib
import json
import os
import tarfile

import numpy as np
import pytest
from boxed_images import jpeg, objects
from boxed_images import voc_xml as xml
from gluoncv.data import RecordFileDetection, VOCDetection
from source_files import write_files, write_tar

from gluon_tricks import cli
from gluon_tricks.data.prepare import voc, voc_xml

STEMS = {
    (2007, "trainval"): ["000005", "000007", "000009"],
    (2012, "trainval"): ["2008_000002", "2008_000003"],
    (2007, "test"): ["000001", "000002"],
}


def seed_of(year, stem):
    return int(stem[-2:]) + (year == 2012)


def files_of(year, name):
    """A list, and annotations and images, also of an image that is not in the list."""
    top = f"VOCdevkit/VOC{year}"
    stems = STEMS[year, name]
    found = {f"{top}/ImageSets/Main/{name}.txt": "".join(f"{stem}\n" for stem in stems)}
    found[f"{top}/ImageSets/Main/cat_{name}.txt"] = "not read\n"
    found[f"{top}/SegmentationClass/{stems[0]}.png"] = "not read"
    for stem in [*stems, "999999"]:
        seed = seed_of(year, stem)
        found[f"{top}/Annotations/{stem}.xml"] = xml(objects(seed, voc.CLASSES))
        found[f"{top}/JPEGImages/{stem}.jpg"] = jpeg(seed)
    return found


def published(part):
    """What was published of the part, if our files were the official ones."""
    stems = STEMS[part.year, part.list]
    found = [one for stem in stems for one in objects(seed_of(part.year, stem), voc.CLASSES)]
    return part._replace(images=len(stems), objects=sum(not one[-1] for one in found))


@pytest.fixture
def source(tmp_path, monkeypatch):
    parts = {name: [published(part) for part in found] for name, found in voc.PARTS.items()}
    monkeypatch.setattr(voc, "PARTS", parts)
    (tmp_path / "source").mkdir()
    for found in parts.values():
        for part in found:
            write_tar(tmp_path / "source" / part.archive, files_of(part.year, part.list))
    return tmp_path / "source"


def prepare(source, *flags):
    return cli.main(["prepare", "voc", str(source), str(source.parent / "out"), *flags])


def test_gluoncv_finds_the_same_in_the_records_as_in_the_folders(source, capfd):
    assert prepare(source) == 0
    printed, said = capfd.readouterr()
    assert said == "" and "train.rec: 5 images with 8 boxes of 20 classes" in printed
    out = source.parent / "out"
    for year, name in STEMS:
        write_files(source.parent, files_of(year, name))
    trained = [(2007, "trainval"), (2012, "trainval")]
    for split, lists in ("train", trained), ("val", [(2007, "test")]):
        folders = VOCDetection(str(source.parent / "VOCdevkit"), splits=lists)
        names = [f"{os.path.basename(root)}/{stem}.jpg" for root, stem in folders._items]
        expected = dict(zip(names, folders))
        sources = [line.split("\t")[-1] for line in open(out / f"{split}.lst").read().splitlines()]
        assert sorted(sources) == sorted(expected)
        for origin, (image, label) in zip(sources, RecordFileDetection(str(out / f"{split}.rec"))):
            np.testing.assert_array_equal(image.asnumpy(), expected[origin][0].asnumpy())
            label = label[label[:, 4] >= 0]
            np.testing.assert_allclose(label, expected[origin][1].reshape(-1, 6), atol=1e-4)
    assert (out / "labels.txt").read_text().split() == list(VOCDetection.CLASSES)
    entry = json.loads((out / "manifest.json").read_text())["splits"]["train"]
    assert (entry["boxes"], entry["without_boxes"], sum(entry["per_class"])) == (8, 1, 8)
    found = [one for seed in (5, 7, 9, 3, 4) for one in objects(seed, voc.CLASSES)]
    assert entry["difficult"] == sum(difficult for *_, difficult in found)


def test_the_published_numbers_are_those_of_its_parts():
    assert sum(part.images for part in voc.PARTS["train"]) == 16551
    assert [(part.images, part.objects) for part in voc.PARTS["val"]] == [(4952, 12032)]


@pytest.mark.parametrize(
    "change, said",
    [
        ({"ImageSets/Main/trainval.txt": "000005\n"}, "1 2007 trainval image instead of 3"),
        ({"ImageSets/Main/trainval.txt": None}, "has no list trainval.txt of VOC2007"),
        ({"ImageSets/Main/trainval.txt": "000005\n000005\n"}, "names an image twice"),
        ({"JPEGImages/000007.jpg": None}, "has no image of 000007, which is in trainval.txt"),
        ({"Annotations/000007.xml": None}, "has no annotation of 000007"),
        ({"Annotations/000007.xml": xml([("cow", 1, 1, 33, 9, 0)])}, "outside the 32 x 24 pixels"),
        ({"Annotations/000007.xml": xml([("elk", 1, 1, 9, 9, 0)])}, "elk: no such class"),
        ({"Annotations/000007.xml": xml([], height=32)}, "its annotation says 32 x 32"),
        (
            {"Annotations/000007.xml": "<annotation>"},
            "000007.xml: is not an annotation in VOC's form",
        ),
    ],
)
def test_what_is_wrong_in_an_archive_is_named(source, capsys, change, said):
    files = files_of(2007, "trainval")
    for name, data in change.items():
        files[f"VOCdevkit/VOC2007/{name}"] = data
    files = {name: data for name, data in files.items() if data is not None}
    write_tar(source / "VOCtrainval_06-Nov-2007.tar", files)
    assert prepare(source) == 2
    printed = capsys.readouterr().err
    assert said in printed
    if "instead of" in said:
        assert prepare(source, "--allow-partial", "--only", "train") == 0


def test_other_numbers_of_objects_are_said(source, capsys, monkeypatch):
    parts = {"train": [], "val": [voc.PARTS["val"][0]._replace(objects=12)]}
    monkeypatch.setattr(voc, "PARTS", parts)
    assert prepare(source, "--only", "val") == 0
    assert "objects that are not difficult instead of 12" in capsys.readouterr().err


def test_missing_archives_and_the_checksums(source, capsys, monkeypatch):
    assert prepare(source, "--only", "val", "--sha1") == 2
    assert voc.SHA1["VOCtest_06-Nov-2007.tar"] in capsys.readouterr().err
    sums = {path.name: hashlib.sha1(path.read_bytes()).hexdigest() for path in source.iterdir()}
    monkeypatch.setattr(voc, "SHA1", sums)
    assert prepare(source, "--only", "val", "--sha1") == 0
    (source / "VOCtrainval_11-May-2012.tar").unlink()
    assert prepare(source) == 2
    assert "VOCtrainval_11-May-2012.tar: missing" in capsys.readouterr().err


def test_what_is_too_large_in_an_archive_is_refused_before_it_is_read(source, capsys):
    name = "VOCdevkit/VOC2007/Annotations/000001.xml"
    with tarfile.open(source / "VOCtest_06-Nov-2007.tar") as archive:
        offset = archive.getmember(name).offset
    member = tarfile.TarInfo(name)
    member.size = 1 << 33
    with open(source / "VOCtest_06-Nov-2007.tar", "r+b") as file:  # which becomes full of holes
        file.seek(offset)
        file.write(member.tobuf())
        file.truncate(offset + member.size + 4096)
    assert prepare(source, "--only", "val") == 2
    assert f"{name} has 8,589,934,592 bytes; at most 1,048,576" in capsys.readouterr().err


def entities():
    """An XML file of a few bytes whose text would have 10^9 characters."""
    rows = "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi"))
    return f'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">{rows}]>'


@pytest.mark.parametrize(
    "data, said",
    [
        (xml([], head=entities()).replace("<filename>x", "<filename>&i;"), "document type"),
        (xml([], head='<!DOCTYPE x SYSTEM "file:///etc/passwd">'), "document type"),
        (xml([], head=entities()).encode("utf-16"), "document type"),
        ("<annotation>" + " " * voc_xml.MOST_BYTES, "at most 1,048,576 are read"),
        ("<a>" * 300000, "is not an annotation in VOC's form"),
        (xml([("cow", "1e999", 1, 9, 9, 0)]), "<xmin> in <bndbox> is 1e999"),
        (xml([("cow", "x" * 99, 1, 9, 9, 0)]), "<xmin> in <bndbox> is not a number: 'xxx"),
        (xml([("", 1, 1, 9, 9, 0)]), "an object has no name"),
        (xml([]).replace("<width>32", "<width>1e300"), "<width> in <size> is 1e+300"),
        (xml([]).replace("<width>32", "<width>-32"), "<width> in <size> is -32"),
        (xml([]).replace("<width>32", "<width>32.5"), "<width> in <size> is 32.5"),
        (xml([]).replace("annotation>", "svg>"), "it begins with <svg>"),
        ("<annotation><object><name>cow</name></object></annotation>", "an object has no bndbox"),
        ("", "no element found"),
        ("\0", "is not an annotation"),
    ],
)
def test_annotations_that_attack_or_are_damaged_are_refused(data, said):
    data = data.encode() if isinstance(data, str) else data
    with pytest.raises(voc_xml.UserError, match="here.xml: ") as raised:
        voc_xml.read_annotation(data, "here.xml")
    assert said in str(raised.value) and len(str(raised.value)) < 200


def test_no_more_than_1_is_difficult():
    one = xml([("cow", 1, 1, 9, 9, 1), ("cow", 1, 1, 9, 9, "Unspecified"), ("cow", 1, 1, 9, 9, "")])
    one = one.replace("<difficult></difficult>", "")
    boxes = voc_xml.read_annotation(one.encode(), "here.xml").boxes
    assert [box.kind for box in boxes] == [1, 0, 0] and boxes[0].corners == (0, 0, 8, 8)
