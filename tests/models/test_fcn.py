"""FCN is GluonCV's: names, shapes and values; its backbone is a classifier's."""

import re

import gluoncv
import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon

from gluon_tricks import config as configuration
from gluon_tricks import models
from gluon_tricks.deploy.segmentation.segmenter import LEAST
from gluon_tricks.errors import UserError
from gluon_tricks.models import complexity, fcn, registry
from gluon_tricks.models.batch_norm import batch_norms

SIZE = 40


def of_config(config):
    """The network that a run trains."""
    net = models.get_model(config.model, **models.arguments_of(config))
    return models.synchronised(net, config)


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
    found = fcn.resized(mx.nd, ours.auxlayer(stages["layer3"]), images)
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


@pytest.mark.slow
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
        return of_config(configuration.parse(list(words)))

    with pytest.raises(UserError, match="--model fcn_resnet18_v1d is for --task segmentation"):
        made("--model", "fcn_resnet18_v1d")
    with pytest.raises(
        UserError, match="resnet18_v1d is a classifier; --task segmentation has fcn_resnet18_v1d"
    ):
        made("--model", "resnet18_v1d", "--task", "segmentation", "--classes", "3")
    with pytest.raises(UserError, match="--head-rate does not apply to resnet18_v1d"):
        made("--model", "resnet18_v1d", "--head-rate", "3")
    assert "fcn_resnet18_v1d" not in models.names()
    assert "fcn_resnet18_v1d" in models.names(task="segmentation")


@pytest.mark.parametrize("name", ["blresnet50", "assemble_resnet50", "resnet34_v1b"])
def test_every_network_that_can_be_dilated_is_a_backbone(name):
    net, classifier = models.get_model("fcn_" + name, classes=3), models.get_model(name)
    stages = complexity.trace_with(net, net.backbone.stage_outputs)
    outputs = mx.sym.Group([stages[f"layer{number}"] for number in (1, 2, 3, 4)])
    heights = [shape[2] for shape in outputs.infer_shape(data=(1, 3, 64, 64))[1]]
    assert heights == [16 if name == "resnet34_v1b" else 8, 8, 8, 8]
    own, theirs = shapes(net), shapes(classifier)
    assert {name: own[name] for name in own if not name.startswith(("head.", "auxlayer."))} == {
        name: theirs[name] for name in theirs if not name.startswith("fc.")
    }
    with autograd.train_mode():
        outputs = complexity.trace(net).infer_shape(data=(1, 3, 33, 47))[1]
    assert outputs == [(1, 3, 33, 47)] * 2


def test_every_classifier_is_a_backbone_or_is_refused_by_its_name():
    """Those with features of ours and a dilated form are; GluonCV's own name of its FCN is told."""
    able = {*filter(has_dilated_features, models.names()), *fcn.WITH_WIDE_STEM}
    for name in models.names():
        if name in able:
            assert registry.get("fcn_" + name).for_task == "segmentation"
        else:
            with pytest.raises(
                UserError, match=f"network of this package .* but {re.escape(name)} is not"
            ):
                registry.get("fcn_" + name)
    assert {"resnet18_v1b", "resnet152_v1d", "blresnet50", "assemble_resnet152"} < able
    with pytest.raises(UserError, match="fcn_resnet101_ade is called fcn_resnet101_v1s here"):
        registry.get("fcn_resnet101_ade")


def has_dilated_features(name):
    """By its options, those that take every keyword apart: they are GluonCV's."""
    return {"dilated", "features_only"} <= set(registry.get(name).options or ())


@pytest.mark.parametrize(
    "name, options",
    [
        ("resnet18_v1d", dict(anti_alias=7)),
        ("blresnet50", dict(anti_alias=5)),
        ("assemble_resnet50", {}),
    ],
)
def test_the_least_size_of_prediction_is_one_that_networks_take(name, options):
    net = models.get_model("fcn_" + name, classes=3, **options)
    shape = (1, 3, LEAST, LEAST)
    assert complexity.trace(net).infer_shape(data=shape)[1] == [shape]


def test_a_dilated_big_little_network_dilates_for_each_stride_that_it_lacks():
    plain, dilated = (models.get_model("blresnet50", dilated=yes) for yes in (False, True))
    plain, dilated = (dict(convolutions(net, "")) for net in (plain, dilated))
    assert plain.keys() == dilated.keys()
    without_stride = {name for name in plain if plain[name][0] != dilated[name][0]}
    assert without_stride == {"layer2.fusion.0.conv2", "layer4.0.conv2"}
    for name, (stride, dilation) in dilated.items():
        late = name.startswith("layer4.") and name != "layer4.0.conv2"
        expected = 4 if late else 2 if name.startswith(("layer3.", "layer4.")) else 1
        assert dilation == expected, name


def convolutions(block, path):
    """(name, (stride, dilation)) of each 3x3 convolution."""
    if isinstance(block, gluon.nn.Conv2D) and block._kwargs["kernel"] == (3, 3):
        yield path, (block._kwargs["stride"][0], block._kwargs["dilate"][0])
    for name, child in block._children.items():
        yield from convolutions(child, f"{path}.{name}".lstrip("."))


def test_a_file_for_other_classes_leaves_both_heads_new(tmp_path):
    file, net = str(tmp_path / "five.params"), models.get_model("fcn_resnet18_v1d", classes=3)
    small().save_parameters(file)
    net.initialize()
    with pytest.raises(UserError, match="the file is for 5 classes, not 3"):
        models.load_parameters(net, file)
    assert models.load_parameters(net, file, new_head=True) == [
        f"{head}.block.4.{kind}" for head in ("head", "auxlayer") for kind in ("weight", "bias")
    ]


def test_the_statistics_of_one_device_are_those_of_all():
    """SyncBatchNorm needs GPUs to be tested with more."""

    def gradients(*words):
        words = ["--model", "fcn_resnet18_v1d", "--task", "segmentation", "--classes", "3", *words]
        net = of_config(configuration.parse(words))
        mx.random.seed(1)
        net.initialize(mx.init.Xavier())
        x = mx.nd.random.normal(shape=(2, 3, 32, 32))
        with autograd.record():
            loss = sum((output**2).mean() for output in net(x))
        loss.backward()
        return net, np.concatenate(
            [p.grad().asnumpy().ravel() for p in net.collect_params(".*weight").values()]
        )

    (plain, expected), (synchronised, found) = gradients(), gradients("--sync-bn")
    assert list(plain.collect_params()) == list(synchronised.collect_params())
    norms = [type(norm).__name__ for norm in batch_norms(synchronised)]
    assert len(norms) == len(batch_norms(plain)) > 20 and set(norms) == {"SyncBatchNorm"}
    # A value that is nearly 0 before a ReLU may be on its other side.
    assert np.linalg.norm(found - expected) < 0.02 * np.linalg.norm(expected)
    with pytest.raises(UserError, match="--sync-bn does not apply to alexnet: it has no BatchNorm"):
        of_config(configuration.parse(["--model", "alexnet", "--sync-bn"]))
