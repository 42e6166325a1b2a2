"""The figures of a network on files with masks: training's own, GluonCV's, by hand."""

import json

import cv2
import mxnet as mx
import numpy as np
import pytest
from gluoncv.utils.metrics.segmentation import SegmentationMetric
from scenes import NAMES, K, png, scene

from gluon_tricks import open_model
from gluon_tricks.data.mask_files import mask_path_of
from gluon_tricks.data.records import RecordWriter
from gluon_tricks.deploy.segmentation import confusion_picture, evaluation
from gluon_tricks.deploy.segmentation.protocols import protocol
from gluon_tricks.errors import UserError
from gluon_tricks.tasks.confusion import confusion_matrix, summary

VAL = range(100, 109)


@pytest.fixture
def model(run_folder):
    return open_model(str(run_folder))


def read(path):
    return json.loads(path.read_text())


def test_the_centre_crop_gives_the_very_figures_of_trainings_validation(
    command, run_folder, tmp_path
):
    best = read(run_folder / "result.json")["best"]
    assert command("evaluate", run_folder, "--protocol", "centre", "--json", tmp_path / "a") == 0
    found = read(tmp_path / "a")
    assert found["miou"] == pytest.approx(best["miou"], abs=1e-9)
    assert found["accuracy"] == pytest.approx(best["accuracy"], abs=1e-9)
    assert found["images"] == best["images"] == len(VAL)
    assert "centre crop 24 x 24" in found["protocol"]["words"]


def test_single_scale_is_gluoncvs_metric_of_the_networks_answers_to_whole_images(
    command, model, run_folder, tmp_path, capsys
):
    theirs = SegmentationMetric(K)
    mean, std = (np.reshape(model.preprocessing[i], (3, 1, 1)) for i in (2, 3))
    for number in VAL:
        picture, mask = scene(number)
        image = (picture.transpose(2, 0, 1).astype(float) - mean) / std
        logits = model.trained.net(mx.nd.array(image[None]))
        signed = np.where(mask == 255, -1, mask.astype(int))
        theirs.update(mx.nd.array(signed[None]), logits)
    assert command("evaluate", run_folder, "--json", tmp_path / "a") == 0
    found, (accuracy, miou) = read(tmp_path / "a"), theirs.get()
    # A pixel whose two best classes are equal but for rounding may fall to either.
    assert found["accuracy"] == pytest.approx(100 * accuracy, abs=0.05)
    assert found["miou"] == pytest.approx(100 * miou, abs=0.1)
    printed = capsys.readouterr().out
    assert (
        f"mIoU {found['miou']:.2f} %" in printed
        and "each image once at its original size" in printed
    )


def test_json_holds_the_confusion_matrix_of_the_masks_and_a_line_for_each_class(
    command, model, run_folder, tmp_path
):
    command("evaluate", run_folder, "--json", tmp_path / "a")
    found = read(tmp_path / "a")
    expected = sum(confusion_matrix(m, model.segment(p), K) for p, m in map(scene, VAL))
    assert found["confusion"] == expected.tolist() and found["pixels"] == expected.sum()
    assert [each["label"] for each in found["by_class"]] == NAMES
    assert [each["labelled"] for each in found["by_class"]] == expected.sum(axis=1).tolist()
    assert found["miou"] == pytest.approx(np.mean([each["iou"] for each in found["by_class"]]))


def test_the_table_says_which_class_occurs_nowhere_and_what_a_class_is_taken_for(
    command, run_folder, capsys
):
    command("evaluate", run_folder, "--protocol", "multi", "--scales", "0.5,1")
    printed = capsys.readouterr().out
    lines = {line.split("  ")[0]: line for line in printed.splitlines()}
    assert "occurs nowhere" in lines["blue"]  # which no scene has
    assert "1 of 4 classes occur nowhere and count 0" in printed
    assert "scales 0.5, 1 of a long side of 30, each mirrored too, in windows of 24" in printed


def test_several_views_agree_with_the_networks_answers_where_all_are_the_same(model):
    """A picture of one colour looks the same in every view but for its edges."""
    picture = np.full((40, 52, 3), (220, 60, 50), np.uint8)
    many = model.segment(picture, protocol("multi", model.preprocessing).views)
    assert set(np.unique(many[10:-10, 10:-10])) == set(
        np.unique(model.segment(picture)[10:-10, 10:-10])
    )


def test_broken_records_and_masks_that_do_not_fit_are_named(model, tmp_path):
    picture, mask = scene(0)
    cases = {
        "record 7: cannot be decoded": (b"no image", png(mask)),
        "record 7: the mask has": (png(picture), png(mask[1:])),
        "which is none of --classes 4": (png(picture), png(np.full_like(mask, K))),
    }
    how = protocol("single", model.preprocessing)
    for number, (message, (image, label)) in enumerate(cases.items()):
        path = str(tmp_path / f"{number}.rec")
        with RecordWriter(path) as images, RecordWriter(mask_path_of(path)) as masks:
            images.write(7, 0, image)
            masks.write(7, 0, label)
        with pytest.raises(UserError, match=message):
            evaluation.confusion(model, path, "", how)


def test_outputs_that_are_not_finite_name_the_record(model, records):
    net = model.compute
    model.compute = lambda images: net(images) * np.inf
    with pytest.raises(UserError, match="for record 100 are not finite"):
        evaluation.confusion(
            model, str(records / "val.rec"), "", protocol("single", model.preprocessing)
        )


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--scales", "0.5"], "--scales has no effect with --protocol single"),
        (
            ["--protocol", "centre", "--window", "9"],
            "--window has no effect with --protocol centre",
        ),
        (["--window", "0"], "--window 0: has to be at least 1"),
        (["--protocol", "multi", "--long-side", "-1"], "--long-side -1: has to be at least 0"),
        (["--imagenet-c", "x"], "--imagenet-c is for models for classification"),
        (["--crop-ratio", "0.5"], "--crop-ratio has no effect: .* is for segmentation"),
        (["--rec-val", "nowhere.rec"], "nowhere.rec"),
    ],
)
def test_flags_without_effect_and_wrong_values_are_refused(
    command, run_folder, flags, message, capsys
):
    import re

    assert command("evaluate", run_folder, *flags) == 2
    error = capsys.readouterr().err
    assert re.search(message, error) and error.count("\n") == 1


def test_classifiers_refuse_the_flags_of_segmentation():
    from argparse import Namespace

    from gluon_tricks.commands import evaluate, of_task
    from gluon_tricks.deploy.classifier import Classifier
    from gluon_tricks.deploy.preprocessing import Preprocessing

    sizes = Preprocessing(8, 1.0, (0, 0, 0), (1, 1, 1))
    model = Classifier("some", "gluon", "some", 3, sizes, None)
    known = dict(classification={"batch_size": 32}, segmentation={"protocol": "single"})
    args = Namespace(defaults_of_tasks=known, protocol="multi")
    with pytest.raises(UserError, match="--protocol is for models for segmentation"):
        of_task.part_of(args, model, evaluate.PARTS)
    known["detection"] = {"protocol": "single"}
    args = Namespace(defaults_of_tasks=known, protocol="multi")
    with pytest.raises(UserError, match="--protocol is for models for segmentation or detection"):
        of_task.part_of(args, model, evaluate.PARTS)
    args = Namespace(defaults_of_tasks=known)
    of_task.part_of(args, model, evaluate.PARTS)
    assert args.batch_size == 32 and not hasattr(args, "protocol")


def test_the_picture_of_the_matrix_has_a_dark_diagonal_if_all_is_right(tmp_path):
    path = str(tmp_path / "a.png")
    for names in (NAMES, NAMES * 16):
        confusion_picture.draw(np.eye(len(names), dtype=int) * 9, names, path)
        blue, _, red = cv2.split(cv2.imread(path))
        bar = red.shape[1] * 17 // 20  # where that of the colours begins
        dark = np.argwhere((blue[:, :bar] > 80) & (red[:, :bar] < 30))
        assert np.corrcoef(dark.T)[0, 1] > 0.9  # from the upper left to the lower right
    with pytest.raises(UserError, match="nowhere/x.png: cannot be written"):
        confusion_picture.draw(np.eye(4), NAMES, "/nowhere/x.png")


def test_figures_of_a_manifest_are_those_of_the_summary(model, records):
    path = str(records / "val.rec")
    matrix, images = evaluation.confusion(model, path, "", protocol("single", model.preprocessing))
    found = evaluation.measure(model, path)
    assert found["miou"] == summary(matrix)["miou"] and found["images"] == images == 9
