"""--bn-momentum and --bn-eps in our networks and GluonCV's, in training and in what is saved."""

import json

import mxnet as mx
import numpy as np
import pytest

from gluon_tricks import models, open_model
from gluon_tricks.config import parse
from gluon_tricks.errors import UserError
from gluon_tricks.models.registry import options_of


@pytest.mark.parametrize(
    "name", ["resnet18_v1d", "mobilenetv3_small", "inceptionv3", "densenet121"]
)
def test_all_batch_norms_of_the_graph_have_them_or_the_networks_own(name):
    def attributes(**options):
        nodes = json.loads(models.get_model(name, **options)(mx.sym.var("data")).tojson())["nodes"]
        return [node["attrs"] for node in nodes if node["op"] == "BatchNorm"]

    own, changed = attributes(), attributes(bn_momentum=0.997, bn_eps=0.002)
    assert len(own) == len(changed) > 10
    assert {(a["momentum"], a["eps"]) for a in changed} == {("0.997", "0.002")}
    assert {a["eps"] for a in own} == {a["eps"] for a in attributes(bn_momentum=0.5)}
    assert "0.997" not in {a["momentum"] for a in own}


def test_the_flags_reach_the_network_and_its_statistics():
    config = parse("--bn-momentum 0.7 --bn-eps 0.01".split())
    net = models.get_model("cifar_resnet20_v1", classes=10, **options_of(config))
    net.initialize()
    images = mx.nd.random.normal(shape=(4, 3, 32, 32))
    first = net.features[0](images)
    with mx.autograd.record():
        out = net.features[1](first)
    out.backward()  # which writes the statistics on a CPU
    mx.nd.waitall()
    mean = first.asnumpy().mean(axis=(0, 2, 3))
    np.testing.assert_allclose(net.features[1].running_mean.data().asnumpy(), 0.3 * mean, atol=1e-5)
    fresh = models.get_model("cifar_resnet20_v1", classes=10, **options_of(config)).features[1]
    fresh.initialize()
    fresh(first)  # evaluation, with mean 0 and variance 1
    np.testing.assert_allclose(
        fresh(first).asnumpy(), first.asnumpy() / np.sqrt(1.01), rtol=1e-4, atol=1e-6
    )


def test_a_network_without_batch_norm_refuses_them():
    with pytest.raises(UserError, match="--bn-eps does not apply to vgg11: .*with BatchNorm"):
        models.get_model("vgg11", bn_eps=0.1)
    models.get_model("vgg11", bn_eps=0.1, batch_norm=True)


def test_a_parameter_file_is_opened_with_the_epsilon_that_is_said(tmp_path):
    net = models.get_model("cifar_resnet20_v1", classes=10, bn_eps=0.5)
    net.initialize()
    images = mx.nd.random.normal(shape=(2, 3, 32, 32))
    expected = net(images).asnumpy()
    net.save_parameters(str(tmp_path / "net.params"))
    opened = open_model(tmp_path / "net.params", model="cifar_resnet20_v1", bn_eps=0.5)
    np.testing.assert_array_equal(opened.predict(images.asnumpy(), np.arange(2)), expected)
