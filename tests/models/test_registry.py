"""A network is known by its registration alone."""

import re

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import nn

from gluon_tricks.cli import main
from gluon_tricks.errors import UserError
from gluon_tricks.models import (
    features,
    get_model,
    input_size,
    load_parameters,
    load_pretrained,
    names,
    registry,
)
from gluon_tricks.models.registry import register


@pytest.fixture(scope="module", autouse=True)
def toy():
    """A network as a user's own file would add it."""

    @register("toy", options=["last_gamma"], input_size=16, suffixes={"_zero": {"last_gamma": 1}})
    def toy(name, classes, last_gamma=False):
        net = nn.HybridSequential(prefix=name + "_")
        with net.name_scope():
            net.add(nn.Conv2D(4, 3, strides=2, padding=1, in_channels=3))
            net.add(nn.BatchNorm(gamma_initializer="zeros" if last_gamma else "ones"))
            net.add(nn.Conv2D(8, 3, strides=2, padding=1), nn.GlobalAvgPool2D(), nn.Flatten())
            net.add(nn.Dense(classes))
        return net

    yield
    del registry._networks["toy"], registry._aliases["toy_zero"]


def test_a_registered_network_is_found_with_its_options_and_nothing_else():
    assert "toy" in names() and "toy" in names(sources=False) and "toy_zero" not in names()
    assert input_size("Toy") == 16
    assert get_model("toy", classes=5)(mx.sym.var("data")).infer_shape(data=(2, 3, 16, 16))[1] == [
        (2, 5)
    ]
    for zero in (get_model("toy", last_gamma=True), get_model("Toy_zero")):
        assert zero[1].gamma.init == "zeros"
    with pytest.raises(UserError, match="--use-gn does not apply to toy"):
        get_model("toy", use_gn=True)
    with pytest.raises(UserError, match="toy has no option colour"):
        get_model("toy", colour=1)
    with pytest.raises(UserError, match="parameters of toy: train it"):
        load_pretrained(get_model("toy"), "toy")
    with pytest.raises(UserError, match="did you mean toy"):
        get_model("toyy")


@pytest.mark.parametrize(
    "name, expected",
    [
        ("resnet50d", "resnet50_v1d or "),
        ("ResNet18", "resnet18_v1b or resnet18_v1 or resnet18_v2? "),
        ("resnet50d.ra2_in1k", "resnet50_v1d or "),
        ("seresnet50", "resnet50_v1b --attention se or "),
        ("resnet50_gn", "resnet50_v1b --use-gn or "),
        ("resnet50_v1x", "resnet50_v1 or resnet50_v1b or resnet50_v1c? "),
    ],
)
def test_other_libraries_names_and_the_papers_networks_are_suggested_first(name, expected):
    with pytest.raises(UserError, match=re.escape(": did you mean " + expected)):
        get_model(name)


def test_a_name_is_given_once():
    with pytest.raises(ValueError, match="two networks are called toy"):
        register("toy")(lambda name, classes: None)


def test_the_models_command_counts_a_registered_network(capsys):
    assert main(["models", "to*", "--classes", "5"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["toy", "16", "0.00", "0.00"]


def test_a_registered_network_is_trained_and_its_file_is_recognised(tmp_path):
    words = "--model toy --last-gamma --classes 4 --input-size 16 --batch-size 8 --num-epochs 1"
    folder = tmp_path / "run"
    flags = [
        *words.split(),
        "--synthetic",
        "--num-training-samples",
        "16",
        "--save-dir",
        str(folder),
    ]
    assert main(["train", *flags, "-j", "1"]) == 0
    (checkpoint,) = (folder / "checkpoints").iterdir()
    net = get_model("toy", classes=4)
    assert load_parameters(net, str(checkpoint / "net.params")) == []
    assert np.abs(net[1].gamma.data().asnumpy()).max() > 0
    with pytest.raises(UserError, match="It holds a toy"):
        load_parameters(get_model("resnet18_v1"), str(checkpoint / "net.params"))


def test_the_features_of_a_registered_network_are_computed():
    _, stages = features(get_model("toy"), 16)
    assert [stage[1:] for stage in stages] == [(4, 2), (8, 4)]


def test_what_is_known_of_a_network_of_the_zoo():
    assert registry.get("nasnet_4_1056").untrainable_on_onednn
    assert not registry.get("nasnet_5_1538").untrainable_on_onednn
    assert registry.get("resnet18_v1b_0.89").fixed_classes == 1000
    sizes = {"resnet18_v1": 224, "cifar_resnext29_32x4d": 32, "cifar_residualattentionnet56": 32}
    sizes.update(residualattentionnet56=224, inceptionv3=299, xception71=299, nasnet_6_4032=331)
    assert {name: input_size(name) for name in sizes} == sizes
