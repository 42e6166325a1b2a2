"""A detector of random values, whose detections are of all classes, and images with boxes."""

import mxnet as mx
import pytest
from box_scenes import CLASSES, TINY, write

from gluon_tricks import config as flags
from gluon_tricks import models
from gluon_tricks.deploy.detection.detector import Detector
from gluon_tricks.deploy.detection.preprocessing import ResizedImages
from gluon_tricks.deploy.opened import Trained
from gluon_tricks.deploy.predictors import block_predictor

LABELS = ["red", "green", "blue"]


@pytest.fixture(scope="session")
def record(tmp_path_factory):
    path = tmp_path_factory.mktemp("boxes") / "val.rec"
    write(path, 6, seed=4)
    return str(path)


@pytest.fixture(scope="session")
def config(record):
    words = f"--task detection --model faster_rcnn_resnet18_v1b --classes {CLASSES} {TINY}"
    return flags.parse([*words.split(), "--rec-val", record, "--rec-train", record])


@pytest.fixture(scope="session")
def network(config):
    mx.random.seed(3)
    net = models.get_model(config.model, classes=CLASSES, **models.options_of(config))
    net.initialize(mx.init.Xavier())
    for layer, deviation in ((net.class_predictor, 0.3), (net.box_predictor, 0.1)):
        layer.initialize(mx.init.Normal(deviation), force_reinit=True)
    return net


@pytest.fixture(scope="session")
def detector(config, network):
    """``detector()``: a Detector of the network."""
    compute = block_predictor(Detector.computed(network), "some")
    images = ResizedImages.of_config(config)
    about = dict(labels=LABELS, trained=Trained(network))
    return lambda: Detector("some", "gluon", config.model, CLASSES, images, compute, **about)


@pytest.fixture
def model(detector, network):
    """A Detector, whose thresholds are as in training again after the test."""
    settings = network.settings
    yield detector()
    network.settings = settings
