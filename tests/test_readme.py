"""README: its code trains, its tables are the package's, and its demo runs."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from gluon_tricks import cli
from gluon_tricks.reporting.trick_table import trick_table

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


@pytest.mark.slow
def test_the_tricks_in_your_own_loop_train():
    import mxnet as mx

    (code,) = re.findall(r"```python\n(.*?)```", README, re.S)
    mx.random.seed(0)
    random = np.random.RandomState(0)
    labels = [mx.nd.array(random.permutation(8)) for _ in range(3)]
    # images that say their class: one row is bright
    images = [
        mx.nd.array(
            np.eye(32)[y.asnumpy().astype(int) * 4][:, None, :, None] * np.ones((8, 3, 32, 32))
        )
        for y in labels
    ]
    names = dict(batches=list(zip(images, labels)))
    exec(code, names)
    assert names["step"] == 5 and np.isfinite(names["loss"].asnumpy()).all()
    assert names["trainer"].learning_rate == names["rate"](5) < names["rate"](3)
    gammas = {
        p.wd_mult
        for name, p in names["net"].collect_params(".*gamma|.*weight").items()
        if name.endswith("gamma")
    }
    assert gammas == {0.0}


def test_the_recipes_in_the_readme_have_the_papers_figures():
    table = (ROOT / "recipes" / "README.md").read_text()
    named = re.findall(r"\[(table\d\w+)\]\([^)]*\) \| (\S+ / \S+) \|", README)
    assert named
    for name, figures in named:
        assert re.search(rf"\[{name}\].*\| {figures} \|", table), name


def test_the_table_of_tricks_is_that_of_the_package():
    assert trick_table() in README, "paste: python -m gluon_tricks.reporting.trick_table"


def test_the_table_of_commands_has_all_that_there_are_and_no_others():
    (table,) = re.findall(r"\| command \| \|\n.*?\n(.*?)\n\n", README, re.S)
    cells = (row.split("|")[1] for row in table.splitlines())
    named = {word for cell in cells for word in re.findall(r"`(?:gluon-tricks )?(\w+)`", cell)}
    assert named == set(cli.COMMANDS) - {"data"}  # an older name


@pytest.mark.slow
def test_the_demo_trains_evaluates_exports_and_reports(tmp_path):
    """The recipe itself, for a few steps."""
    import os
    import sys

    program = tmp_path / "gluon-tricks"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gluon_tricks "$@"\n')
    program.chmod(0o755)
    environment = dict(
        os.environ, PATH="{}:{}".format(tmp_path, os.environ["PATH"]), OUT=str(tmp_path / "demo")
    )
    environment.update(TEACHER="resnet18_v1d", STUDENT="cifar_resnet20_v1")
    small = "--num-training-samples 64 --num-epochs 1 --warmup-epochs 0 --last-gamma 0".split()
    done = subprocess.run(
        ["bash", str(ROOT / "recipes" / "demo_digits.sh")] + small,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for path in (
        "data/train.rec",
        "teacher/result.json",
        "student/result.json",
        "distilled/best/net.params",
    ):
        assert (tmp_path / "demo" / path).exists(), path
    for path in ("report/report.html", "distilled/best", "exported"):
        assert (tmp_path / "demo" / path).exists() and "demo/" + path + "\n" in done.stdout, path
    assert "top-1" in done.stdout and list((tmp_path / "demo" / "exported").glob("*symbol.json"))
