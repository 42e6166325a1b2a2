"""The tiny network, trained for a moment on small pictures."""

import contextlib

import pytest
from scenes import NAMES, K, Tiny, png, scene

from gluon_tricks import cli
from gluon_tricks import config as configuration
from gluon_tricks.data.mask_files import mask_path_of
from gluon_tricks.data.records import RecordWriter
from gluon_tricks.models import registry
from gluon_tricks.training.run import build, finish


@pytest.fixture(scope="session", autouse=True)
def tiny():
    registry.register("tiny_pixels", input_size=24, for_task="segmentation")(Tiny)
    yield
    del registry._networks["tiny_pixels"]


@pytest.fixture(scope="session")
def records(tmp_path_factory):
    """A folder with train.rec and val.rec, their masks, and labels.txt."""
    folder = tmp_path_factory.mktemp("scenes")
    for name, numbers in (("train", range(24)), ("val", range(100, 109))):
        path = str(folder / f"{name}.rec")
        with RecordWriter(path) as images, RecordWriter(mask_path_of(path)) as masks:
            for number in numbers:
                picture, mask = scene(number)
                images.write(number, 0, png(picture))
                masks.write(number, 0, png(mask))
    (folder / "labels.txt").write_text("".join(name + "\n" for name in NAMES))
    return folder


@pytest.fixture(scope="session")
def run_folder(records, tmp_path_factory):
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("run") / "run"
    flags = dict(
        task="segmentation",
        model="tiny_pixels",
        classes=K,
        rec_train=str(records / "train.rec"),
        rec_val=str(records / "val.rec"),
        save_dir=str(folder),
        input_size=24,
        base_size=30,
        batch_size=4,
        num_epochs=6,
        lr=0.2,
        num_data_workers=1,
    )
    run = build(configuration.resolve(flags))
    with contextlib.closing(run):
        finish(run)
    return folder


@pytest.fixture
def command():
    """``command("evaluate", ...)``: the exit code of a command in this process."""
    return lambda *words: cli.run([str(word) for word in words])
