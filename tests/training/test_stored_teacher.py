"""Distillation from stored logits: mixed as the targets are, found by key, the same after a
resume; and only from a file that is of these data and classes.
"""

import json
import os
import shutil

import mxnet as mx
import numpy as np
import pytest

from gluon_tricks.config import ConfigError, parse
from gluon_tricks.data.fingerprint import fingerprint
from gluon_tricks.data.records import RecordFile
from gluon_tricks.data.teacher_logits import About, TeacherLogits, TeacherLogitsWriter
from gluon_tricks.errors import UserError
from gluon_tricks.tasks.classification import Classification
from gluon_tricks.training import stored_teacher
from gluon_tricks.training.objective import Objective
from gluon_tricks.tricks.distillation import soft_loss
from gluon_tricks.tricks.mixup import draw_lambda, draw_partners

RNG = np.random.RandomState(0)


def stored(path, keys, classes, data=None, seed=0):
    """A file of random logits."""
    about = About(len(keys), classes, "float32", dict(sha256="x"), {}, data or {})
    logits = np.random.RandomState(seed).normal(0, 3, (len(keys), classes)).astype(np.float32)
    with TeacherLogitsWriter(str(path), about, keys) as writer:
        writer.write(logits)
    return logits


def of_records(path, record, classes=10, **given):
    with RecordFile(record) as records:
        return stored(path, records.keys, classes, fingerprint(record), **given)


def objective(path, words=""):
    config = parse(f"--classes 4 --teacher-logits {path} --temperature 2 {words}".split())
    task = Classification.from_config(config)
    return Objective.from_config(config, task, 5, stored=TeacherLogits(str(path)))


def log_softmax(x):
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


@pytest.mark.parametrize("words", ["", "--mixup", "--mixup --label-smoothing --hard-weight 0.3"])
def test_the_loss_is_the_formula_with_logits_mixed_as_the_targets(tmp_path, words):
    logits = stored(tmp_path / "x", np.arange(10, 20), 4)
    keys, labels = np.array([13, 19, 10, 11, 13]), np.array([0, 2, 1, 3, 3])
    images, z = RNG.normal(size=(5, 3, 4, 4)), RNG.normal(size=(5, 4))
    made = objective(tmp_path / "x", words)
    inputs, targets = made.prepare(mx.nd.array(images), mx.nd.array(labels), 7, 2, keys)
    assert made.look(inputs, keys) == []
    found = made.losses(mx.nd.array(z), targets).asnumpy()

    y, r = np.eye(4)[labels], logits[keys - 10]
    if "smoothing" in words:
        y = np.where(y == 1, 0.9, 0.1 / 3)
    if words:
        lam, pairs = draw_lambda(0.2, 0, 7), draw_partners(5, 0, 7, 2)
        y, r = (lam * part + (1 - lam) * part[pairs] for part in (y, r))
        np.testing.assert_allclose(
            inputs.asnumpy(), lam * images + (1 - lam) * images[pairs], atol=1e-5
        )
    hard = -(y * log_softmax(z)).sum(axis=1)
    soft = -4 * (np.exp(log_softmax(r / 2)) * log_softmax(z / 2)).sum(axis=1)
    h, s = (0.3, 0.7) if "hard-weight" in words else (1, 1)
    np.testing.assert_allclose(found, h * hard + s * soft, rtol=1e-5)
    np.testing.assert_array_equal(made.labels(targets).asnumpy(), y.argmax(axis=1))


@pytest.mark.parametrize(
    "words",
    ["--mixup-alpha 5", "--mixup-alpha 5 --mixup-type 1", "--mixup-alpha 5 --mixup-type 2"]
    + ["--cutmix 1"],
)
def test_every_mixing_treats_logits_as_it_treats_targets(tmp_path, words):
    """A teacher whose logits are 1 for the class and 0 for the others."""
    keys, labels = np.arange(8), np.array([0, 1, 2, 3, 3, 2, 1, 0])
    with TeacherLogitsWriter(str(tmp_path / "x"), About(8, 4, "float32", {}, {}, {}), keys) as file:
        file.write(np.eye(4, dtype=np.float32)[labels])
    made, images = objective(tmp_path / "x", words), mx.nd.array(RNG.normal(size=(8, 3, 9, 9)))
    mixed = 0
    for step in range(5):
        _, targets = made.prepare(images, mx.nd.array(labels), step, 0, keys)
        targets = targets.asnumpy()
        np.testing.assert_array_equal(targets[:, :4], targets[:, 4:])
        mixed += (targets.max(axis=1) < 1).sum()
    assert mixed > 0


def test_logits_of_the_same_images_are_as_good_as_the_teacher_itself(tmp_path):
    """Without mixing, a live teacher of the centre crops would have said the same."""
    logits = stored(tmp_path / "x", np.arange(6), 4)
    z, labels = mx.nd.array(RNG.normal(size=(6, 4))), mx.nd.array([0, 1, 2, 3, 0, 1])
    made = objective(tmp_path / "x")
    _, targets = made.prepare(mx.nd.zeros((6, 3, 4, 4)), labels, 0, 0, np.arange(6))
    live = soft_loss(z, mx.nd.array(logits), 2)
    hard = Classification(4).losses(z, Classification(4).targets(labels))
    np.testing.assert_allclose(made.losses(z, targets).asnumpy(), (hard + live).asnumpy())


def record_of(digits):
    return str(digits / "train.rec")


def test_another_number_of_classes_other_data_and_absent_records_are_refused(digits, tmp_path):
    record = record_of(digits)
    config = parse(f"--rec-train {record} --classes 10 --teacher-logits {tmp_path}/x".split())
    with RecordFile(record) as records:
        keys, data = records.keys, fingerprint(record)

    def refused(match, *given):
        stored(tmp_path / "x", *given)
        with pytest.raises(UserError, match=match):
            stored_teacher.stored_teacher(config)

    refused("11 classes, the student has 10.*--first-class 1", keys, 11, data)
    refused(f"has no logits of record {keys[3]}: it was made of other", np.delete(keys, 3), 10)
    other = dict(data, sample_sha256="0" * 64)
    refused("other images than .*train.rec: sample_sha256 0{12} -> [0-9a-f]{12}$", keys, 10, other)
    of_records(tmp_path / "x", record)
    assert len(stored_teacher.stored_teacher(config)) == len(keys)
    assert stored_teacher.stored_teacher(parse(["--synthetic"])) is None


@pytest.mark.parametrize(
    "words, reason",
    [
        ("--teacher y", "--teacher and --teacher-logits contradict each other"),
        ("--synthetic", "looked up by record keys"),
        ("--data-backend native", "looked up by record keys"),
    ],
)
def test_flags_that_cannot_be_together(words, reason):
    with pytest.raises(ConfigError, match=reason):
        parse(("--teacher-logits x " + words).split())


def logged(run):
    with open(os.path.join(run.config.save_dir, "log.jsonl")) as file:
        return file.read()


@pytest.mark.slow
def test_a_resumed_run_is_the_run_and_takes_no_other_logits(train, digits, tmp_path, monkeypatch):
    of_records(tmp_path / "x", record_of(digits))
    given = dict(mixup_alpha=0.2, temperature=2.0, num_epochs=1, log_interval=1)
    given.update(num_training_samples=32, teacher_logits=str(tmp_path / "x"))
    whole = train(save_dir=str(tmp_path / "whole"), **given)
    plain = train(
        save_dir=str(tmp_path / "plain"), **dict(given, teacher_logits="", temperature=None)
    )
    assert logged(whole) != logged(plain)
    with open(tmp_path / "whole" / "config.json") as file:
        digest = json.load(file)["parameters"]["teacher_logits"]
    assert digest == TeacherLogits(str(tmp_path / "x")).digest

    given.update(save_dir=str(tmp_path / "parts"), resume="auto", max_steps=2)
    train(**given)
    shutil.copy(tmp_path / "x", tmp_path / "moved")
    of_records(tmp_path / "x", record_of(digits), seed=1)
    with pytest.raises(ConfigError, match="--teacher-logits: its logits have changed"):
        train(**given)
    monkeypatch.chdir(tmp_path)
    resumed = train(**dict(given, teacher_logits="moved"))
    assert resumed.progress.step == 4 and logged(resumed) == logged(whole)
    nets = [run.learner.net._collect_params_with_prefix() for run in (whole, resumed)]
    for name, parameter in nets[0].items():
        np.testing.assert_array_equal(parameter.data().asnumpy(), nets[1][name].data().asnumpy())


@pytest.mark.slow
def test_two_devices_read_the_rows_of_their_own_images(train, digits, tmp_path):
    """One batch of 8 on two devices is that on one device with two micro-batches."""
    of_records(tmp_path / "x", record_of(digits))
    given = dict(batch_size=4, num_epochs=1, num_training_samples=16, log_interval=1)
    given.update(teacher_logits=str(tmp_path / "x"))
    logs = [
        logged(train(save_dir=str(tmp_path / name), **given, **spread))
        for name, spread in (("a", dict(cpu_contexts=2)), ("b", dict(accumulate=2)))
    ]
    assert logs[0] == logs[1]
