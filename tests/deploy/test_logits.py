"""Storing a teacher's logits: its outputs for the centre crops, under the records' keys."""

import argparse

import cv2
import numpy as np
import pytest

from gluon_tricks.commands import logits as command
from gluon_tricks.data.records import RecordWriter
from gluon_tricks.data.teacher_logits import TeacherLogits
from gluon_tricks.deploy import logits as storing
from gluon_tricks.deploy.classifier import Classifier
from gluon_tricks.deploy.preprocessing import Preprocessing
from gluon_tricks.errors import UserError


@pytest.fixture
def record(tmp_path):
    """Nine grey images, each of its own grey, under keys that are not in order."""
    path = str(tmp_path / "train.rec")
    with RecordWriter(path) as writer:
        for i, key in enumerate([7, 3, 5, 90, 4, 1, 2, 8, 6]):
            image = np.full((12, 16, 3), 20 * i, np.uint8)
            writer.write(key, i % 3, cv2.imencode(".png", image)[1].tobytes())
    return path


class Teacher:
    """Its logits say which image it has seen, and it is right about every class."""

    def __init__(self, path, classes=3, stop_after=None):
        path.write_text("a network")
        self.seen, self.stop_after, self.classes = [], stop_after, classes
        preprocessing = Preprocessing(8, 1.0, (0.0,) * 3, (1.0,) * 3)
        self.classifier = Classifier(str(path), "onnx", None, classes, preprocessing, self)

    def __call__(self, images):
        grey = images.mean(axis=(1, 2, 3)) / 20
        if self.stop_after is not None and len(self.seen) >= self.stop_after:
            raise KeyboardInterrupt
        self.seen += list(grey)
        logits = np.zeros((len(images), self.classes), np.float32)
        logits[:, self.classes - 3 :] = grey[:, None]
        logits[np.arange(len(images)), self.classes - 3 + np.rint(grey).astype(int) % 3] += 1
        return logits


def test_the_rows_are_the_outputs_under_the_records_keys(record, tmp_path):
    teacher = Teacher(tmp_path / "model.onnx")
    figures = storing.store(teacher.classifier, record, "", str(tmp_path / "x"), batch_size=4)
    assert (figures["top1"], figures["images"]) == (100, 9)
    found = TeacherLogits(str(tmp_path / "x"))
    np.testing.assert_array_equal(found.keys, [7, 3, 5, 90, 4, 1, 2, 8, 6])
    np.testing.assert_array_equal(found.rows(np.array([90, 7])), [[4, 3, 3], [1, 0, 0]])
    about = found.about
    assert about.preprocessing["input_size"] == 8 and about.data["records"] == 9
    assert about.teacher["source"] == "model.onnx" and about.teacher["first_class"] == 0


def test_outputs_before_the_first_class_are_left_out(record, tmp_path):
    teacher = Teacher(tmp_path / "model.onnx", classes=4)
    figures = storing.store(
        teacher.classifier, record, "", str(tmp_path / "x"), first_class=1, batch_size=4
    )
    assert figures["top1"] == 100
    np.testing.assert_array_equal(TeacherLogits(str(tmp_path / "x")).rows([3]), [[1, 2, 1]])
    shifted = storing.store(teacher.classifier, record, "", str(tmp_path / "y"))
    assert shifted["top1"] < 50  # so the command's output says that the classes are shifted
    for first_class in (-1, 4):
        with pytest.raises(UserError, match="--first-class -?[14]: the teacher has 4 outputs"):
            storing.store(teacher.classifier, record, "", "z", first_class=first_class)
    with pytest.raises(UserError, match="train.rec, record 5: label 2 is none of"):
        storing.store(teacher.classifier, record, "", str(tmp_path / "z"), first_class=2)


def test_a_teacher_that_was_interrupted_sees_only_what_is_left(record, tmp_path):
    first, second = (Teacher(tmp_path / "model.onnx", stop_after=n) for n in (4, None))
    with pytest.raises(KeyboardInterrupt):
        storing.store(first.classifier, record, "", str(tmp_path / "x"), batch_size=2)
    assert not (tmp_path / "x").exists()
    figures = storing.store(second.classifier, record, "", str(tmp_path / "x"), batch_size=2)
    np.testing.assert_allclose(first.seen + second.seen, np.arange(9))
    assert figures["images"] == 5
    storing.store(Teacher(tmp_path / "model.onnx").classifier, record, "", str(tmp_path / "y"))
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


def test_a_teacher_is_known_by_its_numbers_and_not_by_its_place(record, tmp_path, network):
    def digest(net, path):
        from gluon_tricks.deploy.opened import Trained

        model = Teacher(tmp_path / "unused").classifier
        model.path, model.trained = str(path), Trained(net)
        return storing.identity(model, 0)["sha256"]

    assert digest(network("plain"), "a") == digest(network("plain"), "b")
    assert digest(network("plain"), "a") != digest(network("plain", classes=4), "a")


@pytest.mark.slow
def test_the_command_opens_a_trained_network_and_says_how_good_it_is(
    digits, tmp_path, monkeypatch, capsys
):
    from gluon_tricks import models

    net = models.get_model("cifar_resnet20_v1", classes=10)
    net.initialize()
    import mxnet as mx

    net(mx.nd.zeros((1, 3, 32, 32)))
    net.save_parameters(str(tmp_path / "net.params"))
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    out = str(tmp_path / "x")
    words = [str(tmp_path / "net.params"), str(digits / "val.rec"), "-o", out]
    words += ["--model", "cifar_resnet20_v1", "--crop-ratio", "1", "--dtype", "float32"]
    assert command.main(parser.parse_args(words)) == 0
    said = capsys.readouterr().out
    assert "bytes of float32 logits" in said and "top-1" in said
    held = TeacherLogits(out)
    from gluon_tricks.deploy import evaluation, opening

    model = opening.open_model(words[0], model="cifar_resnet20_v1", crop_ratio=1.0)
    batch = next(evaluation.batches(model, words[1], batch_size=5))
    np.testing.assert_allclose(held.rows(batch.keys), model.predict(batch.images), atol=1e-4)
    with pytest.raises(UserError, match="--batch-size is 0"):
        command.main(parser.parse_args(words + ["--batch-size", "0"]))
