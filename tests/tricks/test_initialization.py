"""Initial weights against the distributions that the paper and the authors' two scripts state."""

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import nn
from scipy import stats

from gluon_tricks.tricks.initialization import initializer

# d_in and d_out of a 3x3 convolution of 32 to 64 channels, and of a dense layer
CONV, DENSE = (32 * 9, 64 * 9), (200, 300)


def weights(form):
    net = nn.HybridSequential()
    net.add(
        nn.Conv2D(64, 3, in_channels=32), nn.BatchNorm(in_channels=64), nn.Dense(300, in_units=200)
    )
    mx.random.seed(5000)
    net.initialize(initializer(form))
    return net[0], net[1], net[2]


def p_value(weight, distribution):
    return stats.kstest(weight.data().asnumpy().ravel(), distribution.cdf).pvalue


def test_xavier_is_uniform_in_a_range_from_both_fans():
    conv, _, dense = weights("xavier")
    for layer, (d_in, d_out) in ((conv, CONV), (dense, DENSE)):
        a = np.sqrt(6 / (d_in + d_out))
        values = layer.weight.data().asnumpy()
        assert np.abs(values).max() <= a * (1 + 1e-6)
        assert p_value(layer.weight, stats.uniform(-a, 2 * a)) > 0.01


def test_xavier_gaussian_is_normal_with_two_over_fan_in():
    conv, _, dense = weights("xavier-gaussian")
    for layer, (d_in, _) in ((conv, CONV), (dense, DENSE)):
        assert p_value(layer.weight, stats.norm(0, np.sqrt(2 / d_in))) > 0.01


def test_msra_is_normal_with_mxnets_slope_and_average_fan():
    # MSRAPrelu's defaults: variance 2 / (1 + 0.25^2) over the average of both fans
    conv, _, dense = weights("msra")
    for layer, fans in ((conv, CONV), (dense, DENSE)):
        assert (
            p_value(layer.weight, stats.norm(0, np.sqrt(2 / (1 + 0.25**2) / np.mean(fans)))) > 0.01
        )


@pytest.mark.parametrize("form", ["xavier", "msra", "xavier-gaussian"])
def test_biases_and_beta_are_0_and_gamma_is_1(form):
    conv, norm, dense = weights(form)
    for parameter, value in ((conv.bias, 0), (dense.bias, 0), (norm.beta, 0), (norm.gamma, 1)):
        assert (parameter.data().asnumpy() == value).all()


def test_unknown_form_is_named():
    with pytest.raises(ValueError, match="unknown form 'zeros'"):
        initializer("zeros")


@pytest.mark.parametrize("name", ["resnet18_v1d", "resnet50_v1b"])
def test_zero_gamma_is_in_the_last_norm_of_every_residual_block_alone(name):
    from gluon_tricks import models

    net = models.get_model(name, classes=10, last_gamma=True)
    net.initialize(initializer("xavier"))
    net(mx.nd.zeros((1, 3, 32, 32)))
    last = {"resnet18_v1d": "bn2", "resnet50_v1b": "bn3"}[name]
    zeros, ones = set(), set()
    for path, parameter in net._collect_params_with_prefix().items():
        if path.endswith("gamma"):
            values = set(parameter.data().asnumpy().ravel().tolist())
            (zeros if values == {0.0} else ones).add(path)
            assert values in ({0.0}, {1.0}), path
    blocks = sum(len(stage) for stage in (net.layer1, net.layer2, net.layer3, net.layer4))
    assert len(zeros) == blocks and all(
        path.endswith(last + ".gamma") and path.startswith("layer") for path in zeros
    )
    assert ones
