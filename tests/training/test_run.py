"""Whole runs: resumed to the bit, validated, saved and reported, refused with one clear message."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import mxnet as mx
import numpy as np
import pytest

from gluon_tricks import cli
from gluon_tricks import config as flags_of
from gluon_tricks.config import ConfigError
from gluon_tricks.data.records import RecordFile, RecordWriter
from gluon_tricks.distributed.workers import connect
from gluon_tricks.errors import UserError
from gluon_tricks.locking import Lock, Locked
from gluon_tricks.training import checkpoint, logger, loop, validation
from gluon_tricks.training.log_files import read
from gluon_tricks.training.run import session
from gluon_tricks.training.saving import save
from gluon_tricks.training.stopping import Diverged, Stop

TRICKS = dict(label_smoothing=0.1, mixup=True, no_wd=True, warmup_epochs=0.5)


def parameters(run):
    return {
        name: p.list_data()[0].asnumpy()
        for name, p in run.learner.net._collect_params_with_prefix().items()
    }


def same(first, second):
    return first.keys() == second.keys() and all(
        np.array_equal(first[name], second[name]) for name in first
    )


@pytest.mark.slow
@pytest.mark.parametrize("where", ["middle of an epoch", "end of an epoch", "two stops"])
@pytest.mark.parametrize(
    "launch",
    [dict(), dict(cpu_contexts=2, batch_size=4, accumulate=2)],
    ids=["one device", "parts"],
)
def test_a_resumed_run_has_the_bits_and_the_log_of_one_that_was_never_stopped(
    train, tmp_path, where, launch
):
    flags = dict(TRICKS, **launch)
    whole = train(save_dir=str(tmp_path / "whole"), **flags)
    stops = {"middle of an epoch": [3], "end of an epoch": [8], "two stops": [2, 9]}[where]
    done = 0
    for stop in stops:
        if launch:
            stop = max(1, stop // 2)
        train(save_dir=str(tmp_path / "stopped"), max_steps=stop - done, resume="auto", **flags)
        done = stop
    resumed = train(save_dir=str(tmp_path / "stopped"), resume="auto", **flags)

    assert same(parameters(whole), parameters(resumed))
    for name in ("net.params", "optimizer.states"):
        a, b = (
            mx.nd.load(str(tmp_path / run / "best" / ".." / checkpoint_name(whole) / name))
            for run in ("whole", "stopped")
        )
        assert same({k: v.asnumpy() for k, v in a.items()}, {k: v.asnumpy() for k, v in b.items()})
    assert (tmp_path / "whole" / "log.jsonl").read_bytes() == (
        tmp_path / "stopped" / "log.jsonl"
    ).read_bytes()


def checkpoint_name(run):
    return f"step-{run.timetable.total_steps:08d}"


@pytest.mark.slow
def test_validation_leaves_training_as_it_would_be_without(train, tmp_path):
    with_validation = train(save_dir=str(tmp_path / "a"), val_frequency=1)
    without = train(save_dir=str(tmp_path / "b"), val_frequency=100)
    trained = [p.name for p in with_validation.learner.trained]
    a, b = parameters(with_validation), parameters(without)
    assert len(trained) > 20 and same(a, b)


@pytest.mark.slow
def test_micro_batches_on_one_device_train_like_as_many_devices(train, tmp_path):
    flags = dict(batch_size=4, label_smoothing=0.1, mixup=True, num_epochs=1)
    devices = train(save_dir=str(tmp_path / "devices"), cpu_contexts=4, **flags)
    micro = train(save_dir=str(tmp_path / "micro"), accumulate=4, **flags)
    assert devices.layout.global_batch == micro.layout.global_batch == 16
    for p, q in zip(devices.learner.trained, micro.learner.trained):
        np.testing.assert_allclose(
            p.list_data()[0].asnumpy(), q.list_data()[0].asnumpy(), atol=1e-5
        )
    losses = [
        [
            r["loss"]
            for r in read(os.path.join(run.config.save_dir, "log.jsonl"))
            if r["event"] == "train"
        ]
        for run in (devices, micro)
    ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    alike(saved(devices), saved(micro))


def saved(run):
    """The newest checkpoint's parameters, BatchNorm's statistics with them."""
    path = os.path.join(run.config.save_dir, "checkpoints", checkpoint_name(run), "net.params")
    return {name: array.asnumpy() for name, array in mx.nd.load(path).items()}


def alike(first, second):
    assert any("running_var" in name for name in first)
    for name in first:
        np.testing.assert_allclose(first[name], second[name], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.slow
def test_a_run_goes_on_with_other_devices_and_the_same_global_batch(train, tmp_path):
    flags = dict(batch_size=4, num_epochs=1, mixup=True)
    whole = train(save_dir=str(tmp_path / "whole"), cpu_contexts=4, **flags)
    train(save_dir=str(tmp_path / "moved"), cpu_contexts=4, max_steps=2, **flags)
    moved = train(
        save_dir=str(tmp_path / "moved"), cpu_contexts=2, accumulate=2, resume="auto", **flags
    )
    for p, q in zip(whole.learner.trained, moved.learner.trained):
        np.testing.assert_allclose(
            p.list_data()[0].asnumpy(), q.list_data()[0].asnumpy(), atol=1e-5
        )
    alike(saved(whole), saved(moved))
    with pytest.raises(ConfigError, match="global batch: 16 -> 4 .--elastic allows it"):
        train(save_dir=str(tmp_path / "moved"), resume="auto", **flags)


def test_elastic_is_not_offered_for_another_batch_size_which_it_refuses(train, tmp_path):
    again = dict(save_dir=str(tmp_path / "run"), num_epochs=1, num_training_samples=8)
    train(batch_size=4, **again)
    with pytest.raises(ConfigError, match="--batch-size: 4 -> 2; the global batch: 4 -> 2. Leave"):
        train(batch_size=2, resume="auto", **again)
    with pytest.raises(ConfigError, match="--batch-size: 4 -> 2"):
        train(batch_size=2, resume="auto", elastic="scale-lr", **again)


class Clock:
    """Seconds that pass when they are told to."""

    now = 0.0

    def time(self):
        return self.now

    def slow(self, act, seconds):
        """``act``, which takes so many seconds."""

        def wait_and_act(*given):
            self.now += seconds
            return act(*given)

        return wait_and_act


@pytest.mark.slow
def test_checkpoints_and_validations_are_not_training(train, tmp_path, monkeypatch):
    """Two epochs of 4 steps of 8 images and 1 second; every third step has a checkpoint, too."""
    clock, times = Clock(), dict(train_step=1, save=100, validate=1000)
    monkeypatch.setattr(logger, "time", clock)
    for name, seconds in times.items():
        monkeypatch.setattr(loop, name, clock.slow(getattr(loop, name), seconds))
    run = train(num_training_samples=32, save_interval=3, keep_checkpoints=9, val_frequency=2)
    assert run.logger.training_seconds == 8 and clock.now == 1408
    found = checkpoint.checkpoints(str(tmp_path / "run"))
    seconds = {s["step"]: s["training_seconds"] for s in map(checkpoint.read_state, found)}
    assert seconds == {3: 3, 4: 4, 6: 6, 8: 8}
    lines = [line for line in read(str(tmp_path / "run" / "timing.jsonl")) if "passes" in line]
    assert [(line["step"], line["images_per_second"]) for line in lines] == [
        *((3, 8), (4, 8), (6, 8), (8, 8))
    ]


@pytest.mark.slow
def test_the_folder_says_what_the_run_was(train, tmp_path):
    run = train()
    folder = tmp_path / "run"
    result = json.loads((folder / "result.json").read_text())
    assert {
        "top1",
        "top5",
        "loss",
        "images",
        "epochs",
        "steps",
        "parameters",
        "multiply_adds",
        "images_per_second",
        "seconds",
    } <= set(result)
    assert (
        result["images"] == 355
        and result["steps"] == run.timetable.total_steps == 16
        and result["epochs"] == 2
    )
    config = json.loads((folder / "config.json").read_text())
    assert (
        config["flags"]["batch_size"] == 8
        and config["layout"]["global_batch"] == 8
        and config["layout"]["steps_per_epoch"] == 8
    )
    assert config["data"]["validation"]["records"] == 355
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["mxnet"] == mx.__version__ and environment["command"]
    events = [record["event"] for record in read(str(folder / "log.jsonl"))]
    assert events == ["train"] * 3 + ["epoch", "validation"] + ["train"] * 4 + [
        "epoch",
        "validation",
    ]
    assert (folder / "best" / "net.params").exists() and len(
        checkpoint.checkpoints(str(folder))
    ) == 2
    assert [p for p in folder.rglob("*") if p.suffix in (".pkl", ".pickle")] == []


@pytest.mark.slow
def test_the_best_checkpoint_is_that_of_the_best_validation(train, tmp_path):
    train(num_epochs=4, keep_checkpoints=1, lr=0.1)
    scores = {
        r["step"]: r["top1"]
        for r in read(str(tmp_path / "run" / "log.jsonl"))
        if r["event"] == "validation"
    }
    state = checkpoint.read_state(str(tmp_path / "run" / "best"))
    assert (
        len(scores) == 4 and scores[state["step"]] == max(scores.values()) == state["best"]["top1"]
    )


@pytest.mark.slow
def test_training_learns_the_digits(train):
    run = train(
        num_training_samples=None,
        num_epochs=2,
        batch_size=32,
        last_gamma=None,
        lr=0.2,
        warmup_epochs=0.5,
    )
    assert run.progress.validated["top1"] > 80 and run.progress.validated["images"] == 355


@pytest.mark.slow
def test_flags_that_make_it_another_run_are_refused_by_name_and_harmless_ones_are_not(
    train, tmp_path
):
    train(max_steps=2)
    with pytest.raises(
        ConfigError,
        match=r"--lr: 0.05 -> 0.2.*--label-smoothing: 0.0 -> 0.1|--label-smoothing.*--lr",
    ):
        train(resume="auto", lr=0.2, label_smoothing=0.1)
    with pytest.raises(ConfigError, match="--num-epochs: 2 -> 3"):
        train(resume="auto", num_epochs=3)
    run = train(
        resume="auto",
        log_interval=1,
        save_interval=2,
        num_data_workers=1,
        keep_checkpoints=5,
        max_steps=2,
    )
    assert run.progress.step == 4


def test_a_run_does_not_continue_on_other_data(train, tmp_path, digits):
    train(max_steps=1)
    with pytest.raises(ConfigError, match="the data"):
        train(resume="auto", rec_train=str(digits / "val.rec"))


def test_a_folder_with_a_run_is_not_overwritten(train, tmp_path):
    train(max_steps=1)
    before = (tmp_path / "run" / "log.jsonl").read_bytes()
    with pytest.raises(UserError, match="holds a run.*--resume auto"):
        train()
    assert (tmp_path / "run" / "log.jsonl").read_bytes() == before


@pytest.mark.slow
def test_a_finished_run_says_so_and_stays_as_it_is(train, tmp_path, capsys):
    train(num_epochs=1)
    before = (tmp_path / "run" / "result.json").read_bytes()
    train(num_epochs=1, resume="auto")
    assert "has finished" in capsys.readouterr().out
    assert (tmp_path / "run" / "result.json").read_bytes() == before


def test_a_loss_that_is_not_finite_stops_the_run_and_names_step_rate_and_checkpoint(
    train, tmp_path
):
    # a warmup so steep that the first two steps are harmless and the third is not
    flags = dict(lr=1e15, warmup_epochs=1, warmup_lr=1e-15, warmup_from=0, save_interval=1)
    with pytest.raises(
        Diverged,
        match=r"at step \d+ \(learning rate [\d.e+]+\); "
        "the last good checkpoint is .*step-00000002",
    ) as error:
        train(**flags)
    assert error.value.exit_code == 3
    assert checkpoint.latest(str(tmp_path / "run"))[0].endswith("step-00000002")


@pytest.mark.slow
def test_a_network_that_the_last_step_has_spoilt_ends_as_a_diverged_run(train, tmp_path):
    # a harmless step, and one after which the parameters are finite and the outputs are not
    rates = dict(lr=1e15, warmup_epochs=2, warmup_lr=1e-15, warmup_from=0)
    for more in ({}, {"resume": "auto"}):
        with pytest.raises(
            Diverged, match="loss of the last validation is nan at step 1 .*step-00000001"
        ) as error:
            train(batch_size=64, **rates, **more)
        assert error.value.exit_code == 3
    assert not (tmp_path / "run" / "result.json").exists()


@pytest.mark.slow
def test_mixup_takes_an_odd_batch(train):
    run = train(batch_size=7, mixup=True, num_epochs=1)
    assert run.timetable.steps_per_epoch == 9


@pytest.mark.parametrize(
    "flags, words",
    [
        (dict(data_dir="/nowhere"), "/nowhere/train.rec"),
        (dict(data_dir=None), "--rec-train"),
        (dict(classes=7), "label [789] is none of --classes 7"),
        (dict(batch_size=2000, num_training_samples=None), "--batch-size"),
        (dict(model="resnet50_v1x"), "resnet50_v1"),
        (dict(save_dir="/dev/null/run"), "--save-dir"),
        (dict(teacher="/nowhere"), "--teacher /nowhere"),
        (dict(num_gpus=1), "--num-gpus 1"),
        (dict(use_params="/nowhere.params"), "/nowhere.params"),
    ],
    ids=lambda value: None if isinstance(value, str) else "-".join(value),
)
def test_wrong_input_gives_one_clear_message(train, flags, words):
    with pytest.raises(UserError, match=words) as error:
        train(**flags)
    assert "\n" not in str(error.value) and len(str(error.value)) < 600


@pytest.mark.parametrize("size", [0, 50, 5000])
def test_an_empty_or_truncated_file_is_named(train, tmp_path, digits, size):
    broken = tmp_path / "broken.rec"
    broken.write_bytes((digits / "train.rec").read_bytes()[:size])
    (tmp_path / "broken.idx").write_bytes((digits / "train.idx").read_bytes())
    with pytest.raises(UserError, match=re.escape(str(broken))):
        train(rec_train=str(broken))


@pytest.mark.slow
def test_a_teacher_can_be_a_run_and_the_soft_loss_is_added(train, tmp_path):
    train(save_dir=str(tmp_path / "teacher"), num_epochs=1)
    flags = dict(num_epochs=1, max_steps=1, log_interval=1)
    plain = train(save_dir=str(tmp_path / "plain"), **flags)
    distilled = train(
        save_dir=str(tmp_path / "distilled"),
        teacher=str(tmp_path / "teacher"),
        temperature=2.0,
        **flags,
    )
    first = [
        read(os.path.join(run.config.save_dir, "log.jsonl"))[0]["loss"]
        for run in (plain, distilled)
    ]
    # T^2 CE is at least T^2 x the teacher's entropy and far from 0 for two networks that know
    # little.
    assert first[1] > first[0] + 1
    with pytest.raises(UserError, match="--teacher-model"):
        train(teacher=str(tmp_path / "teacher" / "best" / "net.params"))


@pytest.mark.slow
def test_validation_counts_every_image_once_on_several_devices(train):
    one = train(num_epochs=1, max_steps=8)
    assert one.progress.validated["images"] == 355
    three = train(save_dir=one.config.save_dir + "3", num_epochs=1, cpu_contexts=3, batch_size=4)
    assert three.progress.validated["images"] == 355


@pytest.mark.slow
def test_steps_get_other_numbers_if_the_global_batch_follows_the_devices(train, tmp_path, capsys):
    """8 steps of 8 images an epoch, then 4 of 16: the newest checkpoint has a smaller number, and
    the best is still there.
    """
    flags = dict(resume="auto", elastic="scale-lr", keep_checkpoints=1)
    before = train(max_steps=11, **flags)
    assert before.progress.best["step"] == 8
    folder = tmp_path / "run"
    best = os.path.realpath(folder / "best")
    after = train(cpu_contexts=2, max_steps=1, **flags)
    # step 3 of 8 in the second epoch is step 1 of 4
    assert (after.progress.step, after.timetable.total_steps) == (4 + 1 + 1, 8)
    assert after.timetable.learning_rate(0) == 2 * before.timetable.learning_rate(0)
    step, state = checkpoint.latest(str(folder))
    assert state["step"] == 6 and state["global_batch"] == 16
    assert os.path.realpath(folder / "best") == best + ".aside"
    checkpoint.read_state(str(folder / "best"))
    again = train(cpu_contexts=2, **flags)
    assert again.progress.step == 8 and f"resuming from {step} " in capsys.readouterr().out


def test_a_run_that_was_killed_before_its_first_checkpoint_keeps_its_global_batch_too(
    train, tmp_path, monkeypatch
):
    flags = dict(resume="auto", elastic="keep-batch")
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save", lambda *given, **named: pytest.fail("killed"))
        with pytest.raises(pytest.fail.Exception):
            train(accumulate=2, max_steps=1, **flags)
    assert train(max_steps=1, **flags).layout.parts == 2
    other = train(save_dir=str(tmp_path / "other"), max_steps=1, **flags)
    assert other.layout.parts == 1


# -- what is damaged is named, and nothing is lost


def flip(path, place=500):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_a_run_whose_checkpoints_are_all_damaged_is_refused_and_stays_as_it_is(train, tmp_path):
    train(max_steps=4, save_interval=2)
    folder = tmp_path / "run"
    for path in folder.glob("checkpoints/step-*/net.params"):
        flip(path)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    words = "no checkpoint in .* is whole: .*step-00000004.*step-00000002.*another --save-dir"
    with pytest.raises(UserError, match=words) as error:
        train(resume="auto")
    assert "trying" not in str(error.value)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.slow
@pytest.mark.parametrize("what", ["checkpoints", "checkpoints and timing.jsonl of a finished run"])
def test_a_run_whose_checkpoints_are_gone_is_refused(train, tmp_path, what):
    finished = "finished" in what
    train(num_epochs=1, **({} if finished else dict(max_steps=2)))
    shutil.rmtree(str(tmp_path / "run" / "checkpoints"))
    if finished:
        (tmp_path / "run" / "timing.jsonl").unlink()
    before = (tmp_path / "run" / "log.jsonl").read_bytes()
    with pytest.raises(UserError, match="the checkpoints of the run in .* are gone"):
        train(num_epochs=1, resume="auto")
    assert (tmp_path / "run" / "log.jsonl").read_bytes() == before


def test_a_run_without_a_checkpoint_starts_from_the_beginning_and_says_so(
    train, tmp_path, monkeypatch, capsys
):
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save", lambda *given, **named: pytest.fail("killed"))
        with pytest.raises(pytest.fail.Exception):
            train(max_steps=4)
    run = train(max_steps=4, resume="auto")
    assert "has no checkpoint yet and starts from the beginning" in capsys.readouterr().out
    assert [line["step"] for line in read(str(tmp_path / "run" / "log.jsonl"))] == [
        3
    ] and run.progress.step == 4


def test_a_folder_that_mxnet_cannot_write_is_refused_before_the_training(train, tmp_path):
    with pytest.raises(UserError, match=r"\\xff: MXNet takes no path that is not UTF-8"):
        train(save_dir=os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))


@pytest.mark.slow
@pytest.mark.parametrize("left", ["checkpoints", "log.jsonl", "result.json"])
def test_a_folder_with_parts_of_a_run_is_not_overwritten(train, tmp_path, left):
    train(num_epochs=1)
    folder = tmp_path / "run"
    for path in folder.iterdir():
        if path.name != left:
            shutil.rmtree(str(path)) if path.is_dir() and not path.is_symlink() else path.unlink()
    with pytest.raises(UserError, match="holds a run"):
        train()


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["cut", "gone", "a byte"])
def test_a_run_goes_on_with_a_damaged_log_and_ends_with_a_whole_one(train, tmp_path, damage):
    train(save_dir=str(tmp_path / "whole"), num_epochs=1)
    train(save_dir=str(tmp_path / "run"), num_epochs=1, max_steps=6)
    log = tmp_path / "run" / "log.jsonl"
    dict(
        cut=lambda: os.truncate(str(log), 20), gone=log.unlink, **{"a byte": lambda: flip(log, 20)}
    )[damage]()
    train(save_dir=str(tmp_path / "run"), num_epochs=1, resume="auto")
    assert log.read_bytes() == (tmp_path / "whole" / "log.jsonl").read_bytes()


@pytest.mark.slow
def test_a_run_of_the_version_before_goes_on(train, tmp_path):
    """Its checkpoints have format 3: no checksum of the state, no log in them."""
    flags = dict(num_epochs=1)
    whole = train(save_dir=str(tmp_path / "whole"), **flags)
    train(max_steps=5, **flags)
    for path in (tmp_path / "run" / "checkpoints").iterdir():
        state = json.loads((path / "state.json").read_text())
        state["format"] = 3
        del state["checksum"], state["awaits_validation"], state["sha256"]["log.jsonl"]
        (path / "state.json").write_text(json.dumps(state))
        (path / "log.jsonl").unlink()
    resumed = train(resume="auto", **flags)
    assert same(parameters(whole), parameters(resumed))
    assert (tmp_path / "run" / "log.jsonl").read_bytes() == (
        tmp_path / "whole" / "log.jsonl"
    ).read_bytes()


def test_config_json_that_is_removed_while_the_run_trains_is_written_again(
    train, tmp_path, monkeypatch, capsys
):
    def remove_before(run):
        (tmp_path / "run" / "config.json").unlink()
        save(run)

    monkeypatch.setattr(loop, "save", remove_before)
    train(max_steps=2, save_interval=1)
    assert "config.json: removed while the run trained" in capsys.readouterr().out
    monkeypatch.undo()
    assert train(max_steps=1, resume="auto").progress.step == 3


def test_a_folder_that_is_removed_while_the_run_trains_is_an_error(train, tmp_path, monkeypatch):
    def remove_before(run):
        shutil.rmtree(str(tmp_path / "run"))
        save(run)

    monkeypatch.setattr(loop, "save", remove_before)
    with pytest.raises(UserError, match="the run's folder was removed"):
        train(max_steps=2)
    assert not (tmp_path / "run").exists()


# -- validation


@pytest.fixture
def bad_image(digits, tmp_path):
    """A validation file with one image that cannot be decoded."""
    with RecordFile(str(digits / "val.rec")) as held, RecordWriter(
        str(tmp_path / "bad.rec")
    ) as out:
        for i in range(20):
            label, data = held.read(i)
            out.write(i, label, data[: len(data) // 2] if i == 2 else data)
    return str(tmp_path / "bad.rec")


def test_a_bad_validation_image_does_not_cost_the_epoch(train, tmp_path, bad_image):
    with pytest.raises(UserError, match="bad.rec, record 2"):
        train(rec_val=bad_image, num_epochs=1)
    step, state = checkpoint.latest(str(tmp_path / "run"))
    assert state["step"] == 8 and state["awaits_validation"]
    with pytest.raises(UserError, match="bad.rec, record 2"):  # nothing is trained again
        train(rec_val=bad_image, num_epochs=1, resume="auto")
    assert [line["event"] for line in read(str(tmp_path / "run" / "log.jsonl"))] == [
        "train"
    ] * 3 + ["epoch"]


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["evaluation", "amend", "mark_best"])
@pytest.mark.parametrize("epoch", [0, 1])
def test_a_run_that_is_killed_at_its_validation_validates_when_it_goes_on(
    train, tmp_path, monkeypatch, moment, epoch
):
    whole = train(save_dir=str(tmp_path / "whole"), lr=0.1)
    place, name = dict(
        evaluation=(validation, "evaluate"),
        amend=(checkpoint, "amend"),
        mark_best=(checkpoint, "mark_best"),
    )[moment]
    original, calls = getattr(place, name), []

    def kill(*given, **named):
        calls.append(given)
        return pytest.fail("killed") if len(calls) > epoch else original(*given, **named)

    with monkeypatch.context() as patched:
        patched.setattr(place, name, kill)
        with pytest.raises(pytest.fail.Exception):
            train(lr=0.1)
    resumed = train(lr=0.1, resume="auto")
    assert (
        same(parameters(whole), parameters(resumed))
        and resumed.progress.best == whole.progress.best
    )
    assert (tmp_path / "run" / "log.jsonl").read_bytes() == (
        tmp_path / "whole" / "log.jsonl"
    ).read_bytes()
    results = [
        json.loads((tmp_path / name / "result.json").read_text()) for name in ("whole", "run")
    ]
    assert all(
        results[0][name] == results[1][name] for name in ("top1", "top5", "loss", "images", "best")
    )
    best = [
        checkpoint.read_state(checkpoint.best(str(tmp_path / name)))["step"]
        for name in ("whole", "run")
    ]
    assert best[0] == best[1] == whole.progress.best["step"]


@pytest.mark.slow
def test_a_run_that_was_killed_before_its_result_writes_it(train, tmp_path):
    train(num_epochs=1)
    result = tmp_path / "run" / "result.json"
    before = json.loads(result.read_text())
    result.unlink()
    train(num_epochs=1, resume="auto")
    after = json.loads(result.read_text())
    assert {name for name in before if before[name] != after[name]} <= {
        "sha256",
        "seconds",
        "images_per_second",
    }


def test_names_that_are_damaged_next_to_the_data_are_refused_and_prepared_again(
    train, tmp_path, digits
):
    data = tmp_path / "data"
    shutil.copytree(digits, data)
    lines = (digits / "labels.txt").read_text().splitlines(keepends=True)
    (data / "labels.txt").write_text("".join(lines[::-1]))
    with pytest.raises(UserError, match="data/labels.txt: holds other names .*the same prepare"):
        train(data_dir=str(data))
    assert not (tmp_path / "run" / "config.json").exists()
    assert cli.main(["prepare", "digits", str(data)]) == 0
    assert train(data_dir=str(data), max_steps=1).progress.step == 1
    assert (tmp_path / "run" / "labels.txt").read_text() == "".join(lines)


@pytest.mark.parametrize("label", [10, -1, 0.5, float("nan")])
def test_labels_of_validation_are_looked_at_before_the_first_step(train, tmp_path, digits, label):
    with RecordFile(str(digits / "val.rec")) as held, RecordWriter(
        str(tmp_path / "odd.rec")
    ) as out:
        for i in range(4):
            own, data = held.read(i)
            out.write(i, label if i == 3 else own, data)
    with pytest.raises(UserError, match="odd.rec, record 3: label"):
        train(rec_val=str(tmp_path / "odd.rec"))
    assert not (tmp_path / "run" / "config.json").exists()


def test_training_without_validation_is_said_and_a_missing_file_says_how(
    train, tmp_path, digits, capsys
):
    train(data_dir=None, rec_train=str(digits / "train.rec"), max_steps=1)
    assert "no --rec-val, so there is no validation" in capsys.readouterr().out
    shutil.copy(str(digits / "train.rec"), str(tmp_path / "train.rec"))
    shutil.copy(str(digits / "train.idx"), str(tmp_path / "train.idx"))
    with pytest.raises(
        UserError,
        match="val.rec is not there: give --rec-val FILE.rec, or .* "
        "--rec-train .*train.rec instead",
    ):
        train(data_dir=str(tmp_path), save_dir=str(tmp_path / "other"))


@pytest.mark.parametrize(
    "name, value", [("features.1.running_var", np.inf), ("features.0.weight", np.nan)]
)
def test_a_checkpoint_of_values_that_are_not_finite_is_not_written(
    train, tmp_path, monkeypatch, name, value
):
    def spoil(run):
        run.learner.net._collect_params_with_prefix()[name].list_data()[0][:] = value
        save(run)

    monkeypatch.setattr(loop, "save", spoil)
    with pytest.raises(Diverged, match=f"{name} has values that are NaN or infinite at step 0"):
        train(max_steps=1)
    assert checkpoint.checkpoints(str(tmp_path / "run")) == []


# -- folders


def words(digits, folder, *more):
    """The arguments of a short run."""
    given = dict(
        model="cifar_resnet20_v1",
        classes=10,
        input_size=32,
        batch_size=8,
        num_training_samples=16,
        num_epochs=1,
        data_dir=digits,
        save_dir=folder,
        num_data_workers=1,
    )
    return [
        word for name, value in given.items() for word in (flags_of.spelling(name), str(value))
    ] + list(more)


def start(*given):
    """Do what the command does, except for its changes to this process."""
    config = flags_of.parse(words(*given))
    return session(config, connect(config), Stop())


def test_a_second_run_in_the_folder_is_refused_before_it_changes_anything(digits, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "log.jsonl").write_text('{"half')
    with Lock(str(folder / ".lock"), "it"), pytest.raises(
        Locked, match=f"--save-dir {folder}: process {os.getpid()} on"
    ):
        start(digits, folder, "--resume", "auto")
    assert (folder / "log.jsonl").read_text() == '{"half'
    assert start(digits, folder, "--resume", "auto") == 0
    assert not (folder / ".lock").exists()


@pytest.mark.slow
def test_a_run_that_ends_with_an_error_leaves_no_lock(digits, tmp_path):
    with pytest.raises(UserError, match="--teacher"):
        start(digits, tmp_path / "run", "--teacher", "/nowhere")
    assert not (tmp_path / "run" / ".lock").exists()
    assert start(digits, tmp_path / "run") == 0


@pytest.mark.slow
def test_a_run_that_goes_on_in_another_folder_leaves_two_whole_ones(train, tmp_path, capsys):
    whole = train(save_dir=str(tmp_path / "whole"), lr=0.1)
    train(save_dir=str(tmp_path / "a"), lr=0.1, max_steps=11)
    before = {path: path.read_bytes() for path in (tmp_path / "a").rglob("*") if path.is_file()}
    source = str(tmp_path / "a" / "checkpoints" / "step-00000011")
    capsys.readouterr()
    train(save_dir=str(tmp_path / "b"), lr=0.1, max_steps=1, resume=source)
    said = capsys.readouterr().out
    assert "removed" not in said and "is not what the run wrote" not in said
    # as if it had been killed before
    shutil.rmtree(str(tmp_path / "b" / "checkpoints" / "step-00000012"))
    assert checkpoint.latest(str(tmp_path / "b"))[1]["step"] == 11
    assert checkpoint.read_state(checkpoint.best(str(tmp_path / "b")))["step"] == 8
    moved = train(save_dir=str(tmp_path / "b"), lr=0.1, resume="auto")
    assert same(parameters(whole), parameters(moved))
    assert (tmp_path / "b" / "log.jsonl").read_bytes() == (
        tmp_path / "whole" / "log.jsonl"
    ).read_bytes()
    assert {
        path: path.read_bytes() for path in (tmp_path / "a").rglob("*") if path.is_file()
    } == before
    with pytest.raises(UserError, match="holds another run"):
        train(save_dir=str(tmp_path / "whole"), lr=0.1, resume=source)


@pytest.mark.slow
@pytest.mark.parametrize("resume", ["auto", "best"])
def test_a_run_that_was_copied_without_links_goes_on(train, tmp_path, resume):
    whole = train(save_dir=str(tmp_path / "whole"), lr=0.1)
    train(save_dir=str(tmp_path / "a"), lr=0.1, max_steps=8)
    shutil.copytree(str(tmp_path / "a"), str(tmp_path / "b"))  # follows links
    shutil.rmtree(str(tmp_path / "a"))
    assert (tmp_path / "b" / "best").is_dir() and not (tmp_path / "b" / "best").is_symlink()
    resume = resume if resume == "auto" else str(tmp_path / "b" / "best")
    resumed = train(save_dir=str(tmp_path / "b"), lr=0.1, resume=resume)
    assert same(parameters(whole), parameters(resumed))
    best = [
        checkpoint.read_state(checkpoint.best(str(tmp_path / name)))["step"]
        for name in ("whole", "b")
    ]
    assert best[0] == best[1] == whole.progress.best["step"]
    assert (tmp_path / "b" / "log.jsonl").read_bytes() == (
        tmp_path / "whole" / "log.jsonl"
    ).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("contexts", [3, 8])
def test_a_resumed_run_of_several_devices_is_the_run_to_the_bit(train, tmp_path, contexts):
    flags = dict(
        cpu_contexts=contexts,
        batch_size=2,
        num_epochs=1,
        num_training_samples=4 * 2 * contexts,
        val_frequency=9,
    )
    whole = train(save_dir=str(tmp_path / "whole"), **flags)
    train(save_dir=str(tmp_path / "stopped"), max_steps=2, **flags)
    resumed = train(save_dir=str(tmp_path / "stopped"), resume="auto", **flags)
    assert same(parameters(whole), parameters(resumed))
    saved = mx.nd.load(str(tmp_path / "stopped" / "checkpoints" / "step-00000004" / "net.params"))
    trained = {p.name for p in whole.learner.trained}
    for name, parameter in whole.learner.net._collect_params_with_prefix().items():
        if parameter.name in trained:
            np.testing.assert_array_equal(saved[name].asnumpy(), parameter.list_data()[0].asnumpy())
    assert (tmp_path / "stopped" / "log.jsonl").read_bytes() == (
        tmp_path / "whole" / "log.jsonl"
    ).read_bytes()


@pytest.mark.slow
def test_a_killed_runs_half_written_checkpoint_goes_with_the_next_start(digits, tmp_path):
    folder = tmp_path / "run"
    flags = ("--save-interval", "1", "--num-epochs", "4")
    given = words(digits, folder, *flags)
    process = subprocess.Popen([sys.executable, "-m", "gluon_tricks", "train"] + given)
    try:
        end = time.time() + 120
        while not list(folder.glob("checkpoints/step-*")) and time.time() < end:
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    (folder / "checkpoints" / ".writing-step-00000099").mkdir()
    assert start(digits, folder, *flags, "--resume", "auto") == 0
    assert [
        path.name
        for path in (folder / "checkpoints").iterdir()
        if not path.name.startswith("step-0")
    ] == []
    assert [
        path.name for path in folder.iterdir() if path.suffix == ".new" or path.name == ".lock"
    ] == []
