"""A run whose images come from data processes is the run with threads, to the byte."""

import filecmp
import os

import pytest

from gluon_tricks import config as flags
from gluon_tricks.data import processes
from gluon_tricks.training import run

FLAGS = dict(
    model="cifar_resnet20_v1",
    classes=10,
    input_size=32,
    batch_size=8,
    num_epochs=1,
    num_training_samples=64,
    num_data_workers=2,
    log_interval=3,
    lr=0.05,
)
LAST = os.path.join("checkpoints", "step-00000008", "net.params")


@pytest.mark.slow
def test_data_processes_change_nothing_and_a_run_goes_on_with_any_number_of_them(
    digits, tmp_path, monkeypatch
):
    started = []

    def start(*arguments):
        started.append(arguments)
        return begin(*arguments)

    begin = processes.DataProcesses
    monkeypatch.setattr(processes, "DataProcesses", start)

    def train(name, **given):
        chosen = dict(FLAGS, data_dir=str(digits), save_dir=str(tmp_path / name))
        assert run.train(flags.resolve(dict(chosen, **given))) == 0

    train("threads")
    assert not started
    train("processes", data_processes=2, max_steps=3)
    assert started == [(2, 1)]
    train("processes", data_processes=1, resume="auto")
    assert started == [(2, 1), (1, 2)]
    for name in (LAST, "log.jsonl"):
        assert filecmp.cmp(tmp_path / "threads" / name, tmp_path / "processes" / name, False)
