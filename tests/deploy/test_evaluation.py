"""Evaluation: every image once, figures as independent sources compute them, errors that name the
record.
"""

import argparse
import json

import cv2
import numpy as np
import pytest
from sklearn.metrics import log_loss, top_k_accuracy_score

from gluon_tricks.commands import evaluate as command
from gluon_tricks.data.records import RecordWriter
from gluon_tricks.deploy import evaluation
from gluon_tricks.deploy.classifier import Classifier
from gluon_tricks.deploy.preprocessing import Preprocessing
from gluon_tricks.errors import UserError
from gluon_tricks.tasks.classification import Classification


def write_records(path, labels, payloads=None):
    with RecordWriter(path) as writer:
        for i, label in enumerate(labels):
            image = np.full((12, 12, 3), 20 * i, np.uint8)
            payload = cv2.imencode(".png", image)[1].tobytes() if payloads is None else payloads[i]
            writer.write(10 + i, float(label), payload)
    return str(path)


def stub(logits):
    """A classifier that gives these logits, row by row, and notes the images it saw."""
    rows, seen = iter(logits), []

    def predict(images):
        assert images.dtype == np.float32 and images.shape[1:] == (3, 8, 8)
        seen.extend(images[:, 0, 0, 0])
        return np.stack([next(rows) for _ in images]).astype(np.float32)

    preprocessing = Preprocessing(8, 1.0, (0.0,) * 3, (1.0,) * 3)
    model = Classifier("stub", "gluon", None, logits.shape[1], preprocessing, predict)
    model.seen = seen
    return model


@pytest.mark.parametrize("batch_size", [1, 4, 11, 50])
def test_figures_are_those_of_scikit_learn_at_any_batch_size(tmp_path, batch_size):
    labels = np.arange(11) % 7
    logits = np.random.default_rng(0).normal(size=(11, 7))
    model = stub(logits)
    figures = evaluation.evaluate(
        model, write_records(tmp_path / "val.rec", labels), batch_size=batch_size
    )
    assert figures["images"] == 11
    assert model.seen == [20.0 * i for i in range(11)]  # each image once, in the file's order
    everything = np.arange(7)
    assert figures["top1"] == pytest.approx(
        100 * top_k_accuracy_score(labels, logits, k=1, labels=everything)
    )
    assert figures["top5"] == pytest.approx(
        100 * top_k_accuracy_score(labels, logits, k=5, labels=everything)
    )
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert figures["loss"] == pytest.approx(log_loss(labels, shares, labels=everything), rel=1e-6)


def test_of_equal_logits_the_smaller_class_comes_first_as_in_argmax():
    logits = np.array([[1.0, 1, 1, 1, 1, 1, 1]] * 7)
    _, top1, top5 = Classification.count_each(logits, np.arange(7))
    np.testing.assert_array_equal(top1, [1, 0, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(top5, [1, 1, 1, 1, 1, 0, 0])
    rounded = np.random.default_rng(1).integers(0, 3, (500, 9)).astype(float)
    labels = np.random.default_rng(2).integers(0, 9, 500)
    order = np.argsort(-rounded, axis=1, kind="stable")
    np.testing.assert_array_equal(
        Classification.count_each(rounded, labels)[1], order[:, 0] == labels
    )
    np.testing.assert_array_equal(
        Classification.count_each(rounded, labels)[2], (order[:, :5] == labels[:, None]).any(axis=1)
    )


def test_training_counts_by_the_same_rule():
    import mxnet as mx

    logits = np.random.default_rng(1).integers(0, 3, (64, 9)).astype(np.float32)
    labels = np.random.default_rng(2).integers(0, 9, 64)
    ours, arrays = Classification.count_each(logits, labels), map(mx.nd.array, (logits, labels))
    theirs = Classification(9).count(*arrays, mx.nd.array(ours[0])).asnumpy()
    np.testing.assert_allclose(ours.sum(axis=1), theirs, rtol=1e-6)


def test_with_fewer_than_five_classes_top5_is_everything(tmp_path):
    figures = evaluation.evaluate(
        stub(np.eye(3)[[1, 2, 0, 0]]), write_records(tmp_path / "val.rec", [0, 0, 0, 0])
    )
    assert (figures["top1"], figures["top5"]) == (50.0, 100.0)


def test_the_loss_of_large_logits_does_not_overflow():
    loss = Classification.count_each(np.array([[1000.0, 0.0], [1000.0, 0.0]]), np.array([0, 1]))[0]
    np.testing.assert_allclose(loss, [0.0, 1000.0])


def test_a_label_outside_the_classes_is_named_with_its_record(tmp_path):
    record = write_records(tmp_path / "val.rec", [0, 1, 3])
    with pytest.raises(UserError, match=r"val.rec, record 12: label 3 is none"):
        evaluation.evaluate(stub(np.zeros((3, 3))), record)


def test_a_record_that_is_no_image_is_named(tmp_path):
    record = write_records(tmp_path / "val.rec", [0, 1], [b"hello", b"world"])
    with pytest.raises(UserError, match=r"val.rec, record 10: cannot be decoded"):
        evaluation.evaluate(stub(np.zeros((2, 3))), record)


def test_outputs_that_are_not_finite_or_of_another_shape_are_errors(tmp_path):
    record = write_records(tmp_path / "val.rec", [0, 1, 2])
    logits = np.zeros((3, 3))
    logits[1, 2] = np.nan
    with pytest.raises(UserError, match="outputs for record 11 are not finite"):
        evaluation.evaluate(stub(logits), record)
    model = stub(np.zeros((3, 4)))
    model.classes = 3
    with pytest.raises(UserError, match=r"shape \(3, 4\) for 3 images and 3 classes"):
        evaluation.evaluate(model, record)


def run(arguments, model, monkeypatch):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    monkeypatch.setattr(command.arguments, "open_from", lambda args: model)
    return command.main(parser.parse_args(arguments))


def test_the_command_prints_and_writes_the_figures(tmp_path, monkeypatch, capsys):
    record = write_records(tmp_path / "val.rec", [0, 1, 2, 0])
    out = tmp_path / "figures.json"
    assert (
        run(
            ["MODEL", "--rec-val", record, "--json", str(out)],
            stub(np.eye(3)[[0, 1, 1, 1]]),
            monkeypatch,
        )
        == 0
    )
    assert "top-1 50.00 %, top-5 100.00 %" in capsys.readouterr().out
    held = json.loads(out.read_text())
    assert (held["top1"], held["top5"], held["images"], held["kind"]) == (50.0, 100.0, 4, "gluon")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--batch-size", "0", "--rec-val", "x.rec"], "--batch-size is 0, but has to be at least"),
        (["--batch-size", str(2**31), "--rec-val", "x.rec"], "--batch-size is 2147483648, but"),
        ([], "--rec-val FILE.rec is needed"),
        (["--rec-val", "nowhere.rec"], "nowhere.rec: cannot be read"),
    ],
)
def test_wrong_flags_say_what_is_wrong(arguments, message, monkeypatch):
    with pytest.raises(UserError, match=message):
        run(["MODEL"] + arguments, stub(np.eye(3)), monkeypatch)
