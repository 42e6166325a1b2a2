"""The modules of CONTRIBUTING.md do what it says of them; the task's is in tasks/test_seams.py."""

import types

import mxnet as mx
import numpy as np
from contributing import MODULES, module_with

from gluon_tricks import models
from gluon_tricks.models import registry


def test_every_module_of_the_page_is_tried():
    assert len(MODULES) == 4


def test_the_network_is_known_by_its_name():
    module_with("tiny", "gluon_tricks.models")
    try:
        net = models.get_model("tiny", classes=10)
        net.initialize()
        assert net(mx.nd.zeros((2, 3, 32, 32))).shape == (2, 10)
        assert models.input_size("tiny") == 32
    finally:
        del registry._networks["tiny"]


def test_the_augmentation_inverts_bright_pixels_of_half_of_the_images():
    solarize = module_with("Solarize", "gluon_tricks.data.transforms")["Solarize"]
    picture = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    expected = np.where(picture < 100, picture, 255 - picture)
    solarize(100).image(picture, True, picture, None)
    np.testing.assert_array_equal(picture, expected)
    assert solarize(256).off and not solarize(255).off
    assert list(solarize(100).sample(np.array([[0.4], [0.6]]))) == [True, False]


def test_the_batch_mixing_leaves_out_a_share_of_rows_and_columns():
    col_out = module_with("ColOut", "gluon_tricks.tricks")["ColOut"]
    assert col_out.from_config(types.SimpleNamespace(colout=0.0, seed=0), 1) is None
    mixing = col_out.from_config(types.SimpleNamespace(colout=0.25, seed=0), 1)
    rows = mx.nd.arange(8).reshape((1, 1, 8, 1)).broadcast_to((2, 3, 8, 8))
    images, targets = mixing(rows, "targets", step=3, part=0)
    kept = images[0, 0, :, 0].asnumpy()
    assert images.shape == (2, 3, 6, 6) and targets == "targets"
    assert (np.diff(kept) > 0).all() and set(kept) < set(range(8))
