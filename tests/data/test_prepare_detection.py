"""``gluon-tricks prepare detection``: COCO's JSON and VOC's XML of one's own images."""

import json
import os

import numpy as np
import pytest
from boxed_images import jpeg, objects
from boxed_images import voc_xml as xml
from gluoncv.data import RecordFileDetection
from source_files import write_files

from gluon_tricks import cli
from gluon_tricks.data.box_records import CROWD
from gluon_tricks.data.prepare import coco_json

NAMES = ["dog", "cat", "elk"]  # of the categories 7, 3, 90


@pytest.fixture
def source(tmp_path):
    """Eight images with the same boxes as XML files and as COCO's JSON."""
    stems = [f"f{seed % 2}/{seed}" for seed in range(8)]
    write_files(tmp_path / "images", {f"{stem}.jpg": jpeg(int(stem[3:])) for stem in stems})
    boxes = {stem: objects(int(stem[3:]), NAMES) for stem in stems}
    write_files(tmp_path / "xml", {f"{stem}.xml": xml(found) for stem, found in boxes.items()})
    write_json(tmp_path, coco(boxes))
    return tmp_path


def coco(boxes):
    images = [
        {"id": 100 + i, "file_name": f"{stem}.jpg", "height": 24, "width": 32}
        for i, stem in enumerate(boxes)
    ]
    ids = dict(zip(NAMES, (7, 3, 90)))
    annotations = [
        {
            "id": i,
            "image_id": 100 + image,
            "category_id": ids[name],
            "bbox": [left - 1, top - 1, right - left + 1, bottom - top + 1],
            "iscrowd": difficult,
        }
        for image, found in enumerate(boxes.values())
        for i, (name, left, top, right, bottom, difficult) in enumerate(found)
    ]
    categories = [{"id": ids[name], "name": name} for name in NAMES]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_json(folder, found):
    (folder / "coco.json").write_text(json.dumps(found))


def prepare(source, annotations, *flags, out="out"):
    folders = [str(source / name) for name in ("images", annotations, out)]
    return cli.main(["prepare", "detection", *folders, *flags])


def records(folder, name="train"):
    """{where from: boxes with name, left, top, right, bottom, kind} as GluonCV reads them."""
    classes = (folder / "labels.txt").read_text().splitlines()
    sources = [line.split("\t")[-1] for line in (folder / f"{name}.lst").read_text().splitlines()]
    found = {}
    for origin, (_, label) in zip(sources, RecordFileDetection(str(folder / f"{name}.rec"))):
        found[origin.replace(".jpg", "")] = [
            (classes[int(row[4])], *np.round(row[:4] + 1).astype(int), int(row[5]))
            for row in label
            if row[4] >= 0
        ]
    return found


@pytest.mark.parametrize("annotations, crowd", [("xml", 1), ("coco.json", CROWD)])
def test_every_box_is_in_the_records(source, annotations, crowd):
    assert prepare(source, annotations) == 0
    expected = {
        f"f{seed % 2}/{seed}": [(*one[:-1], one[-1] * crowd) for one in objects(seed, NAMES)]
        for seed in range(8)
    }
    assert records(source / "out") == expected and [] in expected.values()
    names = ["cat", "dog", "elk"]  # sorted, and in the order of the ids
    assert (source / "out" / "labels.txt").read_text().split() == names


def test_class_names_are_in_the_order_of_the_file(source, capsys):
    (source / "names.txt").write_text("yak\nelk\ncat\ndog\n")
    assert prepare(source, "xml", "--class-names", str(source / "names.txt")) == 0
    assert {one[0] for found in records(source / "out").values() for one in found} == set(NAMES)
    (source / "names.txt").write_text("cat\n")
    assert prepare(source, "xml", "--class-names", str(source / "names.txt")) == 2
    assert "dog, elk: no such class; there are cat" in capsys.readouterr().err
    (source / "names.txt").write_text("cat\ncat\n")
    assert prepare(source, "xml", "--class-names", str(source / "names.txt")) == 2
    assert "has cat twice" in capsys.readouterr().err


def test_held_out_images_and_lists(source, capsys):
    assert prepare(source, "coco.json", "--val-fraction", "0.25") == 0
    train, val = records(source / "out"), records(source / "out", "val")
    assert (len(train), len(val), len({**train, **val})) == (6, 2, 8)
    (source / "some").write_text("f0/0\nf1/1\n")
    (source / "more").write_text("f0/2\n")
    flags = "--list", str(source / "some"), "--val-list", str(source / "more")
    assert prepare(source, "xml", *flags) == 0
    assert list(records(source / "out", "val")) == ["f0/2"] and len(records(source / "out")) == 2
    (source / "more").write_text("f1/1\n")
    assert prepare(source, "xml", *flags) == 2
    assert "f1/1 is in" in capsys.readouterr().err
    (source / "more").write_text("f1/9\n")
    assert prepare(source, "xml", *flags) == 2
    assert "f1/9 is not an image with an annotation" in capsys.readouterr().err
    images, boxes = str(source / "images"), str(source / "coco.json")
    assert prepare(source, "xml", "--val", images, boxes) == 0
    assert len(records(source / "out", "val")) == 8


def test_threads_change_nothing_and_verify_and_info_know_boxes(source, capsys):
    assert prepare(source, "xml", "--workers", "1") == 0
    assert prepare(source, "xml", "--workers", "3", out="again") == 0
    for name in ("train.rec", "train.lst", "manifest.json"):
        assert (source / "out" / name).read_bytes() == (source / "again" / name).read_bytes()
    assert cli.main(["records", "verify", str(source / "out" / "train.rec")]) == 0
    assert cli.main(["records", "info", str(source / "out" / "train.rec")]) == 0
    assert "boxes: 12 (8 difficult) in 8 images (2 without)" in capsys.readouterr().out


BAD = {
    "outside": (("cat", 5, 5, 40, 20, 0), (5, 5, 32, 20)),
    "above": (("cat", 5, -3, 9, 20, 0), (5, 1, 9, 20)),
    "far": (("cat", 50, 5, 60, 20, 0), None),
    "inverted": (("cat", 20, 5, 10, 20, 0), None),
    "flat": (("cat", 5, 5, 5, 20, 0), None),
}


@pytest.mark.parametrize("what", sorted(BAD))
def test_bad_boxes_are_named_and_refused_clipped_or_dropped(source, capsys, what):
    bad, clipped = BAD[what]
    write_files(source / "xml", {"f0/0.xml": xml([("dog", 1, 1, 9, 9, 0), bad])})
    assert prepare(source, "xml") == 2
    said = "no area" if what in ("inverted", "flat") else "outside the 32 x 24 pixels"
    printed = capsys.readouterr().err
    assert "f0/0.xml: box 1 (cat) reaches from" in printed and said in printed
    assert "--bad-boxes clip" in printed and printed.count("\n") == 1
    good = [("dog", 1, 1, 9, 9, 0)]
    assert prepare(source, "xml", "--bad-boxes", "drop") == 0
    assert records(source / "out")["f0/0"] == good
    assert said in capsys.readouterr().err
    assert prepare(source, "xml", "--bad-boxes", "clip") == 0
    assert records(source / "out")["f0/0"] == good + ([("cat", *clipped, 0)] if clipped else [])


def test_an_image_of_another_size_than_annotated_is_named(source, capsys):
    write_files(source / "images", {"f0/0.jpg": jpeg(0, 32, 24)})
    assert prepare(source, "xml") == 2
    printed = capsys.readouterr().err
    assert "f0/0: has 24 x 32 pixels, and its annotation says 32 x 24" in printed
    assert prepare(source, "xml", "--skip-broken") == 0
    assert "f0/0" not in records(source / "out") and len(records(source / "out")) == 7
    write_files(source / "xml", {"f0/0.xml": xml([("cat", 1, 1, 24, 32, 0)], width=0)})
    assert prepare(source, "xml") == 0  # it says none, so that of the image is taken
    assert records(source / "out")["f0/0"] == [("cat", 1, 1, 24, 32, 0)]


def test_images_and_annotations_without_the_other(source, capsys):
    (source / "xml" / "f0" / "0.xml").unlink()
    assert prepare(source, "xml") == 2
    assert "0.jpg: has no XML file in" in capsys.readouterr().err
    assert prepare(source, "xml", "--unannotated", "drop") == 0
    assert len(records(source / "out")) == 7
    assert prepare(source, "xml", "--unannotated", "empty") == 0
    assert records(source / "out")["f0/0"] == []
    assert prepare(source, "coco.json", "--unannotated", "empty") == 2
    (source / "images" / "f0" / "2.jpg").unlink()
    assert prepare(source, "xml", "--unannotated", "empty") == 2
    assert "2.xml: has no image in" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change, said",
    [
        ({"images": None}, "'images' is missing"),
        ({"images": 3}, "is not in COCO's form"),
        ({"images": [{"id": 1}]}, "'file_name' is missing"),
        ({"categories": []}, "annotation 0 is of an unknown image or category"),
        ({"categories": [{"id": 1, "name": "a"}] * 2}, "an id of categories is there twice"),
        ({"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]}, "a name of categories"),
        ({"categories": [{"id": 1, "name": ["a"]}]}, "['a'] is not a name"),
        ({"annotations": [{"image_id": 5, "category_id": 3}]}, "unknown image or category"),
        ({"annotations": [{"image_id": 101, "category_id": 3, "bbox": [1, 2]}]}, "COCO's form"),
        ({"annotations": [{"image_id": 101, "category_id": 3, "bbox": [10**400] * 4}]}, "COCO's"),
        ({"annotations": [{"image_id": [1], "category_id": 3}]}, "is not in COCO's form"),
        (
            {"annotations": [{"image_id": 101, "category_id": 3, "bbox": [0, 0, float("nan"), 9]}]},
            "which are not all numbers",
        ),
        ({"file_name": "../secret.jpg"}, "leads out of the folder"),
        ({"file_name": "/etc/passwd"}, "leads out of the folder"),
        ({"file_name": "half \ud800.jpg"}, "has half of a character"),
        ({"categories": [{"id": 1, "name": "\ud83d"}]}, "has half of a character"),
        ({"annotations": [{"image_id": 101, "category_id": 3, "bbox": "1188"}]}, "no bbox of"),
        ({"annotations": [{"image_id": 101, "category_id": 3, "bbox": ["1"] * 4}]}, "no bbox of"),
        (
            {"annotations": [dict(image_id=101, category_id=3, bbox=[1, 1, 4, 4], iscrowd="0")]},
            "an iscrowd that is neither 0 nor 1",
        ),
        ({"annotations": [{"image_id": 101, "category_id": 3, "bbox": [1] * 5}]}, "of 4 numbers"),
        ({"annotations": {"0": []}}, "annotations is not a list of objects"),
        ({"categories": ["a"]}, "categories is not a list of objects"),
        ({"file_name": "./f1/1.jpg"}, "a file name is there twice"),
        ({"height": True}, "pixels"),
        ({"width": 10**30}, "pixels"),
        ({"width": "32"}, "pixels"),
    ],
)
def test_what_is_wrong_in_a_json_file_is_named(source, capsys, change, said):
    found = json.loads((source / "coco.json").read_text())
    for name, value in change.items():
        if name in found:
            found[name] = value
        else:
            found["images"][0][name] = value
    write_json(source, {name: value for name, value in found.items() if value is not None})
    assert prepare(source, "coco.json") == 2
    printed = capsys.readouterr().err
    assert said in printed and "coco.json" in printed and printed.count("\n") == 1


def test_json_that_attacks_or_is_none_is_refused(source, capsys, monkeypatch):
    for text in ("[" * 200000, "[]", "{", "\x00"):
        (source / "coco.json").write_text(text)
        assert prepare(source, "coco.json") == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 4
    assert "it is not an object with images, annotations, categories" in printed
    monkeypatch.setattr(coco_json, "MOST_BYTES", 0)
    assert prepare(source, "coco.json") == 2
    assert "at most 0 are read" in capsys.readouterr().err


def test_a_folder_without_any_of_the_images_is_named_once(source, capsys):
    assert cli.main(["prepare", "detection", *(str(source / n) for n in "xml coco.json o".split())])
    printed = capsys.readouterr().err
    assert "xml: has none of the 8 images that" in printed and printed.count("\n") == 1


def test_a_byte_order_mark_is_no_part_of_a_text(source):
    for name, text in ("coco.json", (source / "coco.json").read_text()), ("names", "cat\ndog\nelk"):
        (source / name).write_text(text, encoding="utf-8-sig")
    assert prepare(source, "coco.json", "--class-names", str(source / "names")) == 0
    assert (source / "out" / "labels.txt").read_text().split() == ["cat", "dog", "elk"]


def test_changed_boxes_write_the_records_again(source):
    assert prepare(source, "xml") == 0
    write_files(source / "xml", {"f0/0.xml": xml([("cat", 2, 3, 9, 9, 0)])})
    assert prepare(source, "xml") == 0
    assert records(source / "out")["f0/0"] == [("cat", 2, 3, 9, 9, 0)]


def test_links_to_folders_of_xml_files_are_followed(source):
    os.rename(source / "xml" / "f0", source / "elsewhere")
    (source / "xml" / "f0").symlink_to(source / "elsewhere")
    (source / "elsewhere" / "circle").symlink_to(source / "xml")
    assert prepare(source, "xml", "--unannotated", "empty") == 0
    boxes = {f"f{seed % 2}/{seed}": objects(seed, NAMES) for seed in range(8)}
    assert records(source / "out") == boxes


def test_a_folder_of_xml_files_may_have_two_names(source, capsys):
    """Of images, or of no images: then it is not read a second time."""
    (source / "xml" / "alias").symlink_to("f0")
    (source / "images" / "g").mkdir()
    for seed in range(0, 8, 2):
        (source / "images" / "g" / f"{seed}.jpg").write_bytes(jpeg(seed))
    (source / "xml" / "g").symlink_to("f0")
    assert prepare(source, "xml", "--unannotated", "empty") == 0
    found = records(source / "out")
    for seed in range(0, 8, 2):
        assert found[f"g/{seed}"] == found[f"f0/{seed}"] == objects(seed, NAMES)
    (source / "images" / "g" / "2.jpg").unlink()
    assert prepare(source, "xml") == 2
    assert "g/2.xml: has no image in" in capsys.readouterr().err


def test_a_pipe_and_two_xml_files_of_an_image_are_refused(source, capsys):
    (source / "xml" / "f0" / "0.XML").write_text(xml([]))
    assert prepare(source, "xml") == 2
    assert "belongs to the same image" in capsys.readouterr().err
    (source / "xml" / "f0" / "0.XML").unlink()
    (source / "xml" / "f0" / "0.xml").unlink()
    os.mkfifo(source / "xml" / "f0" / "0.xml")
    assert prepare(source, "xml") == 2
    assert "0.xml: cannot be read" in capsys.readouterr().err
