"""Small networks whose outputs mean something, and images for them."""

import mxnet as mx
import numpy as np
import pytest

from gluon_tricks import models


def patterns(count, size, classes, seed):
    """Images (NDArray) of ``classes`` coarse colour patterns under noise, and their classes."""
    coarse = np.random.default_rng(0).standard_normal((classes, 3, 4, 4))
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    images = coarse[labels].repeat(size // 4, axis=2).repeat(size // 4, axis=3)
    return mx.nd.array(images + 0.3 * rng.standard_normal(images.shape)), labels


def plain_network(classes):
    """Two convolutions and a dense layer."""
    net = mx.gluon.nn.HybridSequential()
    for channels in (16, 32):
        net.add(
            mx.gluon.nn.Conv2D(channels, 3, 2, 1, use_bias=False),
            mx.gluon.nn.BatchNorm(),
            mx.gluon.nn.Activation("relu"),
        )
    net.add(mx.gluon.nn.GlobalAvgPool2D(), mx.gluon.nn.Dense(classes))
    return net


def make_network(name, size, classes=5):
    """A network whose outputs mean something, without a minute of training.

    Its BatchNorms have the statistics of the patterns, and its last layer is fitted to tell them
    apart.
    """
    mx.random.seed(7)
    net = plain_network(classes) if name == "plain" else models.get_model(name, classes=classes)
    net.initialize(mx.init.MSRAPrelu())
    images, labels = patterns(64, size, classes, seed=1)
    net(images[:1])
    norms, inputs = [], []
    net.apply(
        lambda block: norms.append(block) if isinstance(block, mx.gluon.nn.BatchNorm) else None
    )
    for norm in norms:
        # running statistics become the batch's at once, in the backward pass
        norm._kwargs["momentum"] = 0
        for parameter in (norm.gamma, norm.beta):
            parameter.set_data(parameter.data() + mx.nd.random.normal(0, 0.2, parameter.shape))
    for parameter_name, parameter in net.collect_params().items():
        if parameter_name.endswith("bias"):
            parameter.set_data(mx.nd.random.normal(0, 0.2, parameter.shape))
    if name.startswith("mobilenet"):
        # 27 layers of random weights without shortcuts leave nothing of an image
        train(net, size, classes)
    with mx.autograd.record():
        loss = net(images).sum()
    loss.backward()
    mx.nd.waitall()

    head = net[-1] if name == "plain" else net.fc if hasattr(net, "fc") else net.output
    hook = head.register_forward_hook(
        lambda block, arguments, output: inputs.append(arguments[0].asnumpy())
    )
    net(images)
    hook.detach()
    features = inputs[0].reshape(len(labels), -1)
    centre = features.mean(axis=0)
    weight = np.linalg.lstsq(features - centre, 6 * np.eye(classes)[labels] - 3, rcond=0.1)[0].T
    head.weight.set_data(mx.nd.array(weight))
    head.bias.set_data(mx.nd.array(-weight @ centre))
    net.hybridize()
    return net


def train(net, size, classes, steps=60):
    trainer = mx.gluon.Trainer(net.collect_params(), "adam", {"learning_rate": 0.003}, kvstore=None)
    criterion = mx.gluon.loss.SoftmaxCrossEntropyLoss()
    net.hybridize()
    for step in range(steps):
        images, labels = patterns(16, size, classes, seed=100 + step)
        with mx.autograd.record():
            loss = criterion(net(images), mx.nd.array(labels))
        loss.backward()
        trainer.step(16)
    net.hybridize(active=False)


@pytest.fixture(scope="session")
def network():
    """``network(name, size, classes=5)``, of the zoo or ``plain``; each is made once."""
    made = {}

    def get(name, size=32, classes=5):
        key = name, size, classes
        if key not in made:
            made[key] = make_network(*key)
        return made[key]

    return get


@pytest.fixture(scope="session")
def examples():
    """``examples(count, size=32, classes=5)``: images that such a network has not seen, and their
    classes.
    """
    return lambda count, size=32, classes=5: patterns(count, size, classes, seed=1000)


@pytest.fixture
def images():
    return np.random.default_rng(3).standard_normal((4, 3, 32, 32)).astype(np.float32)
