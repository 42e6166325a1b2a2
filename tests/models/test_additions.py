"""ResNets with what later papers add: counts, names, outputs in numpy, compiled training."""

import mxnet as mx
import numpy_layers as layers
import pytest
from network_checks import (
    assert_close,
    assert_trains_alike_when_compiled,
    images,
    initialised,
    operators,
    small_resnet,
    training_step,
)

from gluon_tricks.errors import UserError
from gluon_tricks.models import additions, features, get_model
from gluon_tricks.models.additions import Additions
from gluon_tricks.models.complexity import count
from gluon_tricks.models.resnet import VARIANTS, ResNet, parts_of
from gluon_tricks.models.sk import with_sk

ALL = dict(attention="sk", anti_alias=3, drop_block=0.2, drop_path=0.2, gem=True)


def in_numpy(x, p, variant="v1d", depths=(1, 2, 1, 1), anti_alias=0, anti_alias_shortcut=False,
             gem=False, dilated=False, **_):  # fmt: skip
    """What :func:`small_resnet` computes, from the definitions."""
    if variant == "v1d":
        x = layers.relu(layers.norm(layers.conv(x, p, "conv1.0", 2), p, "conv1.1"))
        x = layers.relu(layers.norm(layers.conv(x, p, "conv1.3"), p, "conv1.4"))
        x = layers.conv(x, p, "conv1.6")
    else:
        x = layers.conv(x, p, "conv1", 2)
    x = layers.max_pool(layers.relu(layers.norm(x, p, "bn1")))
    for stage, blocks in enumerate(depths, 1):
        for number in range(blocks):
            at = f"layer{stage}.{number}"
            stride = 2 if number == 0 and stage in ((2,) if dilated else (2, 3, 4)) else 1
            dilation = {3: 2, 4: 4}.get(stage, 1) if dilated else 1
            dilation = max(1, dilation // 2) if number == 0 else dilation
            skip = x
            if number == 0:
                blurred = anti_alias_shortcut and stride == 2
                skip = layers.blur(x, anti_alias) if blurred else x
                if variant == "v1d":
                    skip = layers.mean_of_squares(skip, stride)
                    skip = layers.norm(
                        layers.conv(skip, p, at + ".downsample.1"), p, at + ".downsample.2"
                    )
                else:
                    skip = layers.conv(skip, p, at + ".downsample.0", 1 if blurred else stride)
                    skip = layers.norm(skip, p, at + ".downsample.1")
            x = layers.relu(
                layers.bottleneck(x, p, at, stride, dilation, blurred=anti_alias) + skip
            )
    x = (x**3).mean(axis=(2, 3)) ** (1 / 3) if gem else layers.means(x)
    return layers.dense(x, p)


@pytest.mark.parametrize(
    "options",
    [
        dict(attention="se"),
        dict(attention="sk"),
        dict(anti_alias=3),
        dict(variant="v1b", anti_alias=5, anti_alias_shortcut=True),
        dict(ALL, drop_path=0),
        dict(attention="sk", anti_alias=3, dilated=True),
    ],
    ids=str,
)
def test_each_and_all_together_give_the_outputs_of_numpy(options):
    net, x = small_resnet(**options), images(1, 3, 48, 48)
    expected = in_numpy(x, layers.values(net), **options)
    assert_close(net(mx.nd.array(x)), expected)
    net.hybridize()
    assert_close(net(mx.nd.array(x)), expected)


@pytest.mark.parametrize("size", [97, (33, 75)])
def test_odd_sizes_too(size):
    height, width = size if isinstance(size, tuple) else (size, size)
    options = dict(attention="sk", anti_alias=3)
    net, x = small_resnet(**options), images(1, 3, height, width)
    expected = in_numpy(x, layers.values(net), **options)
    assert_close(net(mx.nd.array(x)), expected)


@pytest.mark.slow
@pytest.mark.parametrize("options", [ALL, dict(attention="se", drop_block=0.2)], ids=["all", "se"])
def test_compiled_training_is_that_of_line_by_line(options):
    assert_trains_alike_when_compiled(lambda: small_resnet(**options), images(1, 3, 48, 48))


@pytest.mark.slow
def test_drop_block_and_drop_path_change_training_alone():
    """Of the same parameters."""
    x = images(2, 3, 48, 48)
    plain = small_resnet(attention="sk")
    dropping = small_resnet(attention="sk", drop_block=0.5, drop_path=0.5)
    assert list(layers.values(plain)) == list(layers.values(dropping))
    expected = plain(mx.nd.array(x)).asnumpy()
    assert_close(dropping(mx.nd.array(x)), expected, tolerance=0)
    mx.nd.waitall()
    a, b = (training_step(net, x)["output"] for net in (plain, dropping))
    assert abs(a - b).max() > 1e-3


def test_drop_block_is_after_every_norm_and_selective_kernel_of_the_last_two_stages():
    net = get_model("resnet50_v1d", attention="sk", drop_block=0.1)
    drops = [name for name in net.layer4[0]._children if "drop" in name]
    assert drops == ["bn1_drop", "sk_drop", "bn3_drop"]
    assert list(net.layer4[0].downsample._children) == ["0", "1", "2", "drop"]
    assert [net.layer3[1].bn1_drop._scale, net.layer4[1].bn1_drop._scale] == [0.25, 1]
    for stage in (net.layer1, net.layer2):
        assert not [name for block in stage for name in block._children if "drop" in name]
    plain = get_model("resnet50_v1b", drop_block=0.1)
    assert "bn2_drop" in plain.layer3[0]._children
    # in the graph of training: 9 blocks of three and two shortcuts
    assert operators(plain, training=True).count("_random_uniform_like") == 29
    assert "_random_uniform_like" not in operators(plain)


# Parameters for 1000 and 1001 classes (Assembled-CNN's), and for 1001 classes the billions of
# multiply-adds at 224x224 and 256x256 pixels.
COUNTS = [
    ("resnet50_v1b", {}, 25_557_032, 25_559_081, 4.0892, 5.3404),
    ("resnet50_v1d", {}, 25_576_264, 25_578_313, 4.3288, 5.6534),
    ("resnet50_v1d", dict(attention="se"), 28_091_208, 28_093_257, 4.3313, 5.6559),
    ("resnet50_v1b", dict(attention="sk"), 38_771_816, None, 5.9408, None),
    ("resnet50_v1d", dict(attention="sk"), 38_791_048, 38_793_097, 6.1804, 8.0712),
]


@pytest.mark.parametrize("name, options, of_1000, of_1001, at_224, at_256", COUNTS)
def test_counts_are_the_computed_ones(name, options, of_1000, of_1001, at_224, at_256):
    assert count(get_model(name, **options), 64).parameters == of_1000
    net = get_model(name, classes=1001, **options)
    for size, parameters, giga in ((224, of_1001, at_224), (256, of_1001, at_256)):
        complexity = count(net, size)
        assert parameters in (None, complexity.parameters)
        assert giga in (None, round(complexity.multiply_adds / 1e9, 4))


def test_selective_kernels_with_reduction_16_are_smaller():
    parts = with_sk(parts_of(VARIANTS["v1b"], True), reduction=16)
    complexity = count(ResNet((3, 4, 6, 3), parts))
    assert complexity.parameters == 37_245_352
    assert round(complexity.multiply_adds / 1e9, 4) == 5.9392


def test_what_has_no_parameters_renames_none():
    plain = get_model("resnet50_v1d")
    net = get_model("resnet50_v1d", **dict(ALL, attention="none"))
    assert list(net._collect_params_with_prefix()) == list(plain._collect_params_with_prefix())
    names = [name for name in net.collect_params() if name != "progress"]
    assert names == list(plain.collect_params())


def test_attention_has_names_of_its_own_and_leaves_the_others():
    plain = get_model("resnet50_v1d")
    for attention, own in [
        ("se", ["se.squeeze.weight", "se.excite.weight"]),
        ("sk", ["sk.conv.weight", "sk.squeeze.weight", "sk.excite.weight"]
         + [f"sk.{norm}.{name}" for norm in ("bn", "squeeze_bn")
            for name in ("gamma", "beta", "running_mean", "running_var")]),
    ]:  # fmt: skip
        net = get_model("resnet50_v1d", attention=attention)
        of_block = {
            name[len("layer2.1.") :]
            for name in net._collect_params_with_prefix()
            if name.startswith("layer2.1.")
        }
        theirs = {
            name[len("layer2.1.") :]
            for name in plain._collect_params_with_prefix()
            if name.startswith("layer2.1.")
        }
        replaced = ("conv2", "bn2") if attention == "sk" else ()
        assert of_block == {n for n in theirs if not n.startswith(replaced or "-")} | set(own)
        common = set(net.collect_params()) & set(plain.collect_params())
        assert {plain.layer2[1].conv3.weight.name, plain.fc.bias.name} <= common


def test_options_are_refused_by_name_if_a_network_has_no_place_for_them():
    for name, options, reason in [
        ("resnet50_v1", dict(drop_block=0.1), "--drop-block does not apply to resnet50_v1"),
        ("resnet50_v1d", dict(anti_alias=3, anti_alias_shortcut=True), "v1b and v1c"),
        ("resnet18_v1b", dict(attention="sk"), "--attention sk does not apply to resnet18_v1b"),
        ("resnet50_v1b_gn", dict(attention="sk"), "has BatchNorm"),
        ("resnet50_v1b", dict(attention="cbam"), "attention is cbam; it has to be none, se or sk"),
        (
            "resnet50_v1b",
            dict(drop_block_from=0.1),
            "--drop-block-from has no effect without --drop-block",
        ),
        ("resnet50_v1b", dict(anti_alias=9), "--anti-alias 9: has to be from 2 to 7"),
        ("mobilenet1.0", dict(gem=True), "--gem does not apply to mobilenet1.0"),
    ]:
        with pytest.raises(UserError, match=reason):
            get_model(name, **options)
    assert get_model("mobilenet1.0", attention="none", anti_alias=0)


def test_features_are_those_of_the_plain_network():
    for dilated in (False, True):
        net = get_model(
            "resnet50_v1b", attention="sk", anti_alias=3, dilated=dilated, drop_block=0.1
        )
        _, stages = features(net)
        assert [stage.channels for stage in stages] == [256, 512, 1024, 2048]
        assert [stage.stride for stage in stages] == ([4, 8, 8, 8] if dilated else [4, 8, 16, 32])


def test_shallow_networks_have_what_needs_no_bottleneck():
    net = initialised(
        get_model("resnet18_v1d", classes=7, attention="se", anti_alias=3, drop_block=0.1)
    )
    assert net(mx.nd.array(images(2, 3, 64, 64))).shape == (2, 7)
    assert list(net.layer2[0]._children)[:4] == ["conv1", "bn1", "relu1", "blur"]


def test_every_addition_has_a_default_that_is_off():
    parts = parts_of(VARIANTS["v1d"], True)
    assert additions.stages(parts, Additions()) == [parts] * 4
