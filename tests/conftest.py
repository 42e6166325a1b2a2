"""Shared fixtures: real images as RecordIO, and runs of the train command inside this process."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "2")  # before anything imports MXNet

import argparse
import gc
import signal
import subprocess
import sys

import pytest
from processes import DRIVER, FLAGS, LAUNCHER, result

# nohup and background jobs make programs ignore these signals, which many tests are about.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# The digits without augmentations that would spoil them (mirroring) or have no effect (colour), and
# a small fast network.
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


def pytest_runtest_teardown(item):
    """Free the memory of networks: Gluon's blocks are reference cycles, which only a collection
    frees.
    """
    if item.get_closest_marker("slow"):
        gc.collect()


@pytest.fixture
def unset_variables(monkeypatch):
    """A function that unsets variables of the environment until the end of the test."""

    def unset(*names):
        for name in names:
            # delenv alone would not undo what the code sets
            monkeypatch.setenv(name, "to be restored")
            monkeypatch.delenv(name)

    return unset


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """A folder with train.rec and val.rec: scikit-learn's handwritten digits."""
    from gluon_tricks.commands import prepare

    folder = tmp_path_factory.mktemp("digits")
    parser = argparse.ArgumentParser()
    prepare.add_arguments(parser)
    assert prepare.main(parser.parse_args(["digits", str(folder)])) == 0
    return folder


@pytest.fixture
def train(digits, tmp_path):
    """``train(save_dir=..., flag=...)`` trains in this process on a few digits and returns the
    closed Run.
    """
    from gluon_tricks import config as flags
    from gluon_tricks.training.run import build, finish

    def train(**given):
        chosen = dict(SMALL, data_dir=str(digits), save_dir=str(tmp_path / "run"))
        chosen.update(given)
        run = build(
            flags.resolve({name: value for name, value in chosen.items() if value is not None})
        )
        try:
            finish(run)
        finally:
            run.close()
        return run

    return train


@pytest.fixture(scope="session")
def driver(tmp_path_factory):
    """The path of the program with the tiny network."""
    path = tmp_path_factory.mktemp("driver") / "driver.py"
    path.write_text(DRIVER)
    return str(path)


@pytest.fixture
def start(digits, driver, tmp_path):
    """``start(launch, name, *flags)`` starts a run of two workers in the folder ``name`` and
    returns its Popen.

    ``options`` replace those of horovodrun or ``gluon-tricks launch`` for two workers; other
    keywords are environment variables. ``prefix`` has words before the command.
    """
    started = []

    def start(launch, name, *flags, options=None, prefix=(), **environment):
        notes = tmp_path / (name + "-notes")
        notes.mkdir(exist_ok=True)
        words = [
            "train",
            "--data-dir",
            str(digits),
            "--save-dir",
            str(tmp_path / name),
            "--resume",
            "auto",
        ]
        words += FLAGS + list(flags)
        command = [sys.executable, driver] + words
        bin = os.path.dirname(sys.executable)
        if launch == "horovod":
            options = options or ["-np", "2"]
            command = (
                [os.path.join(bin, "horovodrun")] + options + command + ["--kvstore", "horovod"]
            )
        elif launch.startswith("dist"):
            options = options or ["-n", "2", "-s", "1"]
            command = (
                [sys.executable, "-c", LAUNCHER, driver, "launch", "--kvstore", launch]
                + options
                + ["--"]
                + words
            )
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "NOTES": str(notes),
            "PATH": bin + os.pathsep + os.environ["PATH"],
            **environment,
        }
        process = subprocess.Popen(
            list(prefix) + command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


@pytest.fixture
def finish(start, tmp_path):
    """``finish(launch, name, *flags)`` runs to the end and returns (parameters, notes by worker,
    log).
    """

    def finish(launch, name, *flags, **keywords):
        process = start(launch, name, *flags, **keywords)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
        return result(tmp_path, name)

    return finish
