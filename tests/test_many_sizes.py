"""MXNet's settings for images of many sizes are made before it uses a GPU, and for nothing else."""

import os

import mxnet as mx
import pytest

from gluon_tricks import config as flags
from gluon_tricks import many_sizes, models
from gluon_tricks.deploy.opening import open_model
from gluon_tricks.training import network

TUNE, POOL = "MXNET_CUDNN_AUTOTUNE_DEFAULT", "MXNET_GPU_MEM_POOL_TYPE"


@pytest.fixture(autouse=True)
def unset(unset_variables):
    unset_variables(TUNE, POOL)


def made():
    return {name: os.environ[name] for name in (TUNE, POOL) if name in os.environ}


def test_what_the_user_has_set_stays(monkeypatch):
    many_sizes.expect(mx.cpu())
    assert made() == {}
    monkeypatch.setenv(TUNE, "2")
    many_sizes.expect(mx.gpu(0))
    assert made() == {TUNE: "2", POOL: "Round"}


@pytest.mark.parametrize(
    "model, task, settings",
    [
        ("faster_rcnn_resnet18_v1b", "detection", {TUNE: "0", POOL: "Round"}),
        ("fcn_resnet18_v1b", "segmentation", {}),  # learns from crops of one size
        ("resnet18_v1b", "classification", {}),
    ],
)
def test_training_makes_them_if_sizes_vary(model, task, settings):
    words = f"--task {task} --model {model} --classes 3 --rec-train x.rec --num-gpus 1"
    config = flags.parse(words.split())
    with pytest.raises(mx.MXNetError):  # there is no GPU
        network.student(config, [mx.gpu(0)])
    assert made() == settings


@pytest.mark.parametrize(
    "model, task, settings",
    [
        ("fcn_resnet18_v1b", "segmentation", {TUNE: "0", POOL: "Round"}),
        ("resnet18_v1b", "classification", {}),
    ],
)
def test_evaluation_makes_them_if_images_are_whole(model, task, settings, tmp_path):
    path = str(tmp_path / "net.params")
    net = models.get_model(model, classes=3)
    net.initialize(mx.init.Xavier())
    network.know_shapes(net, model, 64)
    net.save_parameters(path)
    with pytest.raises(mx.MXNetError):
        open_model(path, model=model, classes=3, device=mx.gpu(0))
    assert made() == settings
