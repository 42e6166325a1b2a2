"""INT8: the convolutions compute on integers, and the outputs stay near the network's."""

import mxnet as mx
import numpy as np
import pytest

from gluon_tricks.deploy import graph as graphs
from gluon_tricks.deploy import int8
from gluon_tricks.deploy.fold import fold_batch_norm
from gluon_tricks.errors import UserError

CALIBRATION = 32


def quantized(net, examples, mode):
    images, _ = examples(CALIBRATION)
    batches = [images[place : place + 8] for place in range(0, CALIBRATION, 8)]
    return int8.quantize(fold_batch_norm(graphs.trace(net))[0], batches, mode)


# Convolutions and dense layers by architecture; a shortcut has one as well.
@pytest.mark.parametrize(
    "name, mode, layers",
    [
        ("cifar_resnet20_v1", "naive", 21 + 1),
        pytest.param("mobilenet0.25", "naive", 27 + 1, marks=pytest.mark.slow),
        # entropy takes half a second for each layer
        pytest.param("plain", "entropy", 2 + 1, marks=pytest.mark.slow),
        pytest.param("resnet18_v1b", "naive", 20 + 1, marks=pytest.mark.slow),
        # which has the stem of v1c
        pytest.param("resnet18_v1d", "naive", 22 + 1, marks=pytest.mark.slow),
    ],
)
def test_all_layers_with_weights_are_quantised_and_the_answers_stay(
    network, examples, name, mode, layers
):
    net = network(name)
    graph = quantized(net, examples, mode)
    counts = graphs.operators(graph.symbol)
    assert counts["_sg_mkldnn_conv"] + counts["_sg_mkldnn_fully_connected"] == layers
    images, labels = examples(100)
    expected, outputs = (
        net(images).asnumpy().argmax(axis=1),
        graphs.block(graph)(images).asnumpy().argmax(axis=1),
    )
    assert (expected == labels).mean() > 0.9  # else agreement would show little
    assert (outputs == expected).mean() > 0.9


def test_the_files_give_the_bits_of_the_graph(network, examples, tmp_path):
    graph = quantized(network("cifar_resnet20_v1"), examples, "naive")
    paths = str(tmp_path / "int8-symbol.json"), str(tmp_path / "int8-0000.params")
    graphs.save(graph, *paths)
    images = mx.nd.random.normal(shape=(2, 3, 32, 32))
    again = graphs.block(graphs.load(*paths))(images)
    np.testing.assert_array_equal(again.asnumpy(), graphs.block(graph)(images).asnumpy())


def test_an_unknown_mode_is_named(network, examples):
    with pytest.raises(UserError, match="calibration-mode none"):
        quantized(network("cifar_resnet20_v1"), examples, "none")
