"""Prediction: the right probabilities under the right names, for images of every kind; broken ones
named.
"""

import argparse
import json

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax

from gluon_tricks.commands import predict
from gluon_tricks.data.records import RecordWriter
from gluon_tricks.deploy.classifier import Classifier
from gluon_tricks.deploy.prediction import predictions
from gluon_tricks.deploy.preprocessing import Preprocessing
from gluon_tricks.errors import UserError

MEAN, STD = (100.0, 110.0, 120.0), (50.0, 60.0, 70.0)
NAMES = ["red", "green", "blue"]


def logits_of(images):
    """Mean colour: the largest channel's class wins."""
    return images.mean(axis=(2, 3)).astype(np.float32)


@pytest.fixture
def model():
    preprocessing = Preprocessing(8, 0.5, MEAN, STD)
    return Classifier("stub", "gluon", "stub", 3, preprocessing, logits_of, labels=NAMES)


@pytest.fixture
def run(model, monkeypatch):
    def main(*arguments):
        parser = argparse.ArgumentParser()
        predict.add_arguments(parser)
        monkeypatch.setattr(predict.arguments, "open_from", lambda args: model)
        return predict.main(
            parser.parse_args(["MODEL"] + [str(argument) for argument in arguments])
        )

    return main


@pytest.fixture
def pictures(tmp_path):
    """One image in many formats (RGB of a constant colour), and files that are none."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    green = np.zeros((20, 30, 3), np.uint8) + np.array([30, 200, 90], np.uint8)
    rgb = Image.fromarray(green)
    rgb.save(folder / "a.png")
    Image.fromarray(np.dstack([green, np.full((20, 30), 7, np.uint8)])).save(folder / "alpha.png")
    rgb.convert("L").save(folder / "grey.jpg", quality=100)
    rgb.convert("CMYK").save(folder / "cmyk.jpg", quality=100)
    rgb.save(folder / "UPPER.JPG", quality=100)
    (folder / "notes.txt").write_text("no image, and not called one")
    return folder


def spoil(folder):
    (folder / "text.jpg").write_text("hello")
    (folder / "empty.png").write_bytes(b"")
    whole = (folder / "UPPER.JPG").read_bytes()
    (folder / "short.jpg").write_bytes(whole[: len(whole) // 2])
    png = bytearray((folder / "a.png").read_bytes())
    png[60] ^= 255
    (folder / "bits.png").write_bytes(png)


def read(path):
    return json.loads(path.read_text())


def test_probabilities_are_the_softmax_of_the_logits_under_the_labels(
    run, pictures, tmp_path, capsys
):
    assert run(pictures / "a.png", "--top", 3, "--json", tmp_path / "out.json") == 0
    (item,) = read(tmp_path / "out.json")["images"]
    expected = softmax((np.array([30, 200, 90]) - MEAN) / STD)
    assert [guess["label"] for guess in item["top"]] == ["green", "blue", "red"]
    np.testing.assert_allclose(
        [guess["probability"] for guess in item["top"]], expected[[1, 2, 0]], rtol=1e-5
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == str(pictures / "a.png") and lines[1].split() == [
        "1",
        "%.2f" % (100 * expected[1]),
        "%",
        "green",
    ]


def test_alpha_cmyk_and_jpeg_of_one_picture_are_seen_alike_and_grey_as_grey(
    run, pictures, tmp_path
):
    assert run(pictures, "--json", tmp_path / "out.json") == 0
    found = {
        item["name"].rsplit("/", 1)[1]: item["top"]
        for item in read(tmp_path / "out.json")["images"]
    }
    assert sorted(found) == [
        "UPPER.JPG",
        "a.png",
        "alpha.png",
        "cmyk.jpg",
        "grey.jpg",
    ]  # the text file is no image
    for name in ("UPPER.JPG", "alpha.png", "cmyk.jpg"):
        assert [guess["class"] for guess in found[name]] == [
            guess["class"] for guess in found["a.png"]
        ]
        for mine, theirs in zip(found[name], found["a.png"]):
            assert mine["probability"] == pytest.approx(theirs["probability"], abs=0.02)
    grey = cv2.imread(str(pictures / "grey.jpg"), cv2.IMREAD_GRAYSCALE)[0, 0]
    shares = softmax((grey - np.array(MEAN)) / STD)
    assert [guess["class"] for guess in found["grey.jpg"]] == list(np.argsort(-shares))


def test_broken_images_are_named_and_skipped_and_the_exit_code_says_so(
    run, pictures, tmp_path, capsys
):
    spoil(pictures)
    assert run(pictures, pictures / "missing.jpg", "--json", tmp_path / "out.json") == 1
    held = read(tmp_path / "out.json")
    assert len(held["images"]) == 5
    assert [item["name"].rsplit("/", 1)[1] for item in held["skipped"]] == [
        "bits.png",
        "empty.png",
        "short.jpg",
        "text.jpg",
        "missing.jpg",
    ]
    errors = capsys.readouterr().err
    for item in held["skipped"]:
        assert item["name"] + ": cannot be" in errors


def test_records_are_found_by_their_keys_and_shown_with_their_true_class(run, tmp_path, capsys):
    with RecordWriter(tmp_path / "val.rec") as writer:
        for key, (label, color) in enumerate(
            [(0, (200, 0, 0)), (2, (0, 200, 0)), (7, (0, 0, 200))], 40
        ):
            writer.write(
                key,
                float(label),
                cv2.imencode(".png", np.full((9, 9, 3), color[::-1], np.uint8))[1].tobytes(),
            )
        writer.write(43, 0.0, b"hello")
    assert run("--rec", tmp_path / "val.rec", "--keys", "42,40-41", "--top", 1, "--json", "-") == 0
    items = json.loads(capsys.readouterr().out)["images"]
    assert [(i["name"], i["true"], i["true_label"], i["top"][0]["label"]) for i in items] == [
        (42, 7, None, "blue"),
        (40, 0, "red", "red"),
        (41, 2, "blue", "green"),
    ]
    assert run("--rec", tmp_path / "val.rec", "--keys", "43") == 1
    assert "val.rec, record 43: cannot be decoded" in capsys.readouterr().err
    with pytest.raises(UserError, match="val.rec: has no record with key 39"):
        run("--rec", tmp_path / "val.rec", "--keys", "39")


def test_the_sheet_shows_the_images_as_the_network_sees_them(run, pictures, tmp_path):
    assert run(pictures / "a.png", pictures / "grey.jpg", "--sheet", tmp_path / "sheet.png") == 0
    sheet = cv2.imread(str(tmp_path / "sheet.png"))[:, :, ::-1].reshape(-1, 3)
    assert (sheet == [30, 200, 90]).all(
        axis=1
    ).sum() > 10000  # the very colour, mean and standard deviation undone
    with pytest.raises(UserError, match="nowhere/sheet.png: cannot be written"):
        run(pictures / "a.png", "--sheet", tmp_path / "nowhere" / "sheet.png")


def test_more_images_than_a_batch_keep_their_order(model):
    pixels = np.random.default_rng(0).normal(size=(70, 3, 8, 8)).astype(np.float32)
    found = [(i, None, ValueError("broken") if i % 9 == 4 else pixels[i]) for i in range(70)]
    items = list(predictions(model, found))
    assert [item.name for item in items] == list(range(70))
    for i, item in enumerate(items):
        if i % 9 == 4:
            assert item.error == "broken"
        else:
            assert item.top[0].number == logits_of(pixels[i : i + 1]).argmax()


def test_names_are_shown_without_what_a_terminal_acts_on(run, model, pictures, capsys):
    model.labels = ["a", "\x1b[31mred\nline", "c"]
    (pictures / "a.png").rename(pictures / "x\x1b]0;title\x07.png")
    (pictures / "\x1b[2J.jpg").write_text("no image")
    assert run(pictures, "--top", 1) == 1
    printed = capsys.readouterr()
    assert r"\x1b[31mred\nline" in printed.out and r"x\x1b]0;title\x07.png" in printed.out
    assert r"\x1b[2J.jpg: cannot be decoded" in printed.err
    assert not set("\x1b\x07") & set(printed.out + printed.err)


def test_flags_may_stand_between_model_and_images(run, pictures, capsys):
    assert run("--top", 1, pictures / "a.png") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "give either images or folders"),
        (["x.jpg", "--rec", "y.rec"], "give either images or folders"),
        (["x.jpg", "--keys", "1"], "--keys has no effect without --rec"),
        (["--rec", "y.rec"], "--rec needs --keys: the records' keys"),
        (["--rec", "y.rec", "--keys", "a-b"], "--keys a-b: give"),
        (["--rec", "y.rec", "--keys", "1,0-99999999"], "--keys 1,0-99999999: at most 10,000,000"),
        (["--rec", "y.rec", "--keys", "1,9-5"], "--keys 1,9-5: give"),
        (["--rec", "y.rec", "--keys", "0-" + "9" * 30], "9: give"),
        (["x.jpg", "--top", "0"], "--top 0"),
    ],
)
def test_wrong_flags_say_what_is_wrong(run, arguments, message):
    with pytest.raises(UserError, match=message):
        run(*arguments)


def test_an_empty_folder_is_an_error_that_names_it(run, tmp_path):
    with pytest.raises(UserError, match="no images in this folder"):
        run(tmp_path)
