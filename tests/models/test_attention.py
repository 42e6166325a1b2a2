"""Squeeze-and-excitation and selective kernels against their definitions in numpy."""

import mxnet as mx
import numpy_layers as layers
import pytest
from mxnet.gluon.block import HybridBlock
from network_checks import assert_close, images, initialised

from gluon_tricks.models import blocks
from gluon_tricks.models.se import SqueezeExcite
from gluon_tricks.models.sk import SelectiveKernel


class Holder(HybridBlock):
    """Gives the layer's parameters the name that it has in a network."""

    def __init__(self, **layer):
        super().__init__()
        ((self._name, block),) = layer.items()
        setattr(self, self._name, block)

    def hybrid_forward(self, F, x):
        return getattr(self, self._name)(x)


@pytest.mark.parametrize("bias", [False, True])
def test_squeeze_excite_is_its_formula(bias):
    net = initialised(Holder(se=SqueezeExcite(32, bias=bias)))
    x = images(3, 32, 5, 7)
    parameters = layers.values(net)
    assert ("se.squeeze.bias" in parameters) == bias
    assert parameters["se.squeeze.weight"].shape == (2, 32, 1, 1)
    assert_close(net(mx.nd.array(x)), layers.squeeze_excite(x, parameters, "se"))


@pytest.mark.parametrize("stride, dilation", [(1, 1), (2, 1), (1, 2)])
@pytest.mark.parametrize("channels, hidden", [(8, 32), (128, 64)])
def test_selective_kernel_is_its_formula(channels, hidden, stride, dilation):
    net = initialised(Holder(sk=SelectiveKernel(channels, stride, dilation, blocks.norm())))
    x = images(2, channels, 7, 6)
    parameters = layers.values(net)
    assert parameters["sk.squeeze.weight"].shape == (hidden, channels, 1, 1)
    assert not [name for name in parameters if name.endswith("bias")]
    expected = layers.selective_kernel(x, parameters, "sk", stride, dilation)
    assert_close(net(mx.nd.array(x)), expected)


def test_the_shares_of_the_two_halves_add_up_to_one():
    """If both halves are equal, their mixture is each of them."""
    net = initialised(Holder(sk=SelectiveKernel(8, 1, 1, blocks.norm())))
    for name, parameter in net._collect_params_with_prefix().items():
        if name.startswith(("sk.conv.", "sk.bn.")):
            half = parameter.data()[:8]
            parameter.set_data(mx.nd.concat(half, half, dim=0))
    x, p = images(2, 8, 6, 6), layers.values(net)
    both = layers.relu(layers.norm(layers.conv(x, p, "sk.conv"), p, "sk.bn"))
    assert_close(net(mx.nd.array(x)), both[:, :8])
