"""Names, options and their refusal, and published parameters."""

import hashlib
import zipfile

import gluoncv
import mxnet as mx
import numpy as np
import pytest
from gluoncv.model_zoo import model_store

from gluon_tricks.errors import UserError
from gluon_tricks.models import (
    get_model,
    input_size,
    load_pretrained,
    names,
    published_file,
    registry,
)
from gluon_tricks.models.complexity import count, trace
from gluon_tricks.models.resnet import NAMES, ResNet


def zero_gammas(net):
    return [
        name
        for name, p in net.collect_params().items()
        if name.endswith("gamma") and p.init == "zeros"
    ]


def test_names_are_ours_and_the_zoos_classifiers_and_no_others():
    listed = names()
    assert listed[:20] == NAMES and len(listed) == len(set(listed))
    for name in (
        "vgg16",
        "mobilenet1.0",
        "inceptionv3",
        "densenet201",
        "se_resnext50_32x4d",
        "darknet53",
    ):
        assert name in listed
    not_classifiers = (
        "ssd yolo faster mask fcn psp deeplab simple_pose alpha_pose center_net i3d slowfast "
        "monodepth"
    )
    assert not [
        n for n in listed if n.startswith(tuple(not_classifiers.split())) or "kinetics" in n
    ]
    assert not [n for n in listed if n.endswith(("_int8", "_ucf101", "_s"))]


def test_our_names_give_our_networks_and_other_names_gluoncvs():
    assert isinstance(get_model("resnet18_v1"), ResNet)
    assert isinstance(get_model("ResNet18_v1d"), ResNet)
    assert type(get_model("mobilenet0.25")).__module__.startswith("gluoncv.")


@pytest.mark.parametrize(
    "name, expected",
    [
        ("resnet50v1d", "resnet50_v1d"),
        ("mobilnet1.0", "mobilenet1.0"),
        ("ssd_512_resnet50_v1_voc", "classifier"),
        ("resnet50_v1_int8", "classifier"),
        ("", "models --all"),
    ],
)
def test_an_unknown_name_is_refused_with_the_closest_names(name, expected):
    with pytest.raises(UserError) as error:
        get_model(name)
    assert expected in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name, option, flag",
    [
        ("vgg16", "last_gamma", "--last-gamma"),
        ("mobilenetv3_large", "last_gamma", "--last-gamma"),  # takes it, and drops it
        ("hrnet_w18_small_v1_c", "last_gamma", "--last-gamma"),  # takes any keyword, and drops it
        ("resnet18_v1b_0.89", "last_gamma", "--last-gamma"),  # its basic blocks drop it
        ("resnet50_v1d", "use_se", "--use-se"),
        ("se_resnet18_v1", "use_se", "--use-se"),
        ("resnet18_v1b", "batch_norm", "--batch-norm"),
        ("vgg11_bn", "batch_norm", "--batch-norm"),
        ("mobilenet0.25", "use_gn", "--use-gn"),
        ("resnet18_v2", "use_gn", "--use-gn"),
        ("resnet18_v1", "dilated", "dilated"),
        ("vgg11", "features_only", "features_only"),
        ("resnet18_v1", "no_such_option", "no_such_option"),
    ],
)
def test_an_option_without_effect_is_refused_by_name(name, option, flag):
    with pytest.raises(UserError) as error:
        get_model(name, **{option: True})
    assert flag in str(error.value)
    get_model(name, **{option: False})  # off claims nothing


@pytest.mark.parametrize(
    "name, blocks",
    [("resnet18_v2", 8), ("se_resnet18_v1", 8), ("resnest14", 4), ("resnet50_v1s", 16)]
    + [("resnext50_32x4d", 16), ("se_resnext50_32x4d", 16)],  # GluonCV's have last_gamma inverted
)
def test_last_gamma_reaches_every_block_of_the_zoos_residual_networks(name, blocks):
    assert len(zero_gammas(get_model(name, last_gamma=True))) == blocks
    assert len(zero_gammas(get_model(name))) == 0


@pytest.mark.slow
def test_last_gamma_of_a_zoo_network_is_zero_when_initialised():
    net = get_model("resnet18_v2", classes=3, last_gamma=True)
    zeros = zero_gammas(net)
    net.initialize()
    net(mx.nd.zeros((1, 3, 32, 32)))
    parameters = net.collect_params()
    assert len(zeros) == 8 and all(
        abs(parameters[name].data()).max().asscalar() == 0 for name in zeros
    )


def test_use_se_gives_resnext_squeeze_and_excitation_which_gluoncv_drops():
    """resnext50_32x4d(use_se=True) of GluonCV 0.10 is resnext50_32x4d."""
    asked, named = get_model("resnext50_32x4d", use_se=True), get_model("se_resnext50_32x4d")
    assert list(asked._collect_params_with_prefix()) == list(named._collect_params_with_prefix())
    assert any(".se." in name for name in asked._collect_params_with_prefix())


def test_batch_norm_gives_vgg_batch_norms():
    with_norm, without = get_model("vgg11", batch_norm=True), get_model("vgg11")
    assert [n for n in with_norm.collect_params() if n.endswith("gamma")]
    assert not [n for n in without.collect_params() if n.endswith("gamma")]


@pytest.mark.parametrize(
    "name",
    ["resnet18_v1", "resnet18_v1d", "hrnet_w18_small_v1_c", "squeezenet1.1", "cifar_resnet20_v1"],
)
def test_classes_reach_the_last_layer(name):
    output = get_model(name, classes=7)(mx.sym.var("data"))
    _, shapes, _ = output.infer_shape(data=(2, 3, 224, 224))
    assert shapes == [(2, 7)]


def test_a_network_of_fixed_classes_refuses_others():
    assert count(get_model("resnet18_v1b_0.89")).parameters > 0
    with pytest.raises(UserError, match="--classes 10 does not apply to resnet18_v1b_0.89"):
        get_model("resnet18_v1b_0.89", classes=10)
    with pytest.raises(UserError, match="needs at least 1 class, not 0"):
        get_model("resnet18_v1", classes=0)


@pytest.mark.parametrize("name", ["squeezenet1.1", "googlenet", "densenet121", "inceptionv3"])
@pytest.mark.slow
def test_networks_with_a_fixed_last_pooling_take_other_sizes_and_are_gluoncvs_at_their_own(
    name, tmp_path
):
    theirs, ours = gluoncv.model_zoo.get_model(name, classes=5), get_model(name, classes=5)
    theirs.initialize(mx.init.Xavier())
    images = mx.nd.array(
        np.random.RandomState(0).normal(size=(1, 3, input_size(name), input_size(name)))
    )
    expected = theirs(images).asnumpy()
    theirs.save_parameters(str(tmp_path / "net.params"))
    ours.load_parameters(str(tmp_path / "net.params"))
    np.testing.assert_array_equal(ours(images).asnumpy(), expected)
    for size in (96, 256):
        assert ours(mx.nd.zeros((1, 3, size, size))).shape == (1, 5)


def test_the_image_size_given_to_resnest_changes_training_alone():
    plain, sized = (
        get_model("resnest26", classes=5),
        get_model("resnest26", classes=5, input_size=96),
    )
    assert trace(plain).tojson() == trace(sized).tojson()
    with mx.autograd.train_mode():
        assert trace(plain).tojson() != trace(sized).tojson()
    with pytest.raises(UserError, match="--input-size is too small"):
        get_model("resnest26", input_size=64)


@pytest.mark.slow
def test_nasnet_returns_one_output():
    net = get_model("nasnet_4_1056", classes=5)
    assert len(net(mx.sym.var("data")).list_outputs()) == 1


# Published parameters. A folder stands in for GluonCV's repository.


def structural(net):
    mx.nd.waitall()  # a forward pass may still be changing the weights' layout
    return {name: p.data().asnumpy() for name, p in net._collect_params_with_prefix().items()}


@pytest.fixture(scope="module")
def publish(tmp_path_factory):
    """publish(name) makes GluonCV's network with parameters which GluonCV's download then finds."""
    folder = tmp_path_factory.mktemp("repository")
    nets = {}

    def download(url, path, overwrite):
        (folder / url.rsplit("/", 1)[1]).rename(path)

    def publish_once(name):
        if name not in nets:
            net = nets[name] = gluoncv.model_zoo.get_model(name)
            net.initialize(mx.init.Xavier())
            net(mx.nd.zeros((1, 3, 32, 32)))
            mx.nd.waitall()
            net.save_parameters(str(folder / "net"))
            sha1 = hashlib.sha1((folder / "net").read_bytes()).hexdigest()
            patch.setitem(model_store._model_sha1, name, sha1)
            file = f"{name}-{sha1[:8]}"
            with zipfile.ZipFile(str(folder / (file + ".zip")), "w") as archive:
                archive.write(str(folder / "net"), file + ".params")
        return nets[name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MXNET_HOME", str(folder))
        patch.setattr(model_store, "download", download)
        yield publish_once


@pytest.mark.parametrize(
    "name", ["mobilenet0.25", pytest.param("resnet18_v1b", marks=pytest.mark.slow)]
)
def test_pretrained_is_gluoncvs_published_network(name, publish):
    theirs = publish(name)
    net = get_model(name, pretrained=True)
    assert net.not_loaded == []
    x = mx.nd.random.normal(shape=(1, 3, 32, 32))
    np.testing.assert_allclose(net(x).asnumpy(), theirs(x).asnumpy(), atol=1e-5)


@pytest.mark.parametrize(
    "name, head",
    [("mobilenet0.25", "output"), pytest.param("resnet18_v1b", "fc", marks=pytest.mark.slow)],
)
def test_pretrained_with_other_classes_has_a_new_head_and_names_it(name, head, publish):
    theirs = structural(publish(name))
    net = get_model(name, classes=7, pretrained=True)
    assert net.not_loaded == [head + ".weight", head + ".bias"]
    assert net(mx.nd.zeros((1, 3, 32, 32))).shape == (1, 7)
    ours = structural(net)
    for key in set(theirs) - set(net.not_loaded):
        np.testing.assert_array_equal(ours[key], theirs[key], err_msg=key)


def test_load_pretrained_fills_an_initialised_network_on_its_own_devices(publish):
    theirs = publish("mobilenet0.25")
    net = get_model("mobilenet0.25", classes=7)
    net.initialize(ctx=[mx.cpu(0), mx.cpu(1)])
    net.output.weight.shape = (7, 256)
    assert load_pretrained(net, "mobilenet0.25") == ["output.weight", "output.bias"]
    first = net.features[0].weight
    assert first.list_ctx() == [mx.cpu(0), mx.cpu(1)]
    expected = theirs.features[0].weight.data()
    np.testing.assert_array_equal(first.data(mx.cpu(1)).asnumpy(), expected.asnumpy())


def test_a_failed_download_says_what_to_download_and_how_to_pass_it(tmp_path, monkeypatch):
    def unreachable(*args, **kwargs):
        raise ConnectionError("no route to host")

    monkeypatch.setenv("MXNET_HOME", str(tmp_path))
    monkeypatch.setattr(model_store, "download", unreachable)
    for name in ("resnet50_v1d", "vgg16"):
        with pytest.raises(UserError) as error:
            get_model(name, pretrained=True)
        message = str(error.value)
        assert (
            "no route to host" in message
            and "--use-params" in message
            and ".zip on another machine" in message
        )


# What GluonCV's constructors call the files of networks whose parameters have another name.
NAMED_OTHERWISE = (
    "hrnet_w18_c hrnet_w18_small_v1_c hrnet_w18_small_v2_c hrnet_w30_c hrnet_w32_c hrnet_w40_c "
    "hrnet_w44_c hrnet_w48_c hrnet_w64_c resnet18_v1b_0.89 resnet50_v1d_0.11 resnet50_v1d_0.37 "
    "resnet50_v1d_0.48 resnet50_v1d_0.86 resnet101_v1d_0.73 resnet101_v1d_0.76"
).split()


def test_networks_with_published_parameters_are_those_with_a_file_in_gluoncvs_store():
    for name in names():
        if name in model_store._model_sha1 or name in NAMED_OTHERWISE:
            assert published_file(name) in model_store._model_sha1, name
        else:
            with pytest.raises(UserError, match=f"nobody publishes parameters of {name}:"):
                published_file(name)
    files = [published_file(name) for name in NAMED_OTHERWISE]
    assert len(set(files)) == len(files) and not set(files) & set(names())


def test_the_options_of_a_network_may_have_a_file_of_their_own():
    assert published_file("resnet50_v1b", use_gn=True) == "resnet50_v1b_gn"
    assert published_file("vgg16", batch_norm=True) == "vgg16_bn"
    assert published_file("resnext50_32x4d", use_se=True) == "se_resnext50_32x4d"
    with pytest.raises(UserError, match="nobody publishes parameters of resnet18_v1b:"):
        published_file("resnet18_v1b", use_gn=True)


@pytest.mark.parametrize("name", ["shufflenet_v1", "resnet18_v1d"])
def test_a_network_without_published_parameters_cannot_be_had_with_them(name):
    with pytest.raises(UserError, match=f"nobody publishes parameters of {name}: train it, or"):
        get_model(name, pretrained=True)


@pytest.mark.slow
def test_every_network_of_the_zoo_is_made_and_counted_at_its_own_size():
    for name in names():
        classes = registry.get(name).fixed_classes or 7
        complexity = count(get_model(name, classes=classes), input_size(name))
        assert complexity.parameters > 0 and complexity.multiply_adds > 0, name
        assert complexity.layers[-1].output_shape[1] == classes, name
