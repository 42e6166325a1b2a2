"""FCN is GluonCV's: names, shapes and values; its backbone is a classifier's."""

import gluoncv
import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from gluon_tricks import config as configuration
from gluon_tricks import models
from gluon_tricks.errors import UserError
from gluon_tricks.models import fcn

SIZE = 40


def small(name="fcn_resnet18_v1d", **options):
    net = models.get_model(name, classes=5, **options)
    net.initialize(mx.init.Xavier())
    return net


def shapes(net):
    return {name: parameter.shape for name, parameter in net._collect_params_with_prefix().items()}


@pytest.mark.slow
def test_gluoncvs_published_network_is_ours(tmp_path):
    theirs = gluoncv.model_zoo.get_fcn(
        "ade20k", "resnet50", pretrained_base=False, height=SIZE, width=SIZE
    )
    theirs.initialize(mx.init.Xavier())
    ours = models.get_model("fcn_resnet50_v1s", classes=150)
    images = mx.nd.random.normal(shape=(1, 3, SIZE, SIZE))
    theirs(images)
    assert shapes(ours) == shapes(theirs)
    file = str(tmp_path / "theirs.params")
    theirs.save_parameters(file)
    assert models.load_parameters(ours, file) == []
    expected, auxiliary = theirs(images)
    np.testing.assert_allclose(ours(images).asnumpy(), expected.asnumpy(), rtol=1e-4, atol=1e-5)
    stages = ours.backbone.stage_outputs(images)
    found = fcn._resized(mx.nd, ours.auxlayer(stages["layer3"]), images)
    np.testing.assert_allclose(found.asnumpy(), auxiliary.asnumpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("hybrid", [False, True])
def test_outputs_have_the_size_of_the_image_whatever_it_is(hybrid):
    net = small()
    if hybrid:
        net.hybridize()
    for height, width in ((40, 56), (33, 47)):
        images = mx.nd.zeros((2, 3, height, width))
        assert net(images).shape == (2, 5, height, width)
    with autograd.train_mode():
        outputs = small()(images)
    assert [output.shape for output in outputs] == [(2, 5, 33, 47)] * 2


def test_heads_alone_have_the_higher_rate():
    rates = {
        name: p.lr_mult for name, p in small(head_rate=7)._collect_params_with_prefix().items()
    }
    for name, rate in rates.items():
        assert rate == (7 if name.startswith(("head.", "auxlayer.")) else 1), name


def test_a_classifiers_parameters_are_the_backbones(tmp_path):
    classifier = models.get_model("resnet18_v1d", classes=3)
    classifier.initialize(mx.init.Xavier())
    file = str(tmp_path / "classifier.params")
    classifier(mx.nd.zeros((1, 3, 32, 32)))
    classifier.save_parameters(file)
    net = small()
    assert models.load_parameters(net.backbone, file) == []
    theirs, ours = (each._collect_params_with_prefix() for each in (classifier, net))
    assert {*theirs} - {*ours} == {"fc.weight", "fc.bias"}
    for name in {*theirs} & {*ours}:
        np.testing.assert_array_equal(ours[name].data().asnumpy(), theirs[name].data().asnumpy())


def test_networks_and_tasks_have_to_fit():
    def made(*words):
        return models.of_config(configuration.parse(list(words)))

    with pytest.raises(UserError, match="--model fcn_resnet18_v1d is for --task segmentation"):
        made("--model", "fcn_resnet18_v1d")
    with pytest.raises(UserError, match="resnet18_v1d is a classifier; --task segmentation needs"):
        made("--model", "resnet18_v1d", "--task", "segmentation")
    with pytest.raises(UserError, match="--head-rate does not apply to resnet18_v1d"):
        made("--model", "resnet18_v1d", "--head-rate", "3")
    assert "fcn_resnet18_v1d" not in models.names()
    assert "fcn_resnet18_v1d" in models.names(task="segmentation")
