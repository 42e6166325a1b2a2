"""Every classification network of GluonCV's zoo trains and is evaluated, or is refused."""

import os
import subprocess
import sys
import textwrap

import cv2
import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon

from gluon_tricks import models
from gluon_tricks.cli import main
from gluon_tricks.config import parse
from gluon_tricks.data.loader import Batch
from gluon_tricks.data.records import RecordWriter
from gluon_tricks.errors import UserError
from gluon_tricks.models.zoo import UNTRAINABLE_ON_ONEDNN
from gluon_tricks.tasks.classification import Classification
from gluon_tricks.training import network
from gluon_tricks.training.objective import Objective
from gluon_tricks.training.run import build, finish
from gluon_tricks.training.validation import evaluate

# Every kind of block, stem and head is in one of QUICK, which take well under a second, or SLOW.
# The other networks differ from these in depth and width alone: `make stress` trains them, and
# tests/models makes and counts them all.
QUICK = (
    "resnet18_v1d",
    "resnet18_v2",
    "se_resnet18_v1",
    "cifar_resnet20_v1",
    "mobilenet0.25",
    "mobilenetv2_0.25",
    "mobilenetv3_small",
    "squeezenet1.1",
    "shufflenet_v2",
    "alexnet",
)
SLOW = (
    "resnet18_v1",
    "resnet50_v1",
    "resnet18_v1b",
    "resnet50_v1b",
    "resnet50_v1c",
    "resnet50_v1d",
    "resnet50_v1e",
    "resnet50_v1s",
    "resnet50_v1b_gn",
    "resnet18_v1b_0.89",
    "resnet50_v1d_0.11",
    "resnet50_v2",
    "resnext50_32x4d",
    "resnext101e_64x4d",
    "se_resnet50_v1",
    "se_resnet18_v2",
    "se_resnet50_v2",
    "se_resnext50_32x4d",
    "senet_154e",
    "cifar_resnet20_v2",
    "cifar_resnext29_32x4d",
    "cifar_wideresnet16_10",
    "cifar_residualattentionnet56",
    "residualattentionnet56",
    "resnest14",
    "resnest26",
    "resnest200",
    "darknet53",
    "densenet121",
    "dla34",
    "googlenet",
    "hrnet_w18_c",
    "hrnet_w18_small_v1_c",
    "inceptionv3",
    "mobilenetv3_large",
    "nasnet_5_1538",
    "shufflenet_v1",
    "squeezenet1.0",
    "vgg11",
    "vgg11_bn",
    "xception",
    "xception71",
)
STRESS = "GLUON_TRICKS_STRESS" in os.environ
# The smallest images that a network can take, where 32 pixels are too few.
SMALLEST = dict(alexnet=64, inceptionv3=75)
SMALLEST.update((f"resnest{layers}", 65) for layers in (26, 50, 101, 200, 269))  # DropBlock
FROM_224 = ("residualattentionnet",)  # sizes that are fixed inside


class Cpu:
    """One worker, one device."""

    devices = [mx.cpu()]

    def sum(self, array):
        return array


def smallest(name):
    return SMALLEST.get(name, 224 if name.startswith(FROM_224) else 32)


def check(name, flags=""):
    """A training step with the tricks that apply everywhere and those of ``flags``, then an
    evaluation.
    """
    # a pruned network's head is fixed
    classes = 1000 if name.startswith("resnet") and "_0." in name else 5
    size = smallest(name)
    images = 1 if size >= 224 else 2
    config = parse(
        f"--model {name} --classes {classes} --input-size {size} --mode imperative --no-wd"
        f" --label-smoothing --mixup {flags}".split()
    )
    net = network.student(config, Cpu.devices, say=print)
    objective = Objective.from_config(config, Classification.from_config(config), 1)
    trainer = gluon.Trainer(
        net.collect_params(),
        "nag",
        dict(learning_rate=0.01, momentum=0.9, wd=1e-4),
        update_on_kvstore=False,
    )
    rng = np.random.RandomState(0)
    x, y = (
        mx.nd.array(rng.normal(size=(images, 3, size, size))),
        mx.nd.array(rng.randint(0, 5, images)),
    )
    weight = next(p for p in net.collect_params().values() if p.name.endswith("weight"))
    before = weight.data().copy()
    inputs, targets = objective.prepare(x, y, 0, 0)
    mx.random.seed(1)
    with autograd.record():
        loss = objective.losses(net(inputs), targets)
    loss.backward()
    trainer.step(images)
    sums = evaluate(
        net, [Batch(x, y, np.arange(images), images, None)], Cpu(), objective.task, expected=images
    )
    assert np.isfinite(loss.mean().asscalar())
    assert (before != weight.data()).max().asscalar(), "the first weight has not moved"
    top1, top5 = sums.values[1:]
    assert sums.images == images and 0 <= top1 <= top5 <= images


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_a_network_trains_and_is_evaluated(name):
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_every_kind_of_network_trains_and_is_evaluated(name):
    check(name)


@pytest.mark.slow
@pytest.mark.stress
def test_networks_of_other_depths_and_widths_train_and_are_evaluated():
    others = sorted(set(models.names()) - {*QUICK, *SLOW, *UNTRAINABLE_ON_ONEDNN})
    for name in others if STRESS else ["mobilenet0.5"]:
        check(name)


def test_networks_that_onednn_cannot_train_say_how_they_can(monkeypatch):
    monkeypatch.delenv("MXNET_MKLDNN_ENABLED", raising=False)
    config = parse("--model nasnet_4_1056 --classes 10 --input-size 32".split())
    with pytest.raises(UserError, match="nasnet_4_1056: .*MXNET_MKLDNN_ENABLED=0"):
        network.student(config, Cpu.devices)


@pytest.mark.slow
@pytest.mark.stress
def test_networks_that_onednn_cannot_train_do_so_without_it():
    code = f"""
        import importlib.util
        spec = importlib.util.spec_from_file_location("zoo", {os.path.abspath(__file__)!r})
        zoo = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(zoo)
        for name in zoo.UNTRAINABLE_ON_ONEDNN[: None if zoo.STRESS else 1]:
            zoo.check(name)
    """
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    environment = dict(
        os.environ,
        MXNET_MKLDNN_ENABLED="0",
        MXNET_STORAGE_FALLBACK_LOG_VERBOSE="0",
        PYTHONPATH=root,
    )
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=environment,
        cwd=root,
        check=True,
        timeout=None if STRESS else 300,
    )


@pytest.mark.parametrize(
    "name, flags",
    [
        ("resnet18_v1b", "--use-gn --last-gamma"),
        ("resnext50_32x4d", "--use_se --last-gamma"),
        ("vgg11", "--batch-norm"),
    ],
)
@pytest.mark.slow
def test_a_network_with_the_flags_that_apply_to_it(name, flags):
    check(name, flags)


@pytest.mark.parametrize(
    "name, flag",
    [
        ("vgg11", "--last-gamma"),
        ("mobilenet1.0", "--last-gamma"),
        ("inceptionv3", "--last-gamma"),
        ("alexnet", "--batch-norm"),
        ("resnet50_v1d", "--batch-norm"),
        ("resnet50_v1d", "--use_se"),
        ("vgg11", "--use-gn"),
        ("squeezenet1.0", "--use_se"),
    ],
)
def test_a_flag_that_cannot_apply_is_refused_by_name(name, flag, capsys):
    assert main(["plan", "--model", name, flag]) == 2
    assert "{} does not apply to {}".format(flag.replace("_", "-"), name) in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["hybrid", "imperative"])
def test_resnests_dropblock_works_at_other_sizes_and_in_training_alone(mode):
    words = f"--model resnest26 --classes 5 --input-size 96 --mode {mode}"
    net = network.student(parse(words.split()), Cpu.devices)
    assert network.is_stochastic(net)
    images = mx.nd.array(np.random.RandomState(0).normal(size=(2, 3, 96, 96)))
    first = net(images).asnumpy()
    mx.random.seed(1)
    with autograd.record(train_mode=True):
        outputs = [net(images) for _ in range(2)]
    mx.autograd.backward(outputs)
    assert abs(outputs[0] - outputs[1]).max().asscalar() > 0
    # In training BatchNorm's running statistics move on, so what follows is compared with itself.
    later = [net(images).asnumpy() for _ in range(2)]
    assert np.isfinite(first).all() and np.isfinite(later).all()
    np.testing.assert_array_equal(*later)


def test_images_that_dropblock_cannot_take_are_refused():
    with pytest.raises(UserError, match="--input-size is too small for the DropBlock of resnest26"):
        network.student(parse("--model resnest26 --input-size 64".split()), Cpu.devices)


def test_a_pruned_networks_classes_are_fixed():
    with pytest.raises(UserError, match="--classes 7 does not apply to resnet50_v1d_0.11"):
        models.get_model("resnet50_v1d_0.11", classes=7)


def test_a_label_beyond_the_head_is_an_error_that_names_file_record_and_classes(tmp_path):
    path = str(tmp_path / "train.rec")
    with RecordWriter(path) as records:
        for key in range(16):
            picture = np.full((32, 32, 3), 10 * key, np.uint8)
            records.write(key, float(key), cv2.imencode(".png", picture)[1].tobytes())
    run = build(
        parse(
            "--model cifar_resnet20_v1 --classes 10 --input-size 32 --batch-size 8 --num-epochs 2"
            " --rec-train {} --save-dir {}".format(path, tmp_path / "run").split()
        )
    )
    try:
        with pytest.raises(
            UserError, match=r"train\.rec, record 1[0-5]: label 1[0-5] is none of --classes 10"
        ):
            finish(run)
    finally:
        run.close()


def test_parameters_of_another_head_need_a_new_one(tmp_path):
    source = models.get_model("cifar_resnet20_v1", classes=7)
    source.initialize()
    source(mx.nd.zeros((1, 3, 32, 32)))
    path = str(tmp_path / "seven.params")
    source.save_parameters(path)
    words = "--model cifar_resnet20_v1 --classes 10 --input-size 32 "
    said = []
    tuned = network.student(
        parse((words + "--use-params " + path).split()), Cpu.devices, said.append
    )
    assert "output" in said[0]
    np.testing.assert_array_equal(
        tuned.features[0].weight.data().asnumpy(), source.features[0].weight.data().asnumpy()
    )
    with pytest.raises(UserError, match="seven.params"):
        network.student(
            parse((words + "--resume-params " + path).split()), Cpu.devices, said.append
        )
