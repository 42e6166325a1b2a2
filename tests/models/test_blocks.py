"""The factories, put together as another family of networks would."""

from functools import partial

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import nn
from mxnet.gluon.block import HybridBlock

from gluon_tricks.models import blocks, features
from gluon_tricks.models.resnet import DEPTHS, VARIANTS, ResNet, parts_of


class SqueezeExcite(HybridBlock):
    """x times a weight for each channel, computed from the channels' means."""

    def __init__(self, channels):
        super().__init__()
        with self.name_scope():
            self.reduce = blocks.conv(channels, channels // 16, 1)
            self.expand = blocks.conv(channels // 16, channels, 1)

    def hybrid_forward(self, F, x):
        weight = self.expand(F.relu(self.reduce(F.mean(x, axis=(2, 3), keepdims=True))))
        return F.broadcast_mul(x, F.sigmoid(weight))


class Blur(HybridBlock):
    """The mean of [1, 2, 1] x [1, 2, 1] / 16 pixels, every ``stride``-th of them."""

    def __init__(self, channels, stride):
        super().__init__()
        kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
        self._conv = {"stride": (stride, stride), "num_group": channels, "num_filter": channels}
        with self.name_scope():
            kernels = np.tile(kernel, (channels, 1, 1, 1)).astype("float32")
            self.kernel = self.params.get_constant("kernel", kernels)

    def hybrid_forward(self, F, x, kernel):
        return F.Convolution(x, kernel, kernel=(3, 3), pad=(1, 1), no_bias=True, **self._conv)


class HalfBranch(blocks.Residual):
    """A block whose body counts half, as stochastic depth's does on average."""

    def hybrid_forward(self, F, x):
        return self.activate(F, self.branch(x) / 2 + self.skip(x))


def se_bottleneck(in_channels, width, *arguments, **options):
    layers = blocks.bottleneck(in_channels, width, *arguments, **options)
    return [*layers, ("se", SqueezeExcite(4 * width))]


def blurred_bottleneck(in_channels, width, stride, *arguments, **options):
    """The 3x3 convolution keeps the resolution, and the blur after it halves it."""
    layers = blocks.bottleneck(in_channels, width, 1, *arguments, **options)
    if stride > 1:
        after = [name for name, _ in layers].index("relu2") + 1
        layers.insert(after, ("blur", Blur(width, stride)))
    return layers


def blurred_shortcut(in_channels, channels, stride, norm):
    layers = blocks.plain_shortcut(in_channels, channels, 1, norm)
    return [("blur", Blur(in_channels, stride)), *layers] if stride > 1 else layers


def network(variant="v1d", **replaced):
    depths, bottleneck = DEPTHS[50]
    parts = parts_of(VARIANTS[variant], bottleneck)
    if variant == "v1" and "body" in replaced:
        replaced["body"] = partial(replaced["body"], stride_in_3x3=False, bias=True)
    return ResNet(depths, parts._replace(**replaced), classes=5, prefix="net_")


CASES = {
    "se": {"body": se_bottleneck},
    "blur": {"body": blurred_bottleneck, "shortcut": blurred_shortcut},
}


@pytest.mark.parametrize("variant", ["v1", "v1b", "v1d"])
@pytest.mark.parametrize("case", CASES)
def test_a_layer_in_between_renames_no_other(case, variant):
    plain, other = network(variant), network(variant, **CASES[case])
    if case == "blur" and variant == "v1d":
        plain = network(variant, shortcut=blocks.plain_shortcut)  # the blur replaces its pooling
    named = {key: held.name for key, held in plain._collect_params_with_prefix().items()}
    found = {key: held.name for key, held in other._collect_params_with_prefix().items()}
    assert named.items() <= found.items()
    added = {key.split(".")[-3 if case == "se" else -2] for key in set(found) - set(named)}
    assert added == {case}
    assert [stage[1:] for stage in features(other)[1]] == [
        (256, 4),
        (512, 8),
        (1024, 16),
        (2048, 32),
    ]


def test_a_residual_block_may_join_branch_and_shortcut_in_its_own_way():
    assert isinstance(network(residual=HalfBranch).layer4[2], HalfBranch)
    norm = blocks.norm()
    block = HalfBranch(blocks.basic(8, 8, 1, (1, 1), norm, norm))
    block.initialize()
    x = mx.nd.random.normal(shape=(1, 8, 4, 4))
    expected = mx.nd.relu(block.branch(x) / 2 + x)
    np.testing.assert_array_equal(block(x).asnumpy(), expected.asnumpy())


def test_a_norm_takes_the_options_of_the_network_and_of_the_call():
    norm = blocks.norm(nn.BatchNorm, epsilon=1e-3)
    last = norm(4, gamma_initializer="zeros")
    assert last._kwargs["eps"] == 1e-3 and last.gamma.init == "zeros"
    assert last.gamma.shape == (4,)
