"""Shared fixtures: real images as RecordIO, and runs of the training command inside this process."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "2")  # before anything imports MXNet

import argparse

import pytest

# The digits as they are, without what would spoil them (mirroring) or do nothing (colour), and a
# small fast network.
SMALL = dict(
    model="cifar_resnet20_v1",
    classes=10,
    input_size=32,
    crop_ratio=1.0,
    crop_area=(0.6, 1.0),
    flip=0.0,
    color_jitter=0.0,
    pca_noise=0.0,
    batch_size=8,
    num_epochs=2,
    num_training_samples=64,
    num_data_workers=2,
    log_interval=3,
    lr=0.05,
    lr_mode="cosine",
)


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """A folder with train.rec and val.rec: scikit-learn's handwritten digits."""
    from gluon_tricks.data import prepare

    folder = tmp_path_factory.mktemp("digits")
    parser = argparse.ArgumentParser()
    prepare.add_arguments(parser)
    assert prepare.main(parser.parse_args(["digits", str(folder)])) == 0
    return folder


@pytest.fixture
def train(digits, tmp_path):
    """``train(save_dir=..., flag=...)`` trains in this process on a few digits and gives the Run
    back, closed.
    """
    from gluon_tricks import config as flags
    from gluon_tricks.training.run import Run

    def train(**given):
        chosen = dict(SMALL, data_dir=str(digits), save_dir=str(tmp_path / "run"))
        chosen.update(given)
        run = Run(
            flags.resolve({name: value for name, value in chosen.items() if value is not None})
        )
        try:
            run.train()
        finally:
            run.close()
        return run

    return train
