"""Stochastic depth against its definition."""

import mxnet as mx
import numpy as np
from mxnet import autograd

from gluon_tricks.models import get_model
from gluon_tricks.models.drop_path import DropPath


def drop_path(rate):
    block = DropPath()
    block.rate = rate
    return block


def test_whole_images_are_dropped_in_training_alone():
    block, x = drop_path(0.3), mx.nd.ones((5000, 2, 3, 3))
    np.testing.assert_array_equal(block(x).asnumpy(), 1)
    mx.random.seed(0)
    with autograd.record():
        y = block(x).asnumpy()
    assert (y == y[:, :1, :1, :1]).all()
    assert abs((y[:, 0, 0, 0] == 0).mean() - 0.3) < 0.03
    np.testing.assert_allclose(y[y > 0], 1 / 0.7, rtol=1e-6)


def test_the_rates_of_the_blocks_grow_linearly_from_zero():
    net = get_model("resnet50_v1b", drop_path=0.3)
    blocks = [
        block for stage in (net.layer1, net.layer2, net.layer3, net.layer4) for block in stage
    ]
    np.testing.assert_allclose([block.drop_path.rate for block in blocks], np.linspace(0, 0.3, 16))


def test_a_dropped_branch_leaves_the_shortcut():
    net = get_model("resnet18_v1d", drop_path=0.5)
    net.initialize()
    block = net.layer4[1]
    assert block.drop_path.rate == 0.5
    x = mx.nd.random.uniform(shape=(8, 512, 2, 2))
    mx.random.seed(1)
    with autograd.record():
        y = block(x).asnumpy()
    alike = [(y[i] == x[i].asnumpy()).all() for i in range(8)]
    assert any(alike) and not all(alike)
