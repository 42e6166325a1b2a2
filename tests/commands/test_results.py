"""The line with a model's figures: the checkpoint that they belong to is named."""

import argparse

import pytest

from gluon_tricks.commands import results
from gluon_tricks.deploy.opened import Opened, Trained


@pytest.mark.parametrize(
    "trained, images, expected",
    [
        (Trained(None, step=0), 355, "run (gluon, step 0): top-1 9 % on 355 images of val.rec"),
        (Trained(None), 1, "run (gluon): top-1 9 % on 1 image of val.rec"),
        (None, 50000, "run (gluon): top-1 9 % on 50,000 images of val.rec"),
    ],
)
def test_the_step_of_a_checkpoint_is_said(trained, images, expected):
    model = Opened("run", "gluon", "resnet18_v1d", 10, None, None, trained=trained)
    args = argparse.Namespace(source="run")
    assert results.headline(args, model, "top-1 9 %", images, "val.rec") == expected
