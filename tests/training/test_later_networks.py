"""Networks from after the paper in a run: what changes with the step, resuming, export."""

import numpy as np
import pytest

from gluon_tricks.cli import main
from gluon_tricks.models.progress import progress_of

DROPPING = dict(model="resnet18_v1d", drop_block=0.3, drop_block_from=0.1, drop_path=0.2)


def parameters(run):
    net = run.learner.net
    return {name: p.data().asnumpy() for name, p in net._collect_params_with_prefix().items()}


def same(one, other):
    return all(np.array_equal(one[name], other[name]) for name in one) and set(one) == set(other)


@pytest.mark.slow
def test_a_resumed_run_drops_what_one_that_never_stopped_drops(train, tmp_path):
    flags = dict(DROPPING, synthetic=16, data_dir=None, batch_size=4, num_training_samples=16)
    whole = train(save_dir=str(tmp_path / "whole"), **flags)
    train(save_dir=str(tmp_path / "stopped"), max_steps=3, **flags)
    resumed = train(save_dir=str(tmp_path / "stopped"), resume="auto", **flags)
    assert same(parameters(whole), parameters(resumed))
    logs = [(tmp_path / name / "log.jsonl").read_text() for name in ("whole", "stopped")]
    assert logs[0] == logs[1]
    (progress,) = progress_of(resumed.learner.net)
    assert progress.parameter.data().asscalar() == np.float32(7 / 8)  # of the last step
    export = ["export", str(tmp_path / "whole"), "-o", str(tmp_path / "export")]
    assert main(export) == 0


@pytest.mark.slow
def test_without_drop_block_the_loop_tells_nobody(train):
    assert progress_of(train(num_epochs=1).learner.net) == []
