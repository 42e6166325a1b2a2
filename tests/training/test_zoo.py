"""Every classification network of GluonCV's zoo trains and is evaluated; what cannot be is refused."""

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
from gluon_tricks.training import network
from gluon_tricks.training.metrics import evaluate
from gluon_tricks.training.objective import Objective
from gluon_tricks.training.run import Run

# One of each kind that takes well under a second; the others are slow tests.
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
# The smallest images that a network can take, where 32 pixels are too few for sizes that are fixed inside.
SMALLEST = dict(alexnet=64, googlenet=224, inceptionv3=299)
FROM_224 = ("densenet", "residualattentionnet", "squeezenet", "resnest")
# oneDNN fails in their backward pass (MXNetError: could not construct a sub-memory); without it they train.
WITHOUT_ONEDNN = ("nasnet_4_1056", "nasnet_6_4032", "nasnet_7_1920")


class Cpu:
    """One worker, one device."""

    devices = [mx.cpu()]

    def sum(self, array):
        return array


def smallest(name):
    return SMALLEST.get(name, 224 if name.startswith(FROM_224) else 32)


def check(name, flags=""):
    """A training step with the tricks that apply everywhere and those of ``flags``, then an evaluation."""
    classes = 1000 if name.startswith("resnet") and "_0." in name else 5  # a pruned network's head is fixed
    size = smallest(name)
    images = 1 if size >= 224 else 2
    config = parse(
        "--model {} --classes {} --input-size {} --mode imperative --no-wd --label-smoothing --mixup"
        " {}".format(name, classes, size, flags).split()
    )
    net = network.student(config, Cpu.devices, say=print)
    objective = Objective(config, 1)
    trainer = gluon.Trainer(
        net.collect_params(), "nag", dict(learning_rate=0.01, momentum=0.9, wd=1e-4), update_on_kvstore=False
    )
    rng = np.random.RandomState(0)
    x, y = mx.nd.array(rng.normal(size=(images, 3, size, size))), mx.nd.array(rng.randint(0, 5, images))
    weight = next(p for p in net.collect_params().values() if p.name.endswith("weight"))
    before = weight.data().copy()
    inputs, targets = objective.prepare(x, y, 0, 0)
    mx.random.seed(1)
    with autograd.record():
        loss = objective.losses(net(inputs), targets)
    loss.backward()
    trainer.step(images)
    tally = evaluate(
        net, [Batch(x, y, np.arange(images), images, None)], Cpu(), objective.plain_losses, expected=images
    )
    assert np.isfinite(loss.mean().asscalar())
    assert (before != weight.data()).max().asscalar(), "the first weight has not moved"
    assert tally.images == images and 0 <= tally.top1 <= tally.top5 <= images


@pytest.mark.parametrize("name", QUICK)
def test_a_network_trains_and_is_evaluated(name):
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in models.names() if name not in QUICK + WITHOUT_ONEDNN])
def test_every_network_trains_and_is_evaluated(name):
    check(name)


@pytest.mark.slow
def test_networks_that_onednn_cannot_train_do_so_without_it():
    code = """
        import importlib.util
        spec = importlib.util.spec_from_file_location("zoo", {!r})
        zoo = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(zoo)
        for name in zoo.WITHOUT_ONEDNN:
            zoo.check(name)
    """.format(os.path.abspath(__file__))
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    environment = dict(
        os.environ, MXNET_MKLDNN_ENABLED="0", MXNET_STORAGE_FALLBACK_LOG_VERBOSE="0", PYTHONPATH=root
    )
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], env=environment, cwd=root, check=True, timeout=300
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


def test_a_pruned_networks_classes_are_fixed():
    with pytest.raises(UserError, match="--classes 7 does not apply to resnet50_v1d_0.11"):
        models.get_model("resnet50_v1d_0.11", classes=7)


def test_a_label_beyond_the_head_is_an_error_that_names_file_record_and_classes(tmp_path):
    path = str(tmp_path / "train.rec")
    with RecordWriter(path) as records:
        for key in range(16):
            picture = np.full((32, 32, 3), 10 * key, np.uint8)
            records.write(key, float(key), cv2.imencode(".png", picture)[1].tobytes())
    run = Run(
        parse(
            "--model cifar_resnet20_v1 --classes 10 --input-size 32 --batch-size 8 --num-epochs 2"
            " --rec-train {} --save-dir {}".format(path, tmp_path / "run").split()
        )
    )
    try:
        with pytest.raises(
            UserError, match=r"train\.rec, record 1[0-5]: label 1[0-5] is none of --classes 10"
        ):
            run.train()
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
    tuned = network.student(parse((words + "--use-params " + path).split()), Cpu.devices, said.append)
    assert "output" in said[0]
    np.testing.assert_array_equal(
        tuned.features[0].weight.data().asnumpy(), source.features[0].weight.data().asnumpy()
    )
    with pytest.raises(UserError, match="seven.params"):
        network.student(parse((words + "--resume-params " + path).split()), Cpu.devices, said.append)
