"""ImageNet-C: AlexNet's errors against a second source, the figures against a plain loop, and what
is missing is named.
"""

import json
import os

import cv2
import numpy as np
import pytest

from gluon_tricks.commands import evaluate as command
from gluon_tricks.deploy import imagenet_c
from gluon_tricks.deploy.classifier import Classifier
from gluon_tricks.deploy.preprocessing import Preprocessing
from gluon_tricks.errors import UserError

IDS = ["n01440764", "n01443537", "n02093256"]
# AlexNet's errors at each severity: another source than that of the means, evaluation code which
# several public repositories have.
BY_SEVERITY = dict(
    gaussian_noise=(0.69528, 0.82542, 0.93554, 0.98138, 0.99452),
    shot_noise=(0.71224, 0.85108, 0.93574, 0.98182, 0.99146),
    impulse_noise=(0.78374, 0.89808, 0.9487, 0.9872, 0.99548),
    defocus_blur=(0.65624, 0.73202, 0.85036, 0.91364, 0.94714),
    glass_blur=(0.64308, 0.75054, 0.88806, 0.91622, 0.93344),
    motion_blur=(0.5843, 0.70048, 0.82108, 0.8975, 0.92638),
    zoom_blur=(0.70008, 0.76992, 0.80784, 0.84198, 0.87198),
    snow=(0.71726, 0.88392, 0.86468, 0.9187, 0.94952),
    frost=(0.6139, 0.79734, 0.8879, 0.89942, 0.9343),
    fog=(0.67474, 0.7605, 0.84378, 0.8726, 0.945),
    brightness=(0.4514, 0.48502, 0.54048, 0.62166, 0.7244),
    contrast=(0.64548, 0.7615, 0.88874, 0.9776, 0.9927),
    elastic_transform=(0.52596, 0.70116, 0.55686, 0.64076, 0.80554),
    pixelate=(0.52218, 0.5462, 0.73728, 0.87092, 0.91262),
    jpeg_compression=(0.51002, 0.54718, 0.57294, 0.65458, 0.74778),
)


def test_alexnets_errors_are_the_means_of_those_by_severity():
    assert list(imagenet_c.ALEXNET) == list(BY_SEVERITY)
    for name, errors in BY_SEVERITY.items():
        assert imagenet_c.ALEXNET[name] == pytest.approx(100 * np.mean(errors), abs=1e-6)


def test_alexnets_own_mce_is_100():
    ce = [
        imagenet_c.corruption_error(name, [100 * error for error in errors])
        for name, errors in BY_SEVERITY.items()
    ]
    np.testing.assert_allclose(ce, 100, atol=1e-5)


def class_of(name, severity, number, i):
    """Which class image ``i`` of class ``number`` looks like: more of them wrong, the severer."""
    wrong = i < severity + (name == "fog")
    return (number + wrong) % 3


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """All 75 folders, with 7 images of 16x16 for each of three classes, grey as what they show."""
    folder = tmp_path_factory.mktemp("imagenet-c")
    pictures = [
        cv2.imencode(".jpg", np.full((16, 16, 3), 60 * shown, np.uint8))[1].tobytes()
        for shown in range(3)
    ]
    for name in imagenet_c.ALEXNET:
        for severity in range(1, 6):
            for number, wordnet_id in enumerate(IDS):
                inside = folder / name / str(severity) / wordnet_id
                inside.mkdir(parents=True)
                for i in range(7):
                    picture = pictures[class_of(name, severity, number, i)]
                    (inside / f"ILSVRC2012_val_{i:08d}.JPEG").write_bytes(picture)
    return str(folder)


def stub(labels=None, order=(0, 1, 2)):
    """A classifier that sees the grey; ``order``: its output of each grey."""

    def predict(images):
        assert images.shape[1:] == (3, 16, 16)
        grey = np.rint(images.mean(axis=(1, 2, 3)) / 60).astype(int)
        return np.eye(3, dtype=np.float32)[np.array(order)[grey]]

    preprocessing = Preprocessing(16, 0.875, (0.0,) * 3, (1.0,) * 3)
    return Classifier("stub", "gluon", None, 3, preprocessing, predict, labels=labels)


@pytest.mark.slow
def test_errors_and_mce_are_those_of_a_plain_count(tree):
    found = imagenet_c.evaluate(stub(), tree, batch_size=4)
    expected = {
        name: [100 * min(7, severity + (name == "fog")) / 7 for severity in range(1, 6)]
        for name in BY_SEVERITY
    }
    for name, errors in expected.items():
        np.testing.assert_allclose(found["errors"][name], errors)
    ratios = [sum(expected[name]) / sum(BY_SEVERITY[name]) for name in BY_SEVERITY]
    assert found["mce"] == pytest.approx(np.mean(ratios), rel=1e-6)
    assert found["images"] == 75 * 21 and found["missing"] == []


@pytest.mark.slow
def test_classes_are_in_the_order_of_the_labels_and_else_of_the_sorted_ids(tree):
    sorted_order = imagenet_c.evaluate(stub(), tree)["errors"]["snow"]
    other = [f"{wordnet_id} a fish, a thing" for wordnet_id in (IDS[2], IDS[0], IDS[1])]
    assert imagenet_c.evaluate(stub(other, (1, 2, 0)), tree)["errors"]["snow"] == sorted_order
    named = [f"{number}" for number in range(3)]
    assert imagenet_c.evaluate(stub(named), tree)["errors"]["snow"] == sorted_order
    model = stub()
    model.classes = 4
    with pytest.raises(UserError, match="has 3 classes, but the model has 4.*--labels FILE"):
        imagenet_c.evaluate(model, tree)
    with pytest.raises(UserError, match="stub: two of its classes are labelled n01440764"):
        imagenet_c.evaluate(stub(["n01440764 tench", "n01440764", "n01443537"]), tree)
    with pytest.raises(UserError, match=r"n02093256.*JPEG: its folder is not one of the model's"):
        imagenet_c.evaluate(stub(["n01440764", "n01443537", "n99999999"]), tree)


def part_of(tree, tmp_path, *names):
    """A copy of some levels, by links."""
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        os.symlink(os.path.join(tree, name), tmp_path / name)
    return str(tmp_path)


def run(words, model, monkeypatch):
    import argparse

    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    monkeypatch.setattr(command.arguments, "open_from", lambda args: model)
    return command.main(parser.parse_args(["MODEL", *words]))


@pytest.mark.slow
def test_the_command_prints_a_table_and_writes_json(tree, tmp_path, monkeypatch, capsys):
    out = tmp_path / "x.json"
    assert run(["--imagenet-c", tree, "--json", str(out)], stub(), monkeypatch) == 0
    said, held = capsys.readouterr().out, json.loads(out.read_text())
    assert len(held["errors"]) == 15 and held["kind"] == "gluon" and held["imagenet_c"] == tree
    (line,) = [line for line in said.splitlines() if line.startswith("fog")]
    assert line.split()[1:7] == ["28.57", "42.86", "57.14", "71.43", "85.71", "57.14"]
    assert f"mCE {held['mce']:.2f} on 1,575 images" in said


def test_what_is_missing_is_named_and_there_is_no_mce(tree, tmp_path, monkeypatch, capsys):
    names = [f"{name}/{level}" for name in ("fog", "snow") for level in range(1, 6)]
    folder = part_of(tree, tmp_path, *names[:-1])
    partial = tmp_path / "snow" / "5"
    (partial / IDS[0]).mkdir(parents=True)
    os.symlink(os.path.join(tree, names[-1], IDS[0]), partial / IDS[0] / "images")
    for name in os.listdir(os.path.join(tree, names[-1], IDS[0])):
        os.symlink(os.path.join(tree, names[-1], IDS[0], name), partial / IDS[0] / name)
    os.remove(partial / IDS[0] / "images")
    found = imagenet_c.evaluate(stub(), folder)
    assert found["mce"] is None and found["ce"]["frost"] is None and found["ce"]["fog"] > 0
    assert len(found["missing"]) == 13 * 5 + 2 and found["missing"][0] == "gaussian_noise/1"
    assert found["missing"][-2:] == [f"snow/5/{IDS[1]}", f"snow/5/{IDS[2]}"]
    assert run(["--imagenet-c", folder], stub(), monkeypatch) == 1
    said = capsys.readouterr()
    assert "missing: gaussian_noise/1, gaussian_noise/2" in said.err and "mCE - on" in said.out


def test_broken_images_and_other_folders_are_named(tree, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="no folder of ImageNet-C, such as gaussian_noise/1"):
        imagenet_c.evaluate(stub(), str(tmp_path))
    inside = tmp_path / "fog" / "1" / IDS[0]
    inside.mkdir(parents=True)
    (inside / "x.JPEG").write_bytes(b"no image")
    with pytest.raises(UserError, match="x.JPEG: cannot be decoded"):
        imagenet_c.evaluate(stub([*IDS]), str(tmp_path))
    with pytest.raises(UserError, match="--imagenet-c and --rec-val contradict"):
        run(["--imagenet-c", tree, "--rec-val", "x.rec"], stub(), monkeypatch)
    for flag in ("--batch-size", "--num-data-workers"):
        with pytest.raises(UserError, match=f"{flag} is 0, but has to be at least 1"):
            run(["--imagenet-c", tree, flag, "0"], stub(), monkeypatch)


def test_the_images_are_taken_as_they_are_unless_a_crop_is_asked_for(tmp_path):
    image = np.zeros((16, 16, 3), np.uint8)
    image[0] = 255  # the border, which a crop would cut off
    inside = tmp_path / "fog" / "1" / IDS[0]
    inside.mkdir(parents=True)
    cv2.imwrite(str(inside / "x.png"), image)
    seen = []
    for crop_ratio in (None, 0.875):
        model = stub([*IDS])
        model.compute = lambda images: seen.append(images) or np.eye(3, dtype=np.float32)[:1]
        imagenet_c.evaluate(model, str(tmp_path), crop_ratio)
    assert (seen[0][0, :, 0] == 255).all() and (seen[1][0, :, 0] < 255).all()
    np.testing.assert_array_equal(seen[0][0].transpose(1, 2, 0), image)
