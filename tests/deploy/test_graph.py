"""The graph of a network: the network itself, with preprocessing and probabilities as numpy
computes them.
"""

import mxnet as mx
import numpy as np
import pytest
from scipy.special import softmax

from gluon_tricks.deploy import graph as graphs
from gluon_tricks.deploy.preprocessing import Preprocessing
from gluon_tricks.errors import UserError

PREPROCESSING = Preprocessing(32, 0.875, (123.68, 116.779, 103.939), (58.393, 57.12, 57.375))


def test_the_graph_gives_the_bits_of_the_network(network, images):
    net = network("cifar_resnet20_v1")
    expected = net(mx.nd.array(images)).asnumpy()
    np.testing.assert_array_equal(
        graphs.block(graphs.trace(net))(mx.nd.array(images)).asnumpy(), expected
    )


def test_softmax_is_a_second_output_and_leaves_the_first_alone(network, images):
    graph = graphs.trace(network("cifar_resnet20_v1"))
    logits = graphs.block(graph)(mx.nd.array(images)).asnumpy()
    both = graphs.block(graphs.with_softmax(graph))(mx.nd.array(images))
    np.testing.assert_array_equal(both[0].asnumpy(), logits)
    np.testing.assert_allclose(both[1].asnumpy(), softmax(logits, axis=1), rtol=1e-5)


def test_preprocessing_normalises_uint8_pixels(network):
    graph = graphs.trace(network("cifar_resnet20_v1"))
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    mean, std = PREPROCESSING.rgb_mean, PREPROCESSING.rgb_std
    normalised = ((pixels - np.array(mean)) / std).transpose(0, 3, 1, 2).astype(np.float32)
    expected = graphs.block(graph)(mx.nd.array(normalised)).asnumpy()
    outputs = graphs.block(graphs.with_preprocessing(graph, PREPROCESSING))(
        mx.nd.array(pixels, dtype="uint8")
    ).asnumpy()
    np.testing.assert_allclose(outputs, expected, atol=1e-5 * np.abs(expected).max())


def test_pixels_come_back_from_their_normalisation_exactly():
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    mean, std = PREPROCESSING.rgb_mean, PREPROCESSING.rgb_std
    normalised = ((pixels - np.array(mean)) / std).transpose(0, 3, 1, 2).astype(np.float32)
    np.testing.assert_array_equal(PREPROCESSING.pixels(normalised), pixels)


def test_a_graph_comes_back_from_its_files(network, images, tmp_path):
    graph = graphs.trace(network("cifar_resnet20_v1"))
    paths = str(tmp_path / "m-symbol.json"), str(tmp_path / "m-0000.params")
    graphs.save(graph, *paths)
    again = graphs.block(graphs.load(*paths))(mx.nd.array(images)).asnumpy()
    np.testing.assert_array_equal(again, graphs.block(graph)(mx.nd.array(images)).asnumpy())


def test_files_that_are_damaged_or_of_another_network_are_named(network, tmp_path):
    graph = graphs.trace(network("cifar_resnet20_v1"))
    paths = str(tmp_path / "m-symbol.json"), str(tmp_path / "m-0000.params")
    graphs.save(graph, *paths)
    (tmp_path / "text.json").write_text("no graph")
    (tmp_path / "short.params").write_bytes((tmp_path / "m-0000.params").read_bytes()[:999])
    mx.nd.save(str(tmp_path / "other.params"), {"arg:other": mx.nd.zeros(1)})
    for files, message in [
        ((tmp_path / "text.json", paths[1]), "text.json: not a symbol file"),
        (
            (paths[0], tmp_path / "short.params"),
            "short.params .* is not a complete MXNet parameter file.* damaged",
        ),
        ((paths[0], tmp_path / "other.params"), "other.params has no values for"),
        ((paths[0], tmp_path / "missing.params"), "missing.params"),
    ]:
        with pytest.raises(UserError, match=message):
            graphs.load(*map(str, files))


def test_a_network_with_several_outputs_is_refused():
    class Two(mx.gluon.HybridBlock):
        def hybrid_forward(self, F, x):
            return x, x

    with pytest.raises(UserError, match="has 2 outputs"):
        graphs.trace(Two())
