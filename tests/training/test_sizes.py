"""Runs whose batches have another size, or more rows, than what the network sees."""

import json
import re

import mxnet as mx
import numpy as np
import pytest
from network_checks import Fixed

from gluon_tricks import config as flags
from gluon_tricks.data.loader import eval_loader
from gluon_tricks.deploy.evaluation import evaluate
from gluon_tricks.deploy.opening import open_model
from gluon_tricks.errors import UserError
from gluon_tricks.models import registry
from gluon_tricks.training import network, run_folder
from gluon_tricks.training.plan import RunPlan


def outcome(folder):
    """The last parameters and the log of a run, byte by byte."""
    last = sorted((folder / "checkpoints").glob("step-*"))[-1]
    return (last / "net.params").read_bytes(), (folder / "log.jsonl").read_bytes()


LATER = dict(
    auto_augment="randaugment",
    random_erasing=0.5,
    erasing_fill="noise",
    repeated_augmentation=2,
    loss="bce",
    bce_target_threshold=0.2,
    cutmix=1.0,
    mixup_alpha=0.2,
    progressive_resizing=16,
    test_size=40,
)


@pytest.mark.slow
@pytest.mark.parametrize("flags", [LATER, dict(mixup_alpha=0.2, mixup_type=1)])
def test_a_run_that_is_resumed_in_mid_epoch_is_the_run_to_the_bit(train, tmp_path, flags):
    flags = dict(flags, num_epochs=1)
    train(save_dir=str(tmp_path / "whole"), **flags)
    train(save_dir=str(tmp_path / "run"), max_steps=5, **flags)
    train(save_dir=str(tmp_path / "run"), resume="auto", **flags)
    assert outcome(tmp_path / "whole") == outcome(tmp_path / "run")


def test_two_devices_read_the_pairs_of_type_1_that_one_with_micro_batches_reads(train, tmp_path):
    flags = dict(mixup_alpha=0.2, mixup_type=1, batch_size=4, max_steps=3, num_epochs=1)
    losses = []
    for number, spread in enumerate((dict(cpu_contexts=2), dict(accumulate=2))):
        train(save_dir=str(tmp_path / str(number)), log_interval=1, **spread, **flags)
        lines = (tmp_path / str(number) / "log.jsonl").read_text().splitlines()
        losses.append([line["loss"] for line in map(json.loads, lines) if "loss" in line])
    assert len(losses[0]) == 3
    np.testing.assert_allclose(*losses, rtol=1e-4)


@pytest.mark.slow
def test_validation_and_export_have_the_test_size(train, tmp_path):
    run = train(num_epochs=1, num_training_samples=16, test_size=40)
    loader = eval_loader(run.config, 8)
    assert next(iter(loader)).images.shape == (8, 3, 40, 40)
    loader.close()
    model = open_model(run.config.save_dir)
    assert model.preprocessing.input_size == 40
    assert open_model(run.config.save_dir, input_size=48).preprocessing.input_size == 48
    # evaluated again from the folder, it gets what validation found
    figures = evaluate(model, run.config.rec_val)
    assert figures["top1"] == run.progress.best["top1"]


@pytest.mark.parametrize("flag", ["test_size", "progressive_resizing"])
def test_a_network_that_cannot_take_the_size_is_named(train, flag):
    with pytest.raises(UserError, match=f"--{flag.replace('_', '-')} 48: vgg11 .* of 64 pixels"):
        train(model="vgg11", input_size=64, **{flag: 48})


@pytest.mark.parametrize("flag", ["test_size", "progressive_resizing"])
def test_a_plan_names_it_too(flag):
    config = flags.resolve(dict(model="vgg11", input_size=64, synthetic=32, **{flag: 32}))
    with pytest.raises(UserError, match=f"{flags.spelling(flag)} 32: vgg11 .* of 64 pixels"):
        list(RunPlan(config).lines())


def test_images_that_are_too_small_for_a_network_are_refused_in_one_line(train, capfd):
    with pytest.raises(UserError, match="^inceptionv3 takes no 40x40 image: [^\n]*kernel size"):
        train(model="inceptionv3", input_size=40)
    assert not capfd.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    "sizes, refused",
    [
        (dict(input_size=24), "24 (--input-size)"),
        (dict(input_size=32, progressive_resizing=16), "16 (--progressive-resizing)"),
        (dict(input_size=32, test_size=48), None),  # the teacher sees training's alone
    ],
    ids=str,
)
def test_a_teacher_that_cannot_take_a_size_of_the_students_images_is_named(
    tmp_path, monkeypatch, sizes, refused
):
    monkeypatch.setattr(registry, "_networks", dict(registry._networks))
    registry.register("fixed")(Fixed)
    net = Fixed("fixed", 3)
    net.initialize()
    net(mx.nd.zeros((1, 3, 32, 32)))
    about = dict(version="0", layout=dict(began_with=8), parameters={})
    about["data"] = dict(train=None, validation=None)
    of_32 = dict(model="fixed", classes=3, input_size=32, synthetic=8)
    run_folder.write(str(tmp_path), about, flags.resolve(of_32))
    net.save_parameters(str(tmp_path / "net.params"))
    teacher = dict(teacher=str(tmp_path / "net.params"), teacher_model="fixed")
    config = flags.resolve(dict(of_32, model="cifar_resnet20_v1", **teacher, **sizes))
    if refused is None:
        assert network.teacher(config, [mx.cpu()])(mx.nd.zeros((1, 3, 32, 32))).shape == (1, 3)
        return
    message = f"fixed for images of 32 pixels cannot take the student's of {refused}"
    with pytest.raises(UserError, match=re.escape(message)):
        network.teacher(config, [mx.cpu()])


def test_a_network_that_drops_in_training_alone_takes_another_test_size(train):
    flags = dict(model="resnet18_v1b", input_size=33, test_size=40, num_epochs=1)
    run = train(drop_block=0.1, max_steps=1, **flags)
    assert run.progress.step == 1


@pytest.mark.slow
def test_a_compiled_network_follows_the_size_as_one_that_is_run_line_by_line(train, tmp_path):
    flags = dict(progressive_resizing=16, resizing_ramp=(0.2, 0.6), num_epochs=1, log_interval=1)
    losses = []
    for mode in ("hybrid", "imperative"):
        train(save_dir=str(tmp_path / mode), mode=mode, **flags)
        lines = (tmp_path / mode / "log.jsonl").read_text().splitlines()
        losses.append([line["loss"] for line in map(json.loads, lines) if "loss" in line])
    assert len(losses[0]) > 8
    np.testing.assert_allclose(*losses, rtol=1e-3)
