"""MobileNet with what Assembled-CNN adds to it: outputs in numpy, counts, names, where it drops."""

import mxnet as mx
import numpy as np
import numpy_layers as layers
import pytest
from gluoncv.model_zoo import get_model as gluoncvs
from network_checks import (
    assert_close,
    assert_trains_alike_when_compiled,
    images,
    initialised,
    operators,
)

from gluon_tricks.errors import UserError
from gluon_tricks.models import features, get_model
from gluon_tricks.models.complexity import count
from gluon_tricks.models.drop_block import DropBlock

STRIDES = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]
SE2 = dict(attention="se", attention_reduction=2)


def made(name="mobilenet0.25", **options):
    """With random parameters and 7 classes."""
    return initialised(get_model(name, classes=7, **options))


def in_numpy(x, p):
    """A convolution, 13 depthwise and 1x1 ones, each with norm and ReLU, and the weighing before
    the ReLU of the 1x1 ones.
    """

    def step(x, number, stride=1, groups=1):
        x = layers.conv(x, p, f"features.{3 * number}", stride, groups=groups)
        norm = f"features.{3 * number + 1}"
        x = layers.norm(x, p, norm)
        if norm + "_se.squeeze.weight" in p:
            x = layers.squeeze_excite(x, p, norm + "_se")
        return layers.relu(x)

    x = step(x, 0, stride=2)
    for block, stride in enumerate(STRIDES):
        x = step(x, 2 * block + 1, stride, groups=x.shape[1])
        x = step(x, 2 * block + 2)
    return layers.dense(layers.means(x), p, "output")


@pytest.mark.parametrize("options", [{}, dict(SE2, drop_block=0.2)], ids=str)
def test_outputs_are_those_of_numpy(options):
    net, x = made(**options), images(2, 3, 33, 47)
    expected = in_numpy(x, layers.values(net))
    assert_close(net(mx.nd.array(x)), expected)
    net.hybridize()
    assert_close(net(mx.nd.array(x)), expected)


def test_counts_follow_from_the_channels():
    """Plain: arXiv 1704.04861 has 4.2 M, and 4.7 M with SE is what the paper of SE has."""
    channels = [64] + [128] * 2 + [256] * 2 + [512] * 6 + [1024] * 2
    plain = count(get_model("mobilenet1.0"))
    for options, reduction in ((dict(attention="se"), 16), (SE2, 2)):
        added = sum(2 * each * (each // reduction) for each in channels)
        found = count(get_model("mobilenet1.0", **options, drop_block=0.1))
        assert found.parameters == plain.parameters + added
        assert found.multiply_adds == plain.multiply_adds + added
    assert round(count(get_model("mobilenet1.0", attention="se")).parameters / 1e6, 1) == 4.7


def test_plain_it_is_gluoncvs_and_what_is_added_renames_nothing():
    def names(net):
        inner = [name[len(net.prefix) :] for name in net.collect_params() if name != "progress"]
        return list(zip(net._collect_params_with_prefix(), inner))

    theirs, plain = gluoncvs("mobilenet0.5"), get_model("mobilenet0.5")
    assert names(plain) == names(theirs) and type(plain) is type(theirs)
    assert names(get_model("mobilenet0.5", drop_block=0.1)) == names(theirs)
    added = [pair for pair in names(get_model("mobilenet0.5", **SE2)) if pair not in names(theirs)]
    assert len(added) == 26 and all("_se." in path for path, _ in added)


def test_it_drops_after_every_norm_of_the_last_two_resolutions():
    net = get_model("mobilenet1.0", drop_block=0.1, drop_block_from=0.05)
    children = net.features._children
    drops = {name: layer for name, layer in children.items() if isinstance(layer, DropBlock)}
    assert list(drops) == [f"{3 * number + 1}_drop" for number in range(11, 27)]
    assert [drop._scale for drop in drops.values()] == [0.25] * 12 + [1] * 4
    assert operators(net, training=True).count("_random_uniform_like") == 16
    assert "_random_uniform_like" not in operators(net)
    order = list(get_model("mobilenet1.0", drop_block=0.1, **SE2).features._children)
    assert order[-7:] == ["78", "79", "79_drop", "79_se", "80", "81", "82"]


def test_compiled_training_is_that_of_line_by_line():
    options = dict(attention="se", drop_block=0.2)
    assert_trains_alike_when_compiled(lambda: made(**options), images(2, 3, 64, 64))


def test_its_stages_are_the_plain_ones():
    for options in ({}, dict(SE2, drop_block=0.1)):
        _, stages = features(get_model("mobilenet1.0", **options))
        assert [stage.channels for stage in stages[-4:]] == [128, 256, 512, 1024]
        assert [stage.stride for stage in stages[-4:]] == [4, 8, 16, 32]


@pytest.mark.parametrize(
    "options, reason",
    [
        (dict(attention="sk"), "--attention sk does not apply to mobilenet1.0"),
        (dict(attention_reduction=2), "--attention-reduction has no effect without --attention"),
        (dict(attention="se", attention_reduction=65), "--attention-reduction 65 is more than"),
        (dict(drop_path=0.1), "--drop-path does not apply to mobilenet1.0"),
        (dict(last_gamma=True), "--last-gamma does not apply to mobilenet1.0"),
    ],
)
def test_what_it_cannot_have_is_refused(options, reason):
    with pytest.raises(UserError, match=reason):
        get_model("mobilenet1.0", **options)


def test_of_a_small_map_channels_are_dropped_whole():
    """At 64 pixels the last maps are 4x4 and 2x2."""
    net = made(drop_block=0.5)
    mx.random.seed(0)
    with mx.autograd.record():
        zeros = net.features[:-2](mx.nd.array(images(4, 3, 64, 64))).asnumpy() == 0
    dropped = zeros.all(axis=(0, 2, 3))
    assert 0.3 < dropped.mean() < 0.8
    np.testing.assert_array_equal(zeros[:, dropped], True)
