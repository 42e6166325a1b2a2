"""Parameter files: whole or damaged, of this network or another, ours, GluonCV's or exported."""

import gluoncv
import mxnet as mx
import numpy as np
import pytest

from gluon_tricks.errors import UserError
from gluon_tricks.models import get_model, load_parameters


def initialised(net, scale=0.1):
    net.initialize(mx.init.Normal(scale))
    net(mx.nd.zeros((1, 3, 32, 32)))
    return net


def values(net):
    mx.nd.waitall()  # a forward pass may still be changing the weights' layout
    return {name: p.data().asnumpy() for name, p in net._collect_params_with_prefix().items()}


def assert_equal(a, b):
    a, b = values(a), values(b)
    assert set(a) == set(b)
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


SMALL = "cifar_resnet20_v1"  # of the zoo, 0.3 M parameters, some of its shapes deferred


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """(network, file): the small one with 5 classes."""
    net = initialised(get_model(SMALL, classes=5))
    file = str(tmp_path_factory.mktemp("saved") / "net.params")
    net.save_parameters(file)
    return net, file


@pytest.fixture(scope="module")
def saved_v1d(tmp_path_factory):
    net = get_model("resnet18_v1d", classes=5)
    net.initialize(mx.init.Xavier())
    file = str(tmp_path_factory.mktemp("saved") / "net.params")
    net.save_parameters(file)
    return net, file


@pytest.mark.parametrize("initialise", [False, True])
def test_a_file_is_loaded_whole_without_a_forward_pass(initialise, saved):
    net, file = saved
    other = get_model(SMALL, classes=5)
    if initialise:
        other.initialize()
    assert load_parameters(other, file) == []
    assert_equal(other, net)


def test_a_file_of_our_network_is_loaded_whole_or_as_features(saved_v1d):
    net, file = saved_v1d
    other = get_model("resnet18_v1d", classes=5)
    assert load_parameters(other, file) == []
    assert_equal(other, net)
    features = get_model("resnet18_v1d", features_only=True)
    assert load_parameters(features, file) == []
    assert set(values(net)) - set(values(features)) == {"fc.weight", "fc.bias"}
    np.testing.assert_array_equal(values(features)["conv1.0.weight"], values(net)["conv1.0.weight"])


def test_parameters_stay_on_their_devices_or_go_to_the_one_named(saved):
    net, file = saved
    other = get_model(SMALL, classes=5)
    other.initialize(ctx=[mx.cpu(0), mx.cpu(1)])
    load_parameters(other, file)
    assert other.output.weight.list_ctx() == [mx.cpu(0), mx.cpu(1)]
    on_second = other.output.weight.data(mx.cpu(1)).asnumpy()
    np.testing.assert_array_equal(on_second, net.output.weight.data().asnumpy())
    fresh = get_model(SMALL, classes=5)
    load_parameters(fresh, file, ctx=mx.cpu(1))
    assert fresh.output.weight.list_ctx() == [mx.cpu(1)]


def test_float16_parameters_are_cast_to_the_networks_dtype(tmp_path, saved):
    net, file = saved
    half = {name: array.astype("float16") for name, array in mx.nd.load(file).items()}
    mx.nd.save(str(tmp_path / "half.params"), half)
    other = get_model(SMALL, classes=5)
    load_parameters(other, str(tmp_path / "half.params"))
    assert other.output.weight.data().dtype == np.float32
    np.testing.assert_allclose(
        values(other)["output.weight"], values(net)["output.weight"], atol=1e-3
    )


@pytest.mark.parametrize(
    "name",
    [SMALL]
    + [
        pytest.param(name, marks=pytest.mark.slow)
        for name in ("resnet18_v1", "resnet18_v1b", "mobilenet0.25")
    ],
)
def test_an_exported_file_of_ours_or_gluoncvs_is_loaded_by_its_names(name, tmp_path):
    theirs = initialised(gluoncv.model_zoo.get_model(name, classes=5))
    theirs.hybridize()
    theirs(mx.nd.zeros((1, 3, 32, 32)))
    theirs.export(str(tmp_path / "theirs"))
    net = get_model(name, classes=5)
    assert load_parameters(net, str(tmp_path / "theirs-0000.params")) == []
    assert_equal(net, theirs)
    net.hybridize()
    net(mx.nd.zeros((1, 3, 32, 32)))
    net.export(str(tmp_path / "ours"))
    again = get_model(name, classes=5)
    load_parameters(again, str(tmp_path / "ours-0000.params"))
    assert_equal(again, theirs)


def test_an_exported_file_of_another_network_is_refused_and_says_what_to_do(tmp_path):
    """cifar_resnet56_v1 has every name of cifar_resnet20_v1, and more."""
    net = get_model("cifar_resnet56_v1", classes=5)
    net.initialize()
    net.hybridize()
    net(mx.nd.zeros((1, 3, 32, 32)))
    net.export(str(tmp_path / "net"))
    with pytest.raises(UserError, match="exported graph.*SymbolBlock"):
        load_parameters(get_model(SMALL, classes=5), str(tmp_path / "net-0000.params"))


def test_another_number_of_classes_is_an_error_or_a_new_head_which_is_named(saved):
    net, file = saved
    other = initialised(get_model(SMALL, classes=7))
    before = values(other)
    with pytest.raises(UserError) as error:
        load_parameters(other, file)
    message = str(error.value)
    assert file in message and "5 classes" in message
    assert "output.weight is (5, 64) in the file and (7, 64) in the network" in message
    for name, array in values(other).items():  # nothing was changed
        np.testing.assert_array_equal(array, before[name])
    assert load_parameters(other, file, new_head=True) == ["output.weight", "output.bias"]
    after = values(other)
    np.testing.assert_array_equal(after["output.weight"], before["output.weight"])
    np.testing.assert_array_equal(after["features.0.weight"], values(net)["features.0.weight"])


def test_a_head_that_fits_is_loaded_even_if_a_new_one_would_do(saved):
    net, file = saved
    other = get_model(SMALL, classes=5)
    assert load_parameters(other, file, new_head=True) == []
    assert_equal(other, net)


@pytest.mark.parametrize(
    "name, new_head",
    [("resnet18_v1", False), ("resnet18_v1c", True), ("resnet34_v1d", False), (SMALL, False)],
)
def test_a_file_of_another_architecture_names_a_parameter_and_what_it_holds(
    name, new_head, saved_v1d
):
    _, file = saved_v1d
    with pytest.raises(UserError) as error:
        load_parameters(get_model(name, classes=5), file, new_head=new_head)
    message = str(error.value)
    assert file in message and "It holds a resnet18_v1d" in message and ".weight" in message


@pytest.mark.slow
def test_a_narrower_network_is_no_new_head(tmp_path):
    initialised(get_model("mobilenet0.5", classes=5)).save_parameters(str(tmp_path / "net.params"))
    complaint = r"features.0.weight \(and .* more\) is \(16, 3, 3, 3\) in the file and \(8, "
    with pytest.raises(UserError, match=complaint):
        load_parameters(
            get_model("mobilenet0.25", classes=5), str(tmp_path / "net.params"), new_head=True
        )


def test_a_wrong_layer_that_is_not_the_last_is_no_new_head(saved_v1d, tmp_path):
    arrays = mx.nd.load(saved_v1d[1])
    arrays["layer1.0.conv1.weight"] = arrays["layer1.0.conv1.weight"][1:]
    mx.nd.save(str(tmp_path / "net.params"), arrays)
    net = get_model("resnet18_v1d", classes=5)
    complaint = r"layer1.0.conv1.weight is \(63, 64, 3, 3\) in the file and \(64, "
    with pytest.raises(UserError, match=complaint):
        load_parameters(net, str(tmp_path / "net.params"), new_head=True)


@pytest.mark.parametrize("keep", [0, 4, 30, 1000, -1000, -1])
def test_a_truncated_file_is_one_clear_error(keep, saved, tmp_path):
    net, file = saved
    with open(file, "rb") as whole:
        content = whole.read()
    (tmp_path / "cut.params").write_bytes(content[:keep])
    with pytest.raises(UserError, match="cut.params .* not a complete MXNet parameter file"):
        load_parameters(net, str(tmp_path / "cut.params"))


def test_missing_files_folders_and_other_kinds_of_files_are_named(saved, tmp_path):
    net, _ = saved
    with pytest.raises(UserError, match="gone.params does not exist"):
        load_parameters(net, str(tmp_path / "gone.params"))
    with pytest.raises(UserError, match="is a folder"):
        load_parameters(net, str(tmp_path))
    (tmp_path / "text.params").write_text("hello\n" * 100)
    with pytest.raises(UserError, match="text.params .* not a complete MXNet parameter file"):
        load_parameters(net, str(tmp_path / "text.params"))
    mx.nd.save(str(tmp_path / "list.params"), [mx.nd.zeros(3)])
    with pytest.raises(UserError, match="list.params holds no named parameters"):
        load_parameters(net, str(tmp_path / "list.params"))


def test_a_file_with_one_parameter_less_or_more_is_refused(saved, tmp_path):
    net, file = saved
    arrays = mx.nd.load(file)
    less = {name: array for name, array in arrays.items() if name != "features.1.beta"}
    more = dict(arrays, **{"fc2.weight": mx.nd.zeros((2, 2))})
    for content, complaint in (
        (less, "the file has no features.1.beta"),
        (more, "the network has no fc2.weight"),
    ):
        mx.nd.save(str(tmp_path / "other.params"), content)
        with pytest.raises(UserError, match=complaint):
            load_parameters(net, str(tmp_path / "other.params"))


@pytest.mark.parametrize(
    "name",
    ["features.1.running_mean", "features.1.running_var", "features.0.weight", "output.bias"],
)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_an_error_that_names_its_parameter(
    name, value, saved, tmp_path
):
    net, file = saved
    arrays = mx.nd.load(file)
    broken = arrays[name].asnumpy()
    broken.flat[-1] = value
    mx.nd.save(str(tmp_path / "broken.params"), dict(arrays, **{name: mx.nd.array(broken)}))
    before = values(net)
    with pytest.raises(
        UserError, match=f"broken.params: {name} has values that are NaN or infinite"
    ):
        load_parameters(net, str(tmp_path / "broken.params"))
    after = values(net)
    assert all(np.array_equal(before[key], after[key]) for key in before)
