"""ONNX: a clean graph that checkers accept and onnxruntime runs, with the network's outputs."""

import mxnet as mx
import numpy as np
import onnx as onnx_package
import pytest

from gluon_tricks import models
from gluon_tricks.deploy import graph as graphs
from gluon_tricks.deploy import onnx
from gluon_tricks.deploy.preprocessing import Preprocessing
from gluon_tricks.errors import UserError

PREPROCESSING = Preprocessing(32, 0.875, (123.68, 116.779, 103.939), (58.393, 57.12, 57.375))


@pytest.fixture(scope="module")
def converted(network, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("onnx") / "model.onnx")
    onnx.convert(graphs.trace(network("cifar_resnet20_v1")), path, (3, 32, 32))
    return path


def test_the_file_is_valid_and_its_only_input_is_the_images(converted):
    model = onnx_package.load(converted)
    onnx_package.checker.check_model(model, full_check=True)
    assert [value.name for value in model.graph.input] == ["data"]
    assert [value.name for value in model.graph.output] == ["logits"]
    assert (model.ir_version, [(o.domain, o.version) for o in model.opset_import]) == (
        8,
        [("", 13)],
    )
    used = {name for node in model.graph.node for name in node.input}
    assert {tensor.name for tensor in model.graph.initializer} <= used


@pytest.mark.parametrize("batch", [1, 3, 4])
def test_onnxruntime_gives_the_networks_outputs_for_any_batch(converted, network, batch):
    images = np.random.default_rng(batch).standard_normal((batch, 3, 32, 32)).astype(np.float32)
    expected = network("cifar_resnet20_v1")(mx.nd.array(images)).asnumpy()
    (outputs,) = onnx.session(converted).run(None, {"data": images})
    np.testing.assert_allclose(outputs, expected, atol=1e-4 * np.abs(expected).max())


def test_preprocessing_softmax_and_folding_convert_too(network, tmp_path):
    from gluon_tricks.deploy.fold import fold_batch_norm

    graph = fold_batch_norm(graphs.trace(network("cifar_resnet20_v1")))[0]
    graph = graphs.with_softmax(graphs.with_preprocessing(graph, PREPROCESSING))
    path = str(tmp_path / "model.onnx")
    onnx.convert(graph, path, (32, 32, 3), np.uint8)
    session = onnx.session(path)
    assert [(i.name, i.type, i.shape) for i in session.get_inputs()] == [
        ("data", "tensor(uint8)", ["batch", 32, 32, 3])
    ]
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    expected = [
        output.asnumpy() for output in graphs.block(graph)(mx.nd.array(pixels, dtype="uint8"))
    ]
    for mine, theirs in zip(session.run(None, {"data": pixels}), expected):
        np.testing.assert_allclose(mine, theirs, atol=1e-4 * np.abs(theirs).max())


def test_reshapes_that_split_and_merge_channels_convert_too(tmp_path):
    """ShuffleNet's: MXNet's converter does not know their codes."""
    net = models.get_model("shufflenet_v2", classes=5)
    net.initialize(mx.init.MSRAPrelu())
    images = np.random.default_rng(0).standard_normal((3, 3, 32, 32)).astype(np.float32)
    expected = net(mx.nd.array(images)).asnumpy()
    path = str(tmp_path / "model.onnx")
    onnx.convert(graphs.trace(net), path, (3, 32, 32))
    (outputs,) = onnx.session(path).run(None, {"data": images})
    np.testing.assert_allclose(outputs, expected, atol=1e-4 * np.abs(expected).max())


def test_an_operator_without_an_onnx_form_is_a_clear_error(tmp_path):
    graph = graphs.Graph(mx.sym.gamma(mx.sym.var("data", dtype=np.float32)), {})
    with pytest.raises(UserError, match="cannot be converted to ONNX.*gamma"):
        onnx.convert(graph, str(tmp_path / "model.onnx"), (3, 8, 8))


def test_a_file_that_is_no_model_is_named(tmp_path):
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(UserError, match="text.onnx: onnxruntime cannot run it"):
        onnx.session(str(tmp_path / "text.onnx"))
    with pytest.raises(UserError, match="missing.onnx: there is no such file"):
        onnx.session(str(tmp_path / "missing.onnx"))
