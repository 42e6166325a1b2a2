"""Counts against the paper's Table 5, published figures, and sums done by hand."""

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import nn

from gluon_tricks.errors import UserError
from gluon_tricks.models import get_model
from gluon_tricks.models.complexity import count


@pytest.mark.parametrize(
    "variant, giga", [("v1", 3.86), ("v1b", 4.09), ("v1c", 4.33), ("v1d", 4.33)]
)
def test_resnet50_costs_what_table_5_says(variant, giga):
    complexity = count(get_model("resnet50_" + variant), 224)
    assert round(complexity.parameters / 1e6, 1) == 25.6
    assert round(complexity.multiply_adds / 1e9, 2) == giga


@pytest.mark.parametrize(
    "name, parameters, giga",
    [
        ("vgg16", 138.4, 15.47),  # known to everyone who has drawn VGG
        ("mobilenet1.0", 4.2, 0.57),  # arXiv 1704.04861, table 8: depthwise convolutions
        ("resnext50_32x4d", 25.0, 4.23),  # arXiv 1611.05431, table 1: grouped convolutions
        ("densenet201", 20.0, 4.29),  # the paper's table 1: 4.3 G
    ],
)
def test_published_figures_of_other_networks(name, parameters, giga):
    complexity = count(get_model(name))
    assert round(complexity.parameters / 1e6, 1) == parameters
    assert round(complexity.multiply_adds / 1e9, 2) == giga


def small(*layers):
    net = nn.HybridSequential()
    net.add(*layers)
    return net


def test_groups_strides_dilation_and_biases_are_counted_right():
    net = small(
        nn.Conv2D(8, 3, padding=1, in_channels=3),  # 8x8 from 8x8
        nn.Conv2D(8, 3, groups=4, strides=2, padding=1, use_bias=False, in_channels=8),  # 4x4
        nn.Conv2D(16, 3, dilation=2, padding=2, use_bias=False, in_channels=8),  # 4x4
        nn.Conv2DTranspose(4, 2, strides=2, in_channels=16),  # 8x8
        nn.Dense(10, in_units=4 * 64),
    )
    by_hand = [8 * 64 * 3 * 9, 8 * 16 * 2 * 9, 16 * 16 * 8 * 9, 16 * 16 * 4 * 4, 10 * 256]
    complexity = count(net, 8)
    assert [layer.multiply_adds for layer in complexity.layers] == by_hand
    assert complexity.multiply_adds == sum(by_hand)
    assert complexity.parameters == 8 * 27 + 8 + 8 * 18 + 16 * 72 + 16 * 4 * 4 + 4 + 2560 + 10
    assert complexity.layers[3].output_shape == (1, 4, 8, 8)


def test_trainable_parameters_are_counted_apart_from_running_statistics():
    net = small(nn.Conv2D(4, 1, in_channels=3), nn.BatchNorm(in_channels=4))
    assert count(net, 4)[:2] == (12 + 4 + 8, 12 + 4 + 16)
    net[0].weight.grad_req = "null"
    assert count(net, 4)[:2] == (4 + 8, 12 + 4 + 16)


def test_a_weight_used_twice_costs_twice_and_is_one_parameter():
    class Twice(mx.gluon.HybridBlock):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2D(3, 1, in_channels=3, use_bias=False)

        def hybrid_forward(self, F, x):
            return self.conv(self.conv(x))

    assert count(Twice(), 5)[0::2][:2] == (9, 2 * 9 * 25)


def test_rectangular_images_and_other_channels():
    net = small(nn.Conv2D(2, 1, use_bias=False))
    assert count(net, (3, 5), channels=1).multiply_adds == 2 * 15


def test_deferred_shapes_are_counted_and_stay_deferred():
    net = small(nn.Conv2D(4, 3), nn.Dense(5))
    assert count(net, 8).parameters == 4 * 27 + 4 + 4 * 36 * 5 + 5
    assert net[0].weight.shape == (4, 0, 3, 3) and net[1].weight.shape == (5, 0)
    with pytest.raises(RuntimeError, match="not been initialized"):
        net[0].weight.data()


def test_counting_leaves_a_hybridized_network_and_later_names_as_they_were():
    net = small(nn.Conv2D(4, 3), nn.Dense(5))
    net.initialize()
    net.hybridize(static_alloc=True)
    x = mx.nd.random.normal(shape=(2, 3, 8, 8))
    before = net(x).asnumpy()
    name = mx.sym.relu(mx.sym.var("x")).name
    count(net, 8)
    np.testing.assert_array_equal(net(x).asnumpy(), before)
    after = mx.sym.relu(mx.sym.var("x")).name
    assert int(after[len("relu") :]) == int(name[len("relu") :]) + 1


def test_a_network_cast_after_counting_has_the_new_dtype_in_its_graph():
    net = small(nn.Conv2D(4, 3, in_channels=3))
    count(net, 8)
    net.cast("float16")
    arguments, outputs, _ = net(mx.sym.var("data")).infer_type(data="float16")
    assert set(arguments) == {np.float16} and outputs == [np.float16]


def test_a_network_that_cannot_be_traced_or_is_too_big_for_the_image_is_an_error(capfd):
    class Shape(mx.gluon.HybridBlock):
        def hybrid_forward(self, F, x):
            return x * x.shape[0]

    with pytest.raises(UserError, match="cannot be traced"):
        count(Shape())
    with pytest.raises(UserError, match="takes no 20x20 image"):
        count(get_model("alexnet"), 20)
    assert capfd.readouterr().out == ""


@pytest.mark.slow
def test_features_and_exported_networks_are_counted_too(tmp_path):
    whole, features = (
        get_model("resnet18_v1d", classes=10),
        get_model("resnet18_v1d", features_only=True),
    )
    assert count(whole, 64).multiply_adds - count(features, 64).multiply_adds == 5120
    whole.initialize()
    whole.hybridize()
    whole(mx.nd.zeros((1, 3, 64, 64)))
    whole.export(str(tmp_path / "net"))
    files = str(tmp_path / "net-symbol.json"), ["data"], str(tmp_path / "net-0000.params")
    imported = mx.gluon.SymbolBlock.imports(*files)
    assert count(imported, 64).multiply_adds == count(whole, 64).multiply_adds
    assert count(imported, 64).all_parameters == count(whole, 64).all_parameters
