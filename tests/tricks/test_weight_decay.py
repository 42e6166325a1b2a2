"""No bias decay: which parameters keep weight decay, in our networks and in the zoo's, and what
MXNet's optimizer then does.
"""

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import nn

from gluon_tricks import models
from gluon_tricks.tricks.weight_decay import decayed, exempt_biases


def test_only_weights_are_decayed():
    assert decayed("resnet0_conv0_weight")
    assert not any(
        decayed("resnet0_" + name)
        for name in ("conv0_bias", "batchnorm0_gamma", "batchnorm0_beta", "dense0_bias")
    )


@pytest.mark.parametrize(
    "name",
    [
        "resnet18_v1",
        "resnet50_v1d",
        "mobilenet0.25",
        "mobilenetv3_small",
        "vgg11",
        "squeezenet1.0",
        "se_resnext50_32x4d",
        "inceptionv3",
        "resnest14",
        "densenet121",
    ],
)
def test_the_groups_of_a_network_are_by_the_kind_of_layer(name):
    net = models.get_model(name)
    exempt_biases(net)
    weights, found = set(), {p.name for p in net.collect_params().values() if p.wd_mult > 0}

    def visit(block):
        if isinstance(block, (nn.Dense, nn.Conv2D, nn.Conv2DTranspose)):
            weights.add(block.weight.name)
        for child in block._children.values():
            visit(child)

    visit(net)
    assert found == weights and found
    # the authors exempt by the names' ends; on these networks that is the same
    assert found == {
        p.name
        for p in net.collect_params().values()
        if not p.name.endswith(("beta", "gamma", "bias", "running_mean", "running_var"))
    }


@pytest.mark.parametrize("name", ["resnet50_v1d", "vgg11", "mobilenetv3_small"])
def test_norms_alone_are_exempt_if_asked_for(name):
    net = models.get_model(name)
    exempt_biases(net, "norms")
    for parameter in net.collect_params().values():
        is_norms = parameter.name.endswith(("gamma", "beta", "running_mean", "running_var"))
        assert (parameter.wd_mult == 0) == is_norms, parameter.name


@pytest.mark.parametrize("exempt", [False, True])
def test_an_exempt_parameter_without_gradient_does_not_move(exempt):
    net = nn.Dense(2, in_units=2)
    net.initialize(mx.init.One())
    net.bias.set_data(mx.nd.ones(2))
    if exempt:
        exempt_biases(net)
    trainer = mx.gluon.Trainer(
        net.collect_params(),
        "nag",
        dict(learning_rate=0.5, momentum=0.0, wd=0.1),
        update_on_kvstore=False,
    )
    with mx.autograd.record():
        loss = 0 * net(mx.nd.ones((1, 2))).sum()
    loss.backward()
    trainer.step(1)
    np.testing.assert_allclose(net.weight.data().asnumpy(), 1 - 0.5 * 0.1, rtol=1e-6)
    np.testing.assert_allclose(
        net.bias.data().asnumpy(), 1.0 if exempt else 1 - 0.5 * 0.1, rtol=1e-6
    )
