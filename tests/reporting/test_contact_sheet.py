"""The sheet of ``show``: what training sees, mixed images, masks and boxes, and wrong input."""

import os

import box_scenes
import cv2
import numpy as np
import pytest

from gluon_tricks import cli
from gluon_tricks import config as configuration
from gluon_tricks.data import loader
from gluon_tricks.data.mask_files import mask_path_of
from gluon_tricks.data.palette import colored
from gluon_tricks.data.records import RecordFile, RecordWriter
from gluon_tricks.data.transforms import segmentation
from gluon_tricks.data.transforms.normalise import Normalise
from gluon_tricks.data.transforms.paper import eval_transform, train_transform
from gluon_tricks.reporting import contact_sheet, targets
from gluon_tricks.tricks.mixing import Mixup


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("records") / "some.rec")
    with RecordWriter(path) as writer:
        for key in range(5):
            image = np.random.RandomState(key).randint(0, 256, (30, 40, 3)).astype(np.uint8)
            writer.write(10 + key, key, cv2.imencode(".png", image)[1].tobytes())
    return path


def run(*arguments):
    return cli.main(["show"] + [str(argument) for argument in arguments])


@pytest.mark.slow
def test_the_sheet_is_a_png_with_a_row_an_image(tmp_path, records, capfd):
    path, flags = tmp_path / "sheet.png", ["--input-size", 16, "--epochs", 1, "--mixup-alpha", 0]
    assert run("--rec", records, "-o", path, "--images", 2, *flags) == 0
    small = cv2.imread(str(path))
    # the command's older name
    arguments = ["data", "show", "--rec", records, "-o", path, "--images", 4, *flags]
    assert cli.main([str(argument) for argument in arguments]) == 0
    big = cv2.imread(str(path))
    assert small.std() > 10
    assert big.shape[0] == 2 * small.shape[0] and big.shape[1] == small.shape[1]
    assert str(path) in capfd.readouterr().out


def test_a_sheet_that_no_memory_holds_is_refused(tmp_path, records, capsys):
    assert run("--rec", records, "-o", tmp_path / "x", "--images", 1, "--epochs", 10001) == 2
    assert "a sheet has at most 10,000 pictures" in capsys.readouterr().err


def test_the_images_are_those_that_training_sees(records):
    config = configuration.parse(["--rec-train", records, "--input-size", "16"])
    transform = train_transform(config)
    with RecordFile(records) as file:
        row = contact_sheet.row_of(
            file, 2, transform, eval_transform(config), 3, 3, targets.Labels(config, file).read
        )
        payload = file.read(2)[1]
    assert row.label == 2 and "record 12, label 2" in row.shown[0][0]
    for epoch in range(3):
        expected = transform.apply(payload, transform.sample(3, epoch, [12]))
        np.testing.assert_array_equal(row.images[epoch], expected)
    assert len(row.shown) == 2 + 3


def test_mixed_images_are_the_weighted_sum_of_two_rows():
    normalise = Normalise((120.0, 110.0, 100.0), (58.0, 57.0, 56.0))
    rows = [
        contact_sheet.Row([], label, [np.full((3, 2, 2), value, np.float32)])
        for label, value in ((1, 0.0), (2, 1.0))
    ]
    mixup = Mixup(0.2, seed=0, until=1, partner="reverse")
    contact_sheet.add_mixed(rows, [mixup], 1, normalise)
    ((title, image),) = rows[0].shown
    lam = float(title.split("\n")[1].split(" ")[0])
    expected = ((1 - lam) * np.array(normalise.std) + np.array(normalise.mean)) / 255
    np.testing.assert_allclose(image[0, 0], expected, atol=0.01 * 58 / 255)
    assert "of label 1" in title and title.endswith("of 2")


def test_mixup_alpha_zero_leaves_the_mixed_pictures_out(tmp_path, records):
    path = tmp_path / "sheet.png"
    widths = []
    for flags in ([], ["--mixup-alpha", "0"]):
        assert run("--rec", records, "-o", path, "--images", 1, "--epochs", 1, *flags) == 0
        widths.append(cv2.imread(str(path)).shape[1])
    assert widths[1] < widths[0]


def test_images_are_chosen_by_their_keys(records):
    with RecordFile(records) as file:
        assert contact_sheet.choose(file, "14,10", 6, 0) == [4, 0]
        assert contact_sheet.choose(file, "11-13", 6, 0) == [1, 2, 3]
        assert sorted(contact_sheet.choose(file, None, 9, 0)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "arguments, named",
    [
        (["--keys", "99"], "no record 99"),
        (["--keys", "x"], "--keys x"),
        (["--images", "0"], "--images"),
        (["-o", "/nowhere/sheet.png"], "/nowhere/sheet.png"),
    ],
)
def test_wrong_input_is_one_line_that_names_it(tmp_path, records, capfd, arguments, named):
    assert (
        run(
            "--rec",
            records,
            "-o",
            tmp_path / "a.png",
            "--input-size",
            16,
            "--epochs",
            1,
            *arguments,
        )
        == 2
    )
    error = capfd.readouterr().err
    assert named in error and error.count("\n") == 1


@pytest.fixture(scope="module")
def masked(records):
    """The same images with masks of three classes, and their names."""
    with RecordWriter(mask_path_of(records)) as writer:
        for key in range(5):
            mask = np.random.RandomState(key).randint(0, 3, (30, 40)).astype(np.uint8)
            mask[:2] = 255
            writer.write(10 + key, 0, cv2.imencode(".png", mask)[1].tobytes())
    with open(os.path.join(os.path.dirname(records), "labels.txt"), "w") as file:
        file.write("sky\nwood $5$\nwater\n")
    return records


def test_each_image_has_its_mask_next_to_it_moved_alike(masked):
    words = "--task segmentation --classes 3 --input-size 16 --base-size 24 --rec-train"
    config = configuration.parse([*words.split(), masked])
    train, evaluation = segmentation.train_transform(config), eval_transform(config)
    with RecordFile(masked) as file, RecordFile(mask_path_of(masked)) as masks:
        shown = targets.targets_of(config, file)
        row = contact_sheet.row_of(file, 3, train, evaluation, 0, 2, shown.read)
        payload = masks.read(3)[1]
    mask = cv2.imdecode(np.frombuffer(payload, np.uint8), cv2.IMREAD_GRAYSCALE)
    pictures = [image for _, image in row.shown]
    assert len(pictures) == 2 * (1 + 1 + 2)
    np.testing.assert_array_equal(pictures[1], colored(mask))
    for epoch in range(2):
        moved = train.mask(mask, train.sample(0, epoch, [13]))
        np.testing.assert_array_equal(pictures[5 + 2 * epoch], colored(moved))
    assert [name for name, _ in shown.legend()] == ["sky", "wood $5$", "water", "none"]
    assert "label" not in row.shown[0][0] and "3 classes\n93 % labelled" in row.shown[1][0]
    assert "scaled to" in row.shown[4][0] and "crop at" in row.shown[4][0]


def test_the_command_draws_masks_and_knows_the_classes_by_their_names(tmp_path, masked, capfd):
    words = ["--rec", masked, "-o", tmp_path / "a.png", "--images", 1, "--epochs", 1]
    words += ["--input-size", 16]
    assert run(*words, "--mixup-alpha", 0) == 0
    narrow = cv2.imread(str(tmp_path / "a.png"))
    assert run(*words, "--task", "segmentation") == 0
    wide = cv2.imread(str(tmp_path / "a.png"))
    assert wide.shape[1] > 1.9 * narrow.shape[1]
    assert run(*words, "--task", "segmentation", "--classes", 2) == 2
    assert "which is none of --classes 2" in capfd.readouterr().err


def test_boxes_are_drawn_where_their_images_show_them(tmp_path):
    path = str(tmp_path / "some.rec")
    box_scenes.write(path, 3, seed=5)
    words = f"--task detection --classes {box_scenes.CLASSES} --input-size 90 --max-side 120"
    config = configuration.parse([*words.split(), "--rec-train", path])
    train, evaluation = loader.train_transform(config), loader.eval_transform(config)
    with RecordFile(path) as file:
        shown = targets.targets_of(config, file)
        row = contact_sheet.row_of(file, 1, train, evaluation, 0, 2, shown.read)
    assert len(row.shown) == 4 and "record 1, 1 box" in row.shown[0][0]
    ((_, color),) = shown.legend()
    for _, picture in row.shown:
        framed = np.abs(picture - color).max(axis=2) < 0.01
        rows, columns = np.flatnonzero(framed.any(axis=1)), np.flatnonzero(framed.any(axis=0))
        inside = picture[rows[0] + 3 : rows[-1] - 2, columns[0] + 3 : columns[-1] - 2]
        assert inside.size and inside.max(axis=2).min() > 0.6  # the bright rectangle
