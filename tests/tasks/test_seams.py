"""A new task and a new batch mixing are each a class and a line of registration."""

import json

import mxnet as mx
import numpy as np
import pytest
from contributing import module_with

from gluon_tricks import open_model
from gluon_tricks.errors import UserError
from gluon_tricks.reporting import page, reading
from gluon_tricks.tasks import registry
from gluon_tricks.tricks import mixing

EvenOrOdd = module_with("EvenOrOdd", "gluon_tricks.tasks")["EvenOrOdd"]


@pytest.fixture
def even_or_odd():
    registry.register("even-or-odd")(EvenOrOdd)
    yield
    del registry.TASKS["even-or-odd"]


@pytest.mark.slow
def test_a_task_of_ones_own_trains_resumes_and_is_reported(train, tmp_path, even_or_odd):
    flags = dict(task="even-or-odd", num_epochs=2)
    train(save_dir=str(tmp_path / "whole"), **flags)
    train(save_dir=str(tmp_path / "run"), max_steps=5, **flags)
    run = train(save_dir=str(tmp_path / "run"), resume="auto", **flags)
    logs = [(tmp_path / name / "log.jsonl").read_bytes() for name in ("whole", "run")]
    assert logs[0] == logs[1]
    lines = [json.loads(line) for line in logs[0].splitlines()]
    errors = [line["error"] for line in lines if line["event"] == "validation"]
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["best"]["error"] == run.progress.best["error"] == min(errors)
    assert "top1" not in str(lines) and result["images"] == 355
    with pytest.raises(
        UserError, match="was trained for even-or-odd; the tasks whose models open are class"
    ):
        open_model(str(tmp_path / "run"))
    report = page.write(reading.find([str(tmp_path / "run")]), str(tmp_path / "report"))
    assert "error %" in open(report).read()


def test_a_task_that_is_not_there_is_named_with_those_that_are(train):
    with pytest.raises(UserError, match="--task even-or-odd: .* there are classification"):
        train(task="even-or-odd")


class Swap:
    """Each image and target becomes the batch's next one."""

    @classmethod
    def from_config(cls, config, steps_per_epoch):
        return cls()

    def __call__(self, images, targets, step, part):
        following = mx.nd.array(np.roll(np.arange(len(images)), -1), dtype="int32")
        return images.take(following), targets.take(following)


def test_a_mixing_of_ones_own_changes_images_and_targets_alike():
    from gluon_tricks.config import parse
    from gluon_tricks.tasks.classification import Classification
    from gluon_tricks.training.objective import Objective

    mixing.register(Swap)
    try:
        made = Objective.from_config(parse(["--classes", "4"]), Classification(4), 5)
        images, labels = mx.nd.arange(3 * 4).reshape((3, 4)), mx.nd.array([0, 3, 1])
        inputs, targets = made.prepare(images, labels, 0, 0)
    finally:
        mixing.MIXINGS.remove(Swap)
    np.testing.assert_array_equal(inputs.asnumpy(), np.roll(images.asnumpy(), -1, axis=0))
    np.testing.assert_array_equal(targets.argmax(axis=1).asnumpy(), [3, 1, 0])
