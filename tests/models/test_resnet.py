"""Our ResNets against GluonCV's own blocks, the paper's section 4, and the definition of the zero
gamma.
"""

import json

import gluoncv
import mxnet as mx
import numpy as np
import pytest

from gluon_tricks.models import get_model, load_parameters
from gluon_tricks.models.resnet import DEPTHS, NAMES, VARIANTS

IN_GLUONCV = [
    name
    for name in NAMES
    if not name.startswith(("resnet18_v1c", "resnet34_v1c", "resnet18_v1d", "resnet34_v1d"))
]
SMALL = [name for name in IN_GLUONCV if name.startswith(("resnet18", "resnet50"))]
IMAGES = (2, 3, 64, 64)
SMALL_IMAGES = (2, 3, 32, 32)


def deep_is_slow(names):
    return [
        pytest.param(n, marks=pytest.mark.slow) if n.startswith(("resnet101", "resnet152")) else n
        for n in names
    ]


def structural(net):
    return net._collect_params_with_prefix()


def initialised(net):
    """Random parameters everywhere, so that a parameter in the wrong place shows."""
    rng = np.random.RandomState(0)
    net.initialize(mx.init.Zero())
    if any(0 in parameter.shape for parameter in net.collect_params().values()):
        net(mx.nd.zeros((1, 3, 32, 32)))
        mx.nd.waitall()  # the forward pass may still be changing the weights' layout
    for name, parameter in sorted(structural(net).items()):
        values = (
            rng.uniform(0.5, 1.5, parameter.shape)
            if name.endswith(("gamma", "var"))
            else rng.randn(*parameter.shape) * 0.1
        )
        if name.endswith("weight"):
            values = rng.randn(*parameter.shape) / np.sqrt(np.prod(parameter.shape[1:]))
        parameter.set_data(mx.nd.array(values))
    return net


def images(seed=1, shape=IMAGES):
    return mx.nd.array(np.random.RandomState(seed).randn(*shape))


def training_step(net, x):
    """Outputs, gradients and running statistics of one recorded forward and backward pass."""
    with mx.autograd.record():
        y = net(x)
        loss = (y * mx.nd.arange(y.size).reshape(y.shape) / y.size).sum()
    loss.backward()
    gradients = {n: p.grad().asnumpy() for n, p in structural(net).items() if p.grad_req != "null"}
    statistics = {n: p.data().asnumpy() for n, p in structural(net).items() if "running" in n}
    return y.asnumpy(), gradients, statistics


def assert_close(a, b, what=""):
    """Equal to 1e-5 of the largest value; a NaN is not. NumPy's own takes seconds for a network."""
    assert a.shape == b.shape, what
    assert np.abs(a - b).max() <= 1e-5 * max(np.abs(b).max(), 1e-3), what


def assert_same_network(ours, theirs, shape=IMAGES):
    assert_close(
        ours(images(shape=shape)).asnumpy(), theirs(images(shape=shape)).asnumpy(), "inference"
    )
    (y, gradients, statistics), (y2, gradients2, statistics2) = (
        training_step(net, images(shape=shape)) for net in (ours, theirs)
    )
    assert_close(y, y2, "training output")
    assert set(gradients) == set(gradients2) and set(statistics) == set(statistics2)
    for name in gradients:
        assert_close(gradients[name], gradients2[name], "gradient of " + name)
    for name in statistics:
        assert_close(statistics[name], statistics2[name], name)


@pytest.mark.parametrize("name", deep_is_slow(IN_GLUONCV))
def test_parameter_names_and_shapes_are_gluoncvs(name):
    ours, theirs = get_model(name), gluoncv.model_zoo.get_model(name)
    assert list(structural(ours)) == list(structural(theirs))
    for key, parameter in structural(theirs).items():
        assert all(b in (0, a) for a, b in zip(structural(ours)[key].shape, parameter.shape)), key
    # The long names too, up to the prefix of the whole network.
    assert [n[len(ours.prefix) :] for n in ours.collect_params()] == [
        n[len(theirs.prefix) :] for n in theirs.collect_params()
    ]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in IN_GLUONCV])
def test_shallow_v1c_and_v1d_have_the_layout_of_the_deep_ones(name):
    shallow, deep = (
        structural(get_model(n)) for n in (name, name.replace("18", "50").replace("34", "50"))
    )
    stem = {key: p.shape for key, p in deep.items() if not key.startswith(("layer", "fc"))}
    assert stem == {
        key: p.shape for key, p in shallow.items() if not key.startswith(("layer", "fc"))
    }
    convolution = "layer2.0.downsample.{}.weight".format(int(name.endswith("v1d")))
    assert convolution in shallow and convolution in deep


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_files_load_in_both_directions_with_equal_outputs_and_training_steps(name, tmp_path):
    ours, theirs = get_model(name, classes=7), gluoncv.model_zoo.get_model(name, classes=7)
    file = str(tmp_path / "net.params")
    initialised(ours).save_parameters(file)
    theirs.load_parameters(file)
    assert_same_network(ours, theirs)
    theirs.save_parameters(file)  # with the running statistics of that training step
    again = get_model(name, classes=7)
    again.load_parameters(file)
    assert_close(again(images()).asnumpy(), theirs(images()).asnumpy())


@pytest.mark.slow
def test_resnet18_v1b_loads_gluoncvs_file_and_trains_alike(tmp_path):
    ours, theirs = (
        get_model("resnet18_v1b", classes=7),
        initialised(gluoncv.model_zoo.get_model("resnet18_v1b", classes=7)),
    )
    theirs.save_parameters(str(tmp_path / "net.params"))
    ours.load_parameters(str(tmp_path / "net.params"))
    assert_same_network(ours, theirs, SMALL_IMAGES)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet50_v1", "resnet50_v1d"])
def test_odd_image_sizes_give_gluoncvs_outputs(name, tmp_path):
    ours, theirs = (
        get_model(name, classes=7),
        initialised(gluoncv.model_zoo.get_model(name, classes=7)),
    )
    theirs.save_parameters(str(tmp_path / "net.params"))
    ours.load_parameters(str(tmp_path / "net.params"))
    assert_same_network(ours, theirs, (2, 3, 39, 53))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18_v1b", "resnet50_v1b", "resnet50_v1c", "resnet50_v1d"])
def test_dilated_is_gluoncvs(name, tmp_path):
    ours, theirs = (
        get_model(name, classes=7, dilated=True),
        gluoncv.model_zoo.get_model(name, classes=7, dilated=True),
    )
    initialised(theirs).save_parameters(str(tmp_path / "net.params"))
    ours.load_parameters(str(tmp_path / "net.params"))
    assert_same_network(ours, theirs, SMALL_IMAGES)


@pytest.mark.slow
def test_group_norm_is_gluoncvs_and_can_be_hybridized(tmp_path):
    ours, theirs = (
        get_model("resnet50_v1b_gn", classes=7),
        gluoncv.model_zoo.get_model("resnet50_v1b_gn", classes=7),
    )
    initialised(ours).save_parameters(str(tmp_path / "net.params"))
    theirs.load_parameters(str(tmp_path / "net.params"))
    assert_same_network(ours, theirs, SMALL_IMAGES)
    ours.hybridize()
    assert_close(
        ours(images(shape=SMALL_IMAGES)).asnumpy(), theirs(images(shape=SMALL_IMAGES)).asnumpy()
    )


@pytest.mark.parametrize("name", deep_is_slow(NAMES))
def test_last_gamma_is_zero_in_the_last_norm_of_every_block_and_nowhere_else(name):
    net = get_model(name, last_gamma=True)
    depth = int(name[len("resnet") :].split("_")[0])
    blocks, bottleneck = DEPTHS[depth]
    parameters = structural(net)
    zeros = [key for key, p in parameters.items() if key.endswith("gamma") and p.init == "zeros"]
    if name.endswith("_v1"):
        last = {
            f"features.{4 + s}.{b}.body.{7 if bottleneck else 4}.gamma"
            for s in range(4)
            for b in range(blocks[s])
        }
    else:
        last = {
            f"layer{s + 1}.{b}.bn{3 if bottleneck else 2}.gamma"
            for s in range(4)
            for b in range(blocks[s])
        }
    assert set(zeros) == last and len(zeros) == sum(blocks)


@pytest.mark.parametrize("name", ["resnet18_v1", "resnet18_v1b", "resnet18_v1d"])
def test_with_zero_gamma_every_block_starts_as_its_shortcut(name):
    net = get_model(name, classes=7, last_gamma=True)
    net.initialize()
    blocks = [
        block
        for stage in (net.features[4:8] if name.endswith("_v1") else [net.layer1, net.layer2])
        for block in stage
    ]
    for block in blocks[:4]:
        channels = next(iter(block.collect_params(".*weight").values())).shape[1]
        x = images(shape=(1, channels, 8, 8))
        shortcut = x if block.downsample is None else block.downsample(x)
        np.testing.assert_array_equal(block(x).asnumpy(), mx.nd.relu(shortcut).asnumpy())


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_stride_lies_where_the_paper_puts_it(variant):
    net = get_model("resnet50_" + variant)
    block = net.features[5][0] if variant == "v1" else net.layer2[0]
    body = (
        list(block.body) if variant == "v1" else [block.conv1, block.bn1, block.relu1, block.conv2]
    )
    strides = [body[i]._kwargs["stride"] for i in (0, 3)]
    assert strides == ([(2, 2), (1, 1)] if variant == "v1" else [(1, 1), (2, 2)])
    first = net.features[0] if variant == "v1" else net.conv1
    if variant in ("v1c", "v1d", "v1s"):
        stem = [
            (layer._channels, layer._kwargs["kernel"], layer._kwargs["stride"])
            for layer in (first[0], first[3], first[6])
        ]
        width = 64 if variant == "v1s" else 32
        channels, strides = (width, width, 2 * width), ((2, 2), (1, 1), (1, 1))
        assert stem == list(zip(channels, 3 * [(3, 3)], strides))
    else:
        assert (first._channels, first._kwargs["kernel"], first._kwargs["stride"]) == (
            64,
            (7, 7),
            (2, 2),
        )
    shortcut = [
        (type(layer).__name__, layer._kwargs["stride"]) for layer in list(block.downsample)[:-1]
    ]
    assert shortcut == (
        [("AvgPool2D", (2, 2)), ("Conv2D", (1, 1))] if variant == "v1d" else [("Conv2D", (2, 2))]
    )


@pytest.mark.parametrize("name", ["resnet18_v1", "resnet50_v1", "resnet18_v1d", "resnet50_v1b"])
def test_initialising_needs_no_forward_pass(name):
    net = get_model(name)
    net.initialize()
    assert all(
        parameter.data().shape == parameter.shape for parameter in net.collect_params().values()
    )


@pytest.mark.parametrize(
    "name, dilated",
    [("resnet18_v1b", True)]
    + [
        pytest.param(name, False, marks=pytest.mark.slow)
        for name in ("resnet18_v1", "resnet18_v1b")
    ],
)
def test_features_are_the_stages_in_gluoncvs_graph(name, dilated, tmp_path):
    options = {"dilated": True} if dilated else {}
    file = str(tmp_path / "net.params")
    whole, theirs = (
        get_model(name, classes=7, **options),
        gluoncv.model_zoo.get_model(name, classes=7, **options),
    )
    initialised(whole).save_parameters(file)
    theirs.load_parameters(file)
    features = get_model(name, features_only=True, **options)
    load_parameters(features, file)
    # The last activation of each stage, by the name that GluonCV's SSD and FPN presets pick it by.
    last = "stage{}_activation1" if name.endswith("_v1") else "layers{}_relu3_fwd"
    names = [last.format(stage) for stage in (1, 2, 3, 4)]
    extract = gluoncv.nn.feature.FeatureExtractor
    x = images(shape=SMALL_IMAGES)
    expected = [stage.asnumpy() for stage in extract(theirs, names)(x)]
    size = [8, 4, 4, 4] if dilated else [8, 4, 2, 1]
    assert [stage.shape for stage in expected] == [
        (2, 64 * 2**i, size[i], size[i]) for i in range(4)
    ]
    by_name, ours = extract(whole, names)(x), features(x)
    features.hybridize()
    for got in (by_name, ours, features(x)):
        for a, b in zip(got, expected):
            assert_close(a.asnumpy(), b)


def test_a_backbone_is_made_of_our_layers_as_gluoncv_makes_it_of_its_own(tmp_path):
    """GluonCV's segmentation and detection nets take these layers out of a classifier."""
    net = initialised(get_model("resnet18_v1d", classes=7))
    x = images(shape=SMALL_IMAGES)
    y = x
    for part in (
        "conv1",
        "bn1",
        "relu",
        "maxpool",
        "layer1",
        "layer2",
        "layer3",
        "layer4",
        "avgpool",
        "flat",
        "fc",
    ):
        y = getattr(net, part)(y)
    np.testing.assert_array_equal(y.asnumpy(), net(x).asnumpy())


@pytest.mark.slow
def test_the_names_in_the_graph_are_gluoncvs():
    """GluonCV's detection heads pick layers by them. Those of the additions, never picked, may
    differ.
    """
    for name in ("resnet50_v1", "resnet50_v1b", "resnet50_v1c", "resnet50_v1d"):
        ours, theirs = get_model(name), gluoncv.model_zoo.get_model(name)
        listed = []
        for net in (ours, theirs):
            outputs = net(mx.sym.var("data")).get_internals().list_outputs()
            listed.append(
                {
                    o[len(net.prefix) :] if o.startswith(net.prefix) else o
                    for o in outputs
                    if "plus" not in o
                }
            )
        assert listed[1] <= listed[0]


@pytest.mark.parametrize("name", ["resnet18_v1", "resnet18_v1b"])
def test_final_drop_drops_half_of_the_last_layers_inputs_in_training_only(name):
    net = get_model(name, final_drop=0.5)
    drop = net.features[-1] if name.endswith("_v1") else net.drop
    ones = mx.nd.ones((1, 512))
    assert (drop(ones) == 1).min() == 1
    with mx.autograd.train_mode():
        assert set(drop(ones).asnumpy().ravel()) == {0, 2}
    operators = [
        node["op"]
        for node in json.loads(net(mx.sym.var("data")).tojson())["nodes"]
        if node["op"] != "null"
    ]
    assert operators[-2:] == ["Dropout", "FullyConnected"]


def test_norm_layer_and_its_arguments_reach_every_norm():
    net = get_model(
        "resnet18_v1d",
        norm_layer=mx.gluon.nn.BatchNorm,
        norm_kwargs={"use_global_stats": True, "epsilon": 1e-3},
    )
    norms = []
    net.apply(
        lambda block: norms.append(block) if isinstance(block, mx.gluon.nn.BatchNorm) else None
    )
    assert len(norms) == 22  # 3 in the stem, 16 in the blocks, 3 in the shortcuts
    assert all(norm._kwargs["use_global_stats"] and norm._kwargs["eps"] == 1e-3 for norm in norms)


@pytest.mark.parametrize("name", ["resnet18_v1", "resnet18_v1d"])
def test_hybridized_and_imperative_forward_agree(name):
    net = initialised(get_model(name, classes=7))
    x = images(shape=SMALL_IMAGES)
    plain = net(x).asnumpy()
    net.hybridize(static_alloc=True, static_shape=True)
    assert_close(net(x).asnumpy(), plain)
