"""Big-Little and Assemble-ResNets: counts, names, outputs in numpy, compiled training."""

import mxnet as mx
import numpy as np
import numpy_layers as layers
import pytest
from network_checks import (
    assert_close,
    assert_trains_alike_when_compiled,
    images,
    operators,
    small_big_little,
)

from gluon_tricks.errors import UserError
from gluon_tricks.models import features, get_model
from gluon_tricks.models.big_little import Shape, Variant
from gluon_tricks.models.complexity import count
from gluon_tricks.models.progress import progress_of

ASSEMBLE = dict(shape=Shape(bl_projection=True), attention="sk", anti_alias=3)


def group(x, p, at, stride=1, ends_in_sum=False, groups=1, anti_alias=0):
    """The blocks under a name, of which the first may have a shortcut with layers."""
    numbers = {name[len(at) :].split(".")[1] for name in p if name.startswith(at + ".")}
    count = len([number for number in numbers if number.isdigit()])
    for number in range(count):
        own, name = stride if number == 0 else 1, f"{at}.{number}"
        skip = layers.average_pool(x, 3, 2, border=1) if own == 2 else x
        if name + ".downsample.conv.weight" in p:
            skip = layers.conv(skip, p, name + ".downsample.conv")
            skip = layers.norm(skip, p, name + ".downsample.bn")
        x = layers.bottleneck(x, p, name, own, groups=groups, blurred=anti_alias) + skip
        x = x if ends_in_sum and number == count - 1 else layers.relu(x)
    return x


def in_numpy(x, p, groups=1, alpha=2, anti_alias=0):
    """What a Big-Little network with these parameters computes, from the paper's definition."""

    def step(x, at, number="", stride=1):
        y = layers.conv(x, p, f"{at}.conv{number}", stride)
        return layers.norm(y, p, f"{at}.bn{number}")

    x = layers.relu(layers.norm(layers.conv(x, p, "conv1", 2), p, "bn1"))
    little = layers.relu(step(x, "stem.little", 1))
    little = step(layers.relu(step(little, "stem.little", 2, stride=2)), "stem.little", 3)
    x = layers.relu(step(layers.relu(step(x, "stem.big", stride=2) + little), "stem.fusion"))
    for stage, stride in (("layer1", 2), ("layer2", 2), ("layer3", 1)):
        big = group(x, p, stage + ".big", 2, True, groups, anti_alias)
        few = group(x, p, stage + ".little", 1, groups=max(1, groups // alpha))
        little = step(few, stage + ".little")
        height, width = little.shape[2:]
        big = big.repeat(2, axis=2).repeat(2, axis=3)[:, :, :height, :width]
        x = group(
            layers.relu(big + little), p, stage + ".fusion", stride, False, groups, anti_alias
        )
    x = group(x, p, "layer4", 2, groups=groups, anti_alias=anti_alias)
    return layers.dense(layers.means(x), p)


@pytest.mark.parametrize(
    "options, own",
    [
        ({}, {}),
        (ASSEMBLE, dict(anti_alias=3)),
        (dict(variant=Variant(0, 32, 4, True), shape=Shape(bl_alpha=4)), dict(groups=32, alpha=4)),
        pytest.param(dict(depths=(4, 8, 4, 2), shape=Shape(2, 2)), {}, marks=pytest.mark.slow),
    ],
    ids=["plain", "assemble", "se_resnext", "deep"],
)
def test_the_outputs_are_those_of_numpy(options, own):
    net, x = small_big_little(**options), images(1, 3, 64, 64)
    expected = in_numpy(x, layers.values(net), **own)
    assert_close(net(mx.nd.array(x)), expected)


@pytest.mark.slow
@pytest.mark.parametrize("height, width", [(97, 97), (39, 75)])
def test_odd_sizes_too(height, width):
    net, x = small_big_little(**ASSEMBLE), images(1, 3, height, width)
    expected = in_numpy(x, layers.values(net), anti_alias=3)
    assert_close(net(mx.nd.array(x)), expected)


@pytest.mark.slow
def test_compiled_training_is_that_of_line_by_line():
    assert_trains_alike_when_compiled(
        lambda: small_big_little(drop_block=0.2, **ASSEMBLE), images(2, 3, 64, 64)
    )


# Parameters, and multiply-adds at 224x224 pixels.
COUNTS = {
    "blresnet50": (26_694_568, 2_856_058_880),
    "blresnet101": (41_851_560, 3_893_297_152),
    "blresnet152": (57_359_016, 5_039_718_400),
    "blresnext50_32x4d": (26_192_168, 3_027_058_688),
    "blresnext101_32x4d": (41_512_744, 4_079_149_056),
    "blresnext101_64x4d": (77_355_816, 7_142_293_504),
    "blseresnext50_32x4d": (28_767_120, 3_029_616_640),
    "blseresnext101_32x4d": (45_881_952, 4_083_484_672),
}


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_the_computed_ones(name):
    complexity = count(get_model(name))
    assert (complexity.parameters, complexity.multiply_adds) == COUNTS[name]


# Parameters, and billions of multiply-adds without the dense layer.
BY_SHAPE = [
    ("blresnet50", 2, 2, 26_974_632, 2.9086),
    ("blresnet50", 2, 4, 26_694_568, 2.8540),
    ("blresnet50", 4, 2, 26_306_856, 2.4887),
    ("blresnet50", 4, 4, 26_236_456, 2.4751),
    ("blresnet101", 2, 2, 43_392_680, None),
    ("blresnet101", 4, 4, 40_974_120, None),
    ("blresnet152", 2, 2, 59_810_728, None),
    ("blresnet152", 4, 4, 55_799_976, None),
]


@pytest.mark.parametrize("name, alpha, beta, parameters, giga", BY_SHAPE)
def test_alpha_narrows_and_beta_shortens_the_little_branch(name, alpha, beta, parameters, giga):
    complexity = count(get_model(name, bl_alpha=alpha, bl_beta=beta))
    assert complexity.parameters == parameters
    assert giga in (None, round((complexity.multiply_adds - 2048 * 1000) / 1e9, 4))


@pytest.mark.parametrize(
    "name, statistics", [("blresnet50", 60_160), ("blresnet101", 107_008), ("blresnet152", 156_160)]
)
def test_running_statistics_are_counted_apart(name, statistics):
    complexity = count(get_model(name), 64)
    assert complexity.all_parameters - complexity.parameters == statistics


# Of each part of blresnet50: parameters and multiply-adds.
OF_THE_PARTS = {
    ("conv1", "bn1", "stem"): (80_704, 512_999_424),
    ("layer1.big",): (145_408, 122_028_032),
    ("layer1.little",): (24_192 + 33_280, 73_859_072 + 102_760_448),
    ("layer1.fusion",): (70_400, 93_126_656),
    ("layer2.big",): (939_520, 202_309_632),
    ("layer2.little",): (70_400 + 132_096, 54_591_488 + 102_760_448),
    ("layer2.fusion",): (280_064, 93_126_656),
    ("layer3.big",): (5_981_184, 311_492_608),
    ("layer3.little",): (280_064 + 526_336, 54_591_488 + 102_760_448),
    ("layer3.fusion",): (1_117_184, 218_365_952),
    ("layer4",): (14_964_736, 809_238_528),
    ("fc",): (2_049_000, 2_048_000),
}


def test_counts_of_each_part_of_blresnet50_are_the_computed_ones():
    net = get_model("blresnet50")
    costs = {
        layer.name.replace("_fwd", "_weight"): layer.multiply_adds for layer in count(net).layers
    }
    for parts, expected in OF_THE_PARTS.items():
        found = {
            p.name: int(np.prod(p.shape))
            for name, p in net._collect_params_with_prefix().items()
            if p.grad_req != "null" and name.startswith(tuple(part + "." for part in parts))
        }
        cost = sum(costs[name] for name in found if name.endswith("weight"))
        assert (sum(found.values()), cost) == expected, parts


@pytest.mark.parametrize(
    "name, options, of_1000, of_1001, at_224, at_256",
    [
        ("blresnet50", dict(bl_projection=True), 28_403_624, 28_405_673, 3.2671, 4.2666),
        ("blresnet50", dict(bl_projection=True, attention="sk"), 41_846_440, 41_848_489, 4.1650,
         5.4387),
        ("assemble_resnet50", {}, 41_846_440, 41_848_489, 5.7256, 7.4772),
        ("assemble_resnet152", {}, 117_004_200, 117_006_249, 15.675, 20.471),
    ],
)  # fmt: skip
def test_assembled_cnns_form_has_the_computed_counts(
    name, options, of_1000, of_1001, at_224, at_256
):
    assert count(get_model(name, **options), 64).parameters == of_1000
    net, digits = get_model(name, classes=1001, **options), 4 if at_224 < 10 else 3
    complexity = count(net)
    assert complexity.parameters == of_1001
    assert round(complexity.multiply_adds / 1e9, digits) == at_224
    assert round(count(net, 256).multiply_adds / 1e9, digits) == at_256


def test_assemble_resnet50_has_as_many_other_values_as_the_authors_log_says():
    """Theirs: 41,848,489 trainable ones, 77,312 others."""
    complexity = count(get_model("assemble_resnet50", classes=1001), 64)
    assert complexity.all_parameters - complexity.parameters == 77_312


def test_parameters_have_names_that_say_where_they_are():
    net = get_model("blresnext50_32x4d")
    names = list(net._collect_params_with_prefix())
    of_layer1 = {name.rsplit(".", 1)[0] for name in names if name.startswith("layer1.")}
    bottleneck = ["conv1", "bn1", "conv2", "bn2", "conv3", "bn3"]
    assert of_layer1 == {
        *(f"layer1.big.{number}.{layer}" for number in (0, 1) for layer in bottleneck),
        *(f"layer1.little.0.{layer}" for layer in bottleneck),
        *(f"layer1.fusion.0.{layer}" for layer in bottleneck),
        *("layer1.big.0.downsample.conv", "layer1.big.0.downsample.bn"),
        *("layer1.little.0.downsample.conv", "layer1.little.0.downsample.bn"),
        *("layer1.little.conv", "layer1.little.bn"),
    }
    assert names[:2] == ["conv1.weight", "bn1.gamma"] and names[-2:] == ["fc.weight", "fc.bias"]
    long = list(net.collect_params())
    assert len(set(long)) == len(long) == len(names)
    assert long == list(get_model("blresnext50_32x4d").collect_params())
    for name in ("blresnext50_32x4d_layer1_big_conv0_weight", "blresnext50_32x4d_dense0_bias"):
        assert name in long


def test_drop_block_is_in_both_branches_of_stage_3_and_in_stage_4():
    net = get_model("assemble_resnet50", drop_block=0.1)
    assert len(progress_of(net)) == 1
    for group, scale in [(net.layer3.big, 0.25), (net.layer3.little, 0.25), (net.layer4, 1)]:
        of_shortcut = group[0].downsample._children["drop"]
        assert group[0].sk_drop._scale == of_shortcut._scale == scale
    assert not [name for name in net.layer2.big[0]._children if "drop" in name]
    # stage 3: 5 blocks, 1 block and the fusion with a shortcut each; stage 4: 3 and a shortcut
    drawn = operators(net, training=True).count("_random_uniform_like")
    assert drawn == 3 * (5 + 1 + 1 + 3) + 3 + 1
    assert "_random_uniform_like" not in operators(net)
    # IBM's form has no norm in the shortcuts of stage 3's little branch and fusion
    plain = get_model("blresnet50", drop_block=0.1)
    assert operators(plain, training=True).count("_random_uniform_like") == drawn - 2


def test_zero_gamma_is_in_the_last_norm_of_every_bottleneck():
    net = get_model("blresnet50", last_gamma=True)
    zeros = [
        n
        for n, p in net._collect_params_with_prefix().items()
        if p.init == "zeros" and "gamma" in n
    ]
    assert len(zeros) == 2 + 1 + 1 + 3 + 1 + 1 + 5 + 1 + 1 + 3
    assert all(name.endswith(".bn3.gamma") and "stem" not in name for name in zeros)


def test_features_are_stem_and_stages():
    for name in ("blresnet50", "assemble_resnet50"):
        _, stages = features(get_model(name, classes=5))
        assert [stage.name for stage in stages] == ["stem", "layer1", "layer2", "layer3", "layer4"]
        assert [stage.channels for stage in stages] == [64, 256, 512, 1024, 2048]
        assert [stage.stride for stage in stages] == [4, 8, 16, 16, 32]


@pytest.mark.parametrize(
    "name, options, reason",
    [
        ("blresnet50", dict(bl_alpha=3), "--bl-alpha 3 has to divide 64"),
        ("blresnet50", dict(use_gn=True), "--use-gn does not apply"),
        ("blresnet50", dict(anti_alias=3, anti_alias_shortcut=True), "the others pool there"),
        ("blresnext50_32x4d", dict(attention="sk"), "--attention does not apply"),
        ("assemble_resnet50", dict(bl_alpha=4), "--bl-alpha does not apply to assemble_resnet50"),
        ("resnet50_v1d", dict(bl_beta=2), "--bl-beta does not apply to resnet50_v1d"),
    ],
)
def test_options_that_it_does_not_have_are_refused_by_name(name, options, reason):
    with pytest.raises(UserError, match=reason):
        get_model(name, **options)
