"""`gluon-tricks bench scaling` with real workers, on a network so small that only the communication
is measured.
"""

import argparse
import json
import os

import pytest

from gluon_tricks.bench import scaling
from gluon_tricks.distributed.launch_plan import Launch, plan
from gluon_tricks.errors import UserError


def arguments(*words):
    parser = argparse.ArgumentParser()
    scaling.add_arguments(parser)
    parser.add_argument("--json")
    return parser.parse_args(words)


def test_efficiencies_are_compared_within_a_repeat():
    """A machine that is half as fast the second time has the same efficiency."""
    case = ("horovod", 2)
    repeats = [
        {("local", 1): 100.0, case: 180.0},
        {("local", 1): 50.0, case: 80.0},
        {("local", 1): 50.0, case: 100.0},
    ]
    found = scaling.row(case, repeats)
    assert found["images_per_second"] == 100 and found["efficiency"] == 0.9
    assert (found["efficiency_worst"], found["efficiency_best"]) == (0.8, 1.0)


def test_a_worker_has_one_thread_whoever_chose_the_number_before(monkeypatch):
    """A launch shares out the cores among its workers if the user has not set their threads."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(8))
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    monkeypatch.setenv("GLUON_TRICKS_SET_THREADS", "1")  # as by this process, which has all cores
    monkeypatch.setattr(os, "environ", scaling.one_thread(os.environ))
    for launch in ("horovod", "dist_sync"):
        for process in plan(Launch(launch, 1, ("train",))):
            assert dict(os.environ, **process.environment)["OMP_NUM_THREADS"] == "1"


@pytest.mark.slow
def test_every_launch_is_measured(tmp_path, capsys):
    words = (
        "--workers 1 --model cifar_resnet20_v1 --input-size 32 --batch-size 4 --steps 2 --rounds 2 "
        "--repeats 1"
    )
    assert scaling.main(arguments(*words.split(), "--json", str(tmp_path / "rows.json"))) == 0
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [(row["launch"], row["workers"]) for row in rows] == [
        ("local", 1),
        ("horovod", 1),
        ("dist_sync", 1),
    ]
    assert all(row["images_per_second"] > 0 for row in rows) and rows[0]["efficiency"] == 1
    assert len(capsys.readouterr().out.splitlines()) == 3


@pytest.mark.parametrize("words", ["--launches mpi", "--workers 0", "--rounds 1", "--repeats 0"])
def test_what_cannot_be_measured_is_refused(words):
    with pytest.raises(UserError, match="bench scaling"):
        scaling.main(arguments(*words.split()))
