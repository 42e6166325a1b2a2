"""Every Dropout is MXNet's own operator, which follows the seed on every device."""

import json

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon

from gluon_tricks import models
from gluon_tricks.models.dropout import Dropout, follow_seed


def dropouts(net):
    """The attributes of the Dropouts in the graph of training."""
    with autograd.train_mode():
        nodes = json.loads(net(mx.sym.var("data")).tojson())["nodes"]
    return [node["attrs"] for node in nodes if node["op"] == "Dropout"]


@pytest.mark.parametrize(
    "name, options, count",
    [
        ("resnet18_v1d", dict(final_drop=0.2), 1),
        ("alexnet", {}, 2),
        ("vgg11_bn", {}, 2),
        ("squeezenet1.0", {}, 1),
        ("inceptionv3", {}, 1),
        ("googlenet", {}, 1),
        ("densenet121", dict(dropout=0.1), 58),
        ("resnest50", dict(final_drop=0.2), None),
        ("senet_154", {}, 1),
        ("mobilenetv3_small", {}, 1),
    ],
)
def test_no_dropout_of_a_network_is_cudnns(name, options, count):
    found = dropouts(models.get_model(name, **options))
    assert found and all(attributes["cudnn_off"] == "True" for attributes in found)
    assert count in (None, len(found))


def test_a_replaced_dropout_is_the_same_operation_with_the_same_name():
    def net(block):
        net = gluon.nn.HybridSequential(prefix="net_")
        with net.name_scope():
            net.add(gluon.nn.Dense(3, in_units=2), block(0.25, axes=(1,)))
        return net

    theirs, ours = net(gluon.nn.Dropout), net(gluon.nn.Dropout)
    follow_seed(ours)
    graph = ours(mx.sym.var("data")).tojson()
    assert '"cudnn_off": "True"' in graph
    assert (
        graph.replace('"cudnn_off": "True"', '"cudnn_off": "False"')
        == theirs(mx.sym.var("data")).tojson()
    )


def test_dropout_drops_its_share_in_training_alone():
    block, x = Dropout(0.25), mx.nd.ones((100, 100))
    np.testing.assert_array_equal(block(x).asnumpy(), 1)
    np.testing.assert_array_equal(Dropout(0)(x).asnumpy(), 1)
    mx.random.seed(3)
    with autograd.record():
        y = block(x).asnumpy()
    assert abs((y == 0).mean() - 0.25) < 0.02
    np.testing.assert_allclose(y[y != 0], 1 / 0.75, rtol=1e-6)
