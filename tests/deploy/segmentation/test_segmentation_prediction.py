"""Masks, overlays and shares of images: the network's answers, in files that others read."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image
from scenes import NAMES, K, png, scene

from gluon_tricks import open_model
from gluon_tricks.data.palette import palette
from gluon_tricks.data.prepare.mask_numbers import numbers_in
from gluon_tricks.deploy.segmentation import pictures
from gluon_tricks.deploy.segmentation.segmenter import LEAST


@pytest.fixture
def folder(tmp_path):
    """Pictures of several sizes, one in a folder of its own, and files that are none."""
    (tmp_path / "in" / "below").mkdir(parents=True)
    for number, name in enumerate(["a.png", "b.png", "below/a.png"]):
        (tmp_path / "in" / name).write_bytes(png(scene(200 + number)[0]))
    (tmp_path / "in" / "notes.txt").write_text("no image")
    return tmp_path / "in"


def read(path):
    return json.loads(path.read_text())


def test_masks_are_the_networks_answers_and_read_by_pillow_and_by_prepare(
    command, run_folder, folder, tmp_path
):
    assert command("predict", run_folder, folder, "-o", tmp_path / "out") == 0
    model = open_model(str(run_folder))
    for number, name in enumerate(["a", "b", "below/a"]):
        path = tmp_path / "out" / f"{name}.mask.png"
        expected = model.segment(scene(200 + number)[0])
        image = Image.open(path)
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image), expected)
        np.testing.assert_array_equal(numbers_in(path.read_bytes()), expected)
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), palette()[expected])
    assert len(list((tmp_path / "out").rglob("*.png"))) == 6


@pytest.mark.parametrize("shape", [(1, 1), (3, LEAST), (LEAST + 4, 2)])
def test_a_tiny_picture_is_the_corner_of_a_black_one(run_folder, shape):
    """ResNet-D computes nothing for less than 5 pixels."""
    model, (height, width) = open_model(str(run_folder)), shape
    picture = scene(1)[0][:height, :width]
    black = np.zeros((max(height, LEAST), max(width, LEAST), 3), np.uint8)
    black[:height, :width] = picture
    logits = model.compute(model.preprocessing.normalise(black)[None])
    np.testing.assert_array_equal(model.segment(picture), logits[0].argmax(axis=0)[:height, :width])


def test_json_has_the_share_of_each_class(command, run_folder, folder, tmp_path):
    words = ["--json", tmp_path / "a.json", "--top", 1, "--protocol", "multi"]
    assert command("predict", run_folder, folder, *words) == 0
    found = read(tmp_path / "a.json")
    model = open_model(str(run_folder))
    assert "each mirrored too" in found["protocol"] and not found["skipped"]
    for item in found["images"]:
        assert sum(each["share"] for each in item["classes"]) == pytest.approx(1)
        assert sum(each["pixels"] for each in item["classes"]) == item["height"] * item["width"]
        for each in item["classes"]:
            assert each["label"] == NAMES[each["class"]] == model.label(each["class"])


def test_what_is_printed_are_the_largest_shares(command, run_folder, folder, capsys):
    command("predict", run_folder, folder / "a.png", "--top", 2)
    lines = capsys.readouterr().out.splitlines()
    height, width = scene(200)[1].shape
    assert lines[0] == f"{folder / 'a.png'} ({width} x {height})" and len(lines) == 3
    counts = np.bincount(open_model(str(run_folder)).segment(scene(200)[0]).ravel(), minlength=K)
    first = counts.argmax()
    assert lines[1] == f"  {100 * counts[first] / counts.sum():6.2f} %  {NAMES[first]}"


def test_records_are_named_by_their_keys(command, run_folder, records, tmp_path, capsys):
    words = ["--rec", records / "val.rec", "--keys", "100,103", "-o", tmp_path / "out"]
    assert command("predict", run_folder, *words, "--json", "-") == 0
    found = json.loads(capsys.readouterr().out)["images"]
    assert [item["name"] for item in found] == [100, 103]
    assert found[0]["mask"] == str(tmp_path / "out" / "100.mask.png")


def test_broken_images_are_named_and_the_others_are_done(
    command, run_folder, folder, tmp_path, capsys
):
    (folder / "broken.png").write_bytes(b"no image")
    assert command("predict", run_folder, folder, "-o", tmp_path / "out") == 1
    assert "broken.png: cannot be decoded" in capsys.readouterr().err
    assert len(list((tmp_path / "out").rglob("*.mask.png"))) == 3


def test_images_that_would_get_the_same_name_are_refused(
    command, run_folder, folder, tmp_path, capsys
):
    given = [folder / "a.png", folder / "below" / "a.png"]
    assert command("predict", run_folder, *given, "-o", tmp_path / "out") == 2
    assert "would both become" in capsys.readouterr().err


def test_the_overlay_is_half_of_both_with_a_legend_in_the_classes_colours(tmp_path):
    picture, mask = scene(3)
    mask[mask == 255] = 2
    found = pictures.shares(mask, NAMES)
    pictures.write_overlay(picture, mask, found, str(tmp_path / "a.png"))
    drawn = cv2.imread(str(tmp_path / "a.png"))[:, :, ::-1]
    height, width = mask.shape
    left = drawn[:height, :width]
    np.testing.assert_array_equal(left, pictures.overlaid(picture, mask))
    inside = np.ones(mask.shape, bool)
    inside[1:] &= mask[1:] == mask[:-1]
    inside[:, 1:] &= mask[:, 1:] == mask[:, :-1]
    mixed = (picture.astype(int) + palette()[mask]) // 2
    np.testing.assert_array_equal(left[inside], mixed[inside])
    assert (left[~inside] == 255).all()
    legend = drawn[:, width:].reshape(-1, 3)
    shown = min(len(found), max(height, 44) // 22 - (len(found) > max(height, 44) // 22))
    for share in found[:shown]:
        assert (legend == palette()[share.number]).all(axis=1).sum() > 100
    assert found[0].pixels == np.bincount(mask.ravel()).max()


def test_the_palette_is_that_of_pascal_voc():
    """Their first classes, from the development kit's documentation, and the void label."""
    expected = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128)]
    assert palette()[:6].tolist() == [list(color) for color in expected]
    assert palette()[20].tolist() == [0, 64, 128] and palette()[255].tolist() == [224, 224, 192]
    assert len({tuple(color) for color in palette().tolist()}) == 256
