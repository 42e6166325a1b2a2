"""Small networks of our families, and checks for them."""

import json

import mxnet as mx
import numpy as np
from mxnet.gluon import nn
from mxnet.gluon.block import HybridBlock

from gluon_tricks.models import additions
from gluon_tricks.models.big_little import BigLittle, Shape, Variant
from gluon_tricks.models.progress import Progress
from gluon_tricks.models.resnet import VARIANTS, ResNet, parts_of


class Fixed(HybridBlock):
    """A dense layer of all pixels, so that only images of one size fit."""

    def __init__(self, name, classes):
        super().__init__(prefix=name + "_")
        with self.name_scope():
            self.output = nn.Dense(classes)

    def hybrid_forward(self, F, x):
        return self.output(x)


def initialised(net, seed=0):
    """Random parameters everywhere, so that a parameter in the wrong place is noticed."""
    rng = np.random.default_rng(seed)
    net.initialize(mx.init.Zero())
    for name, parameter in sorted(net._collect_params_with_prefix().items()):
        made = rng.standard_normal(parameter.shape, "float32")
        if name.endswith(("gamma", "var")):
            made = 0.5 + rng.random(parameter.shape, "float32")
        elif name.endswith("weight"):
            made /= np.sqrt(np.prod(parameter.shape[1:]))
        else:
            made *= 0.1
        parameter.set_data(mx.nd.array(made))
    return net


def images(*shape, seed=1):
    return np.random.RandomState(seed).randn(*shape).astype("float32")


def assert_close(got, expected, what="", tolerance=1e-4):
    """Assert equality up to a fraction of the largest value, without NaN."""
    got = got.asnumpy() if isinstance(got, mx.nd.NDArray) else got
    assert got.shape == expected.shape, what
    assert np.abs(got - expected).max() <= tolerance * max(np.abs(expected).max(), 1e-3), what


def operators(net, training=False):
    """The names of the operators in the graph of a network."""
    with mx.autograd.train_mode() if training else mx.autograd.predict_mode():
        symbol = net(mx.sym.var("data"))
    return [node["op"] for node in json.loads(symbol.tojson())["nodes"] if node["op"] != "null"]


def training_step(net, x, seed=0):
    """Output, gradients and running statistics of one recorded forward and backward pass."""
    mx.random.seed(seed)
    with mx.autograd.record():
        y = net(mx.nd.array(x))
        loss = (y * mx.nd.arange(y.size).reshape(y.shape) / y.size).sum()
    loss.backward()
    parameters = net._collect_params_with_prefix()
    gradients = {n: p.grad().asnumpy() for n, p in parameters.items() if p.grad_req != "null"}
    statistics = {n: p.data().asnumpy() for n, p in parameters.items() if p.grad_req == "null"}
    return dict(gradients, **statistics, output=y.asnumpy())


def assert_trains_alike_when_compiled(make, x):
    """``make()`` gives the network with the same values each time."""
    plain, compiled = make(), make()
    compiled.hybridize(static_alloc=True, static_shape=True)
    expected, got = training_step(plain, x), training_step(compiled, x)
    assert set(got) == set(expected)
    for name, values in expected.items():
        assert_close(got[name], values, name, 1e-3)


def small_resnet(variant="v1d", depths=(1, 2, 1, 1), **options):
    """A ResNet of few bottlenecks and 7 classes, with random parameters."""
    added, options = additions.split(options)
    parts = additions.stages(parts_of(VARIANTS[variant], True), added)
    return initialised(ResNet(depths, parts, 7, prefix="small_", **options))


def small_big_little(depths=(2, 3, 2, 1), variant=Variant(0), shape=Shape(), **options):
    """A Big-Little network of few bottlenecks and 7 classes, with random parameters."""
    added, options = additions.split(options)
    progress = Progress()
    big, little = (
        additions.stages(variant.parts(shape, is_little), added, progress)
        for is_little in (False, True)
    )
    return initialised(BigLittle(depths, big, little, shape, 7, prefix="small_", **options))
