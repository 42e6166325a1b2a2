"""Names and shapes of timm's and torchvision's state dicts, from facts that are published there.

The counts of parameters are those of torchvision's documentation of its weights (``num_params``)
and of timm's ``results/`` tables. The names of a network are put together here once more, in the
way in which their sources make them.
"""

import numpy as np
import pytest

from gluon_tricks import models
from gluon_tricks.errors import UserError
from gluon_tricks.models import counterparts
from gluon_tricks.models.counterparts import TABLE, TIMM, TORCHVISION, Identity

NORM = ("weight", "bias", "running_mean", "running_var")

# (library, architecture): parameters, without running statistics
PUBLISHED = {
    (TORCHVISION, "resnet18"): 11_689_512,
    (TORCHVISION, "resnet50"): 25_557_032,
    (TIMM, "resnet50c"): 25_576_264,
    (TIMM, "resnet50d"): 25_576_264,
    (TIMM, "seresnet50"): 28_088_024,
    (TORCHVISION, "resnext50_32x4d"): 25_028_904,
    (TIMM, "seresnext50_32x4d"): 27_559_896,
    (TORCHVISION, "densenet121"): 7_978_856,
    (TORCHVISION, "vgg11"): 132_863_336,
    (TORCHVISION, "vgg11_bn"): 132_868_840,
    (TORCHVISION, "squeezenet1_0"): 1_248_424,
    (TORCHVISION, "squeezenet1_1"): 1_235_496,
    (TIMM, "inception_v3"): 23_834_568,
    (TORCHVISION, "mobilenet_v2"): 3_504_872,
    (TIMM, "mobilenetv3_large_100"): 5_483_032,
}


def norm(name):
    return [f"{name}.{part}" for part in NORM]


def conv_norm(conv, bn):
    return [f"{conv}.weight", *norm(bn)]


def resnet(depths, convs, deep=False, pooled=False, se=False):
    """Of torchvision and timm: ResNets with ``convs`` convolutions in a block."""
    names = ["conv1.weight"]
    if deep:
        names = [*conv_norm("conv1.0", "conv1.1"), *conv_norm("conv1.3", "conv1.4")]
        names.append("conv1.6.weight")
    names += norm("bn1")
    for stage, blocks in enumerate(depths, 1):
        for block in range(blocks):
            at = f"layer{stage}.{block}."
            for number in range(1, convs + 1):
                names += conv_norm(f"{at}conv{number}", f"{at}bn{number}")
            if se:
                names += [f"{at}se.fc{n}.{p}" for n in (1, 2) for p in ("weight", "bias")]
            if block == 0 and (stage > 1 or convs == 3):
                names += conv_norm(f"{at}downsample.{pooled:d}", f"{at}downsample.{pooled + 1}")
    return [*names, "fc.weight", "fc.bias"]


def densenet(layers):
    names = conv_norm("features.conv0", "features.norm0")
    for block, count in enumerate(layers, 1):
        for layer in range(1, count + 1):
            at = f"features.denseblock{block}.denselayer{layer}."
            for number in (1, 2):
                names += conv_norm(f"{at}conv{number}", f"{at}norm{number}")
        if block < 4:
            at = f"features.transition{block}."
            names += conv_norm(at + "conv", at + "norm")
    return [*names, *norm("features.norm5"), "classifier.weight", "classifier.bias"]


def vgg(widths, batch_norm):
    """``widths``: 0 is a pooling."""
    names, place = [], 0
    for width in widths:
        if width:
            names += [f"features.{place}.weight", f"features.{place}.bias"]
            names += norm(f"features.{place + 1}") if batch_norm else []
            place += 3 if batch_norm else 2
        else:
            place += 1
    return names + [f"classifier.{n}.{p}" for n in (0, 3, 6) for p in ("weight", "bias")]


def squeezenet(fires):
    layers = ["features.0", "classifier.1"]
    for fire in fires:
        layers += [f"features.{fire}.{part}" for part in ("squeeze", "expand1x1", "expand3x3")]
    return [f"{layer}.{part}" for layer in layers for part in ("weight", "bias")]


INCEPTION = {
    "5b 5c 5d": "1x1 5x5_1 5x5_2 3x3dbl_1 3x3dbl_2 3x3dbl_3 _pool",
    "6a": "3x3 3x3dbl_1 3x3dbl_2 3x3dbl_3",
    "6b 6c 6d 6e": "1x1 7x7_1 7x7_2 7x7_3 7x7dbl_1 7x7dbl_2 7x7dbl_3 7x7dbl_4 7x7dbl_5 _pool",
    "7a": "3x3_1 3x3_2 7x7x3_1 7x7x3_2 7x7x3_3 7x7x3_4",
    "7b 7c": "1x1 3x3_1 3x3_2a 3x3_2b 3x3dbl_1 3x3dbl_2 3x3dbl_3a 3x3dbl_3b _pool",
}


def inception():
    layers = [f"Conv2d_{name}" for name in "1a_3x3 2a_3x3 2b_3x3 3b_1x1 4a_3x3".split()]
    for blocks, branches in INCEPTION.items():
        for block in blocks.split():
            layers += [f"Mixed_{block}.branch{branch}" for branch in branches.split()]
    names = [name for layer in layers for name in conv_norm(f"{layer}.conv", f"{layer}.bn")]
    return [*names, "fc.weight", "fc.bias"]


def mobilenet_v2():
    names = conv_norm("features.0.0", "features.0.1")
    for block in range(1, 18):
        at = f"features.{block}.conv."
        units = ["0"] if block == 1 else ["0", "1"]  # the first does not expand
        for unit in units:
            names += conv_norm(f"{at}{unit}.0", f"{at}{unit}.1")
        names += conv_norm(f"{at}{len(units)}", f"{at}{len(units) + 1}")
    names += conv_norm("features.18.0", "features.18.1")
    return [*names, "classifier.1.weight", "classifier.1.bias"]


def mobilenet_v3_large():
    names = [*conv_norm("conv_stem", "bn1"), *conv_norm("blocks.0.0.conv_dw", "blocks.0.0.bn1")]
    names += conv_norm("blocks.0.0.conv_pw", "blocks.0.0.bn2")
    with_se = {(2, 0), (2, 1), (2, 2), (4, 0), (4, 1), (5, 0), (5, 1), (5, 2)}
    for group, count in enumerate((2, 3, 4, 2, 3), 1):
        for place in range(count):
            at = f"blocks.{group}.{place}."
            for number, conv in enumerate(("conv_pw", "conv_dw", "conv_pwl"), 1):
                names += conv_norm(at + conv, f"{at}bn{number}")
            if (group, place) in with_se:
                reduce, expand = (f"{at}se.conv_{kind}" for kind in ("reduce", "expand"))
                names += [f"{conv}.{part}" for conv in (reduce, expand) for part in NORM[:2]]
    names += conv_norm("blocks.6.0.conv", "blocks.6.0.bn1")
    return names + [f"{layer}.{p}" for layer in ("conv_head", "classifier") for p in NORM[:2]]


VGG11 = (64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0)
NAMES = {
    "resnet18": lambda: resnet((2, 2, 2, 2), 2),
    "resnet50": lambda: resnet((3, 4, 6, 3), 3),
    "resnet50c": lambda: resnet((3, 4, 6, 3), 3, deep=True),
    "resnet50d": lambda: resnet((3, 4, 6, 3), 3, deep=True, pooled=True),
    "seresnet50": lambda: resnet((3, 4, 6, 3), 3, se=True),
    "resnext50_32x4d": lambda: resnet((3, 4, 6, 3), 3),
    "seresnext50_32x4d": lambda: resnet((3, 4, 6, 3), 3, se=True),
    "densenet121": lambda: densenet((6, 12, 24, 16)),
    "vgg11": lambda: vgg(VGG11, False),
    "vgg11_bn": lambda: vgg(VGG11, True),
    "squeezenet1_0": lambda: squeezenet((3, 4, 5, 7, 8, 9, 10, 12)),
    "squeezenet1_1": lambda: squeezenet((3, 4, 6, 7, 9, 10, 11, 12)),
    "inception_v3": inception,
    "mobilenet_v2": mobilenet_v2,
    "mobilenetv3_large_100": mobilenet_v3_large,
}


class Shape:
    """Stands for an array of which the shape alone is asked."""

    ndim, dtype = property(lambda self: len(self.shape)), "float32"

    def __init__(self, shape):
        self.shape = shape

    def __len__(self):
        return self.shape[0]

    def reshape(self, shape):
        return Shape(tuple(shape))


def shapes_of(identity):
    """The shapes of our network by its names; nothing is computed or initialised."""
    model, options = identity
    net = models.get_model(model, **dict(options))
    parameters = net._collect_params_with_prefix()
    known = net(models_input(model)).infer_shape(data=(1, 3, *[models.input_size(model)] * 2))
    symbol = net(models_input(model))
    by_name = dict(zip(symbol.list_arguments(), known[0]))
    by_name.update(zip(symbol.list_auxiliary_states(), known[2]))
    return {name: Shape(by_name[held.name]) for name, held in parameters.items()}


def models_input(model):
    import mxnet as mx

    return mx.sym.var("data")


@pytest.mark.parametrize("library, architecture", PUBLISHED)
def test_names_and_numbers_of_parameters_are_theirs(library, architecture):
    identity = counterparts.identity_of(architecture)
    theirs = counterparts.to_theirs(TABLE[identity, library], shapes_of(identity))
    assert sorted(theirs) == sorted(NAMES[architecture]())
    count = sum(int(np.prod(a.shape)) for name, a in theirs.items() if "running" not in name)
    assert count == PUBLISHED[library, architecture]


def test_each_architecture_belongs_to_one_network():
    owners = {}
    for (identity, _), counterpart in TABLE.items():
        assert owners.setdefault(counterpart.architecture, identity) == identity


@pytest.mark.parametrize(
    "model, options, said",
    [
        ("resnet50_v1", {}, "stride in the first 1x1"),
        ("resnet50_v1b", {"anti_alias": 2}, "in the stem"),
        ("resnet50_v1d", {"attention": "sk"}, "kernels of 3x3 and 5x5"),
        ("resnet18_v1b", {"attention": "se"}, "8 channels"),
        ("mobilenet1.0", {}, "at 6"),
        ("blresnet50", {}, "docs/convert.md"),
    ],
)
def test_a_network_that_differs_is_refused_with_the_difference(model, options, said):
    with pytest.raises(UserError, match=said):
        counterparts.find(Identity.of(model, options))


@pytest.mark.parametrize(
    "architecture, said", [("resnetaa50", "stem"), ("skresnet50", "5x5"), ("vit_tiny", "lists")]
)
def test_so_is_one_of_theirs(architecture, said):
    with pytest.raises(UserError, match=said):
        counterparts.identity_of(architecture)


def test_what_training_alone_uses_makes_no_other_network():
    used = {"last_gamma": True, "drop_path": 0.1, "final_drop": 0.2, "attention": "none"}
    assert Identity.of("resnet50_v1d", used) == Identity("resnet50_v1d")
    assert counterparts.identity_of("resnet50d.ra2_in1k") == Identity("resnet50_v1d")


def arrays(names):
    return {name: np.zeros((2, 2), "float32") for name in names}


def test_missing_and_surplus_arrays_are_named():
    identity = Identity("resnet18_v1b")
    parameters = models.get_model("resnet18_v1b")._collect_params_with_prefix()
    there = arrays(resnet((2, 2, 2, 2), 2))
    there["bn1.num_batches_tracked"] = np.zeros((), "int64")
    assert counterparts.to_ours(identity, parameters, there, "f").keys() == parameters.keys()
    there["more"] = there.pop("layer2.0.bn1.running_var")
    with pytest.raises(UserError, match="no layer2.0.bn1.running_var; resnet18 has no more"):
        counterparts.to_ours(identity, parameters, there, "f")


def test_a_bias_that_ours_lacks_has_to_be_zero():
    identity = Identity("mobilenetv2_1.0")
    parameters = models.get_model("mobilenetv2_1.0")._collect_params_with_prefix()
    there = arrays(mobilenet_v2())
    assert len(counterparts.to_ours(identity, parameters, there, "f")) == len(there) - 1
    there["classifier.1.bias"] = np.ones(2, "float32")
    with pytest.raises(UserError, match="classifier.1.bias is not zero"):
        counterparts.to_ours(identity, parameters, there, "f")
