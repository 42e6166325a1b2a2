"""Folding BatchNorm: the formula of inference, exactly when it may be applied and nowhere else."""

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import nn

from gluon_tricks.deploy import graph as graphs
from gluon_tricks.deploy.fold import fold_batch_norm


def values(graph):
    return {
        name.split(":")[1]: array.asnumpy().astype(np.float64)
        for name, array in graph.params.items()
    }


def symbolic(symbol, **arrays):
    auxiliary = symbol.list_auxiliary_states()
    return graphs.Graph(
        symbol,
        {("aux:" if n in auxiliary else "arg:") + n: mx.nd.array(a) for n, a in arrays.items()},
    )


def one_block(rng, bias=True, groups=1, **attributes):
    """Convolution and BatchNorm of 4 -> 6 channels with random values."""
    data = mx.sym.var("data", dtype=np.float32)
    conv = mx.sym.Convolution(
        data, num_filter=6, kernel=(3, 3), num_group=groups, no_bias=not bias, name="conv"
    )
    norm = mx.sym.BatchNorm(conv, name="norm", **attributes)
    arrays = dict(
        conv_weight=rng.normal(size=(6, 4 // groups, 3, 3)),
        norm_gamma=rng.normal(size=6),
        norm_beta=rng.normal(size=6),
        norm_moving_mean=rng.normal(size=6),
        norm_moving_var=rng.uniform(0.1, 2, size=6),
    )
    if bias:
        arrays["conv_bias"] = rng.normal(size=6)
    return symbolic(norm, **{name: array.astype(np.float32) for name, array in arrays.items()})


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("fix_gamma", [True, False])
def test_weight_and_bias_are_those_of_the_formula(bias, groups, fix_gamma):
    graph = one_block(np.random.default_rng(0), bias, groups, fix_gamma=fix_gamma, eps=0.01)
    old = values(graph)
    folded, count, stayed = fold_batch_norm(graph)
    assert (count, stayed) == (1, 0)
    new = values(folded)
    assert sorted(new) == ["conv_bias", "conv_weight"]
    gamma = np.ones(6) if fix_gamma else old["norm_gamma"]
    scale = gamma / np.sqrt(old["norm_moving_var"] + 0.01)
    np.testing.assert_allclose(
        new["conv_weight"], old["conv_weight"] * scale[:, None, None, None], rtol=1e-7
    )
    shifted = old.get("conv_bias", 0) - old["norm_moving_mean"]
    np.testing.assert_allclose(
        new["conv_bias"], shifted * scale + old["norm_beta"], rtol=1e-6, atol=1e-7
    )
    images = mx.nd.random.normal(shape=(2, 4, 8, 8))
    before, after = (graphs.block(g)(images).asnumpy() for g in (graph, folded))
    np.testing.assert_allclose(after, before, atol=1e-5 * np.abs(before).max())


def test_the_given_graph_is_left_as_it_was():
    graph = one_block(np.random.default_rng(0))
    json, held = graph.symbol.tojson(), values(graph)
    fold_batch_norm(graph)
    assert graph.symbol.tojson() == json
    for name, array in values(graph).items():
        np.testing.assert_array_equal(array, held[name])


def test_defaults_of_batch_norm_that_the_graph_does_not_spell_out_are_mxnets():
    graph = one_block(np.random.default_rng(0))  # fix_gamma true, eps 0.001
    images = mx.nd.random.normal(shape=(2, 4, 8, 8))
    before, after = (graphs.block(g)(images).asnumpy() for g in (graph, fold_batch_norm(graph)[0]))
    np.testing.assert_allclose(after, before, atol=1e-5 * np.abs(before).max())


def test_a_convolution_that_others_read_keeps_its_batch_norm():
    class Shared(nn.HybridBlock):
        def __init__(self):
            super().__init__()
            with self.name_scope():
                self.conv, self.norm = nn.Conv2D(3, 1, in_channels=3), nn.BatchNorm(in_channels=3)

        def hybrid_forward(self, F, x):
            y = self.conv(x)
            return self.norm(y) + y

    net = Shared()
    net.initialize()
    assert fold_batch_norm(graphs.trace(net))[1:] == (0, 1)


def test_a_batch_norm_that_is_an_output_itself_is_folded_and_a_convolution_that_is_one_is_not():
    graph = one_block(np.random.default_rng(0))
    conv = graph.symbol.get_internals()["conv_output"]
    both = graphs.Graph(mx.sym.Group([graph.symbol, conv]), graph.params)
    assert fold_batch_norm(both)[1:] == (0, 1)
    assert fold_batch_norm(graph)[0].symbol.list_outputs() == ["conv_output"]


# How many BatchNorms of a network follow a convolution of their own, counted by its architecture.
@pytest.mark.parametrize(
    "name, size, folded, stayed",
    [
        ("cifar_resnet20_v1", 32, 21, 0),  # 19 of the plain layers and 2 of the shortcuts
        pytest.param("mobilenet0.25", 32, 27, 0, marks=pytest.mark.slow),
        pytest.param("resnet18_v1d", 32, 22, 0, marks=pytest.mark.slow),
        pytest.param(
            "resnet18_v2", 32, 9, 10, marks=pytest.mark.slow
        ),  # pre-activation: half of them follow a sum
        # has convolutions with biases
        pytest.param("resnet50_v1", 32, 53, 0, marks=pytest.mark.slow),
    ],
)
def test_networks_compute_the_same_without_their_batch_norms(
    network, examples, name, size, folded, stayed
):
    net = network(name, size)
    images, _ = examples(8)
    graph, *counts = fold_batch_norm(graphs.trace(net))
    assert counts == [folded, stayed]
    assert graphs.operators(graph.symbol).get("BatchNorm", 0) == stayed
    before, after = net(images).asnumpy(), graphs.block(graph)(images).asnumpy()
    np.testing.assert_allclose(after, before, atol=1e-4 * np.abs(before).max())
    assert before.std(axis=0).max() > 0.1 * np.abs(before).max()  # else this would show nothing
