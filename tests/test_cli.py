"""The command line: help without MXNet, errors on one line with exit code 2, threads, interruption."""

import json
import os
import subprocess
import sys

import pytest

from gluon_tricks import cli, threads
from gluon_tricks.errors import UserError

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Room:
    """Stands in for a room's module."""

    def __init__(self, work=lambda args: 0):
        self.work = work

    def add_arguments(self, parser):
        parser.add_argument("--value", type=int)

    def main(self, args):
        return self.work(args)


@pytest.fixture(autouse=True)
def own_threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def room(monkeypatch):
    def install(work):
        monkeypatch.setattr(cli.importlib, "import_module", lambda name: Room(work))

    return install


def run(*words, **variables):
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("OMP_NUM_THREADS", "GLUON_TRICKS_SET_THREADS")
    }
    return subprocess.run(
        [sys.executable, "-m", "gluon_tricks"] + list(words),
        cwd=ROOT,
        env=dict(environment, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        timeout=120,
    )


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert all(name in text for name in cli.COMMANDS)


def test_version_is_the_packages(capsys):
    import gluon_tricks

    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out.strip() == "gluon_tricks " + gluon_tricks.__version__


def test_an_unknown_command_is_named(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["trian"])
    assert stop.value.code == 2 and "trian" in capsys.readouterr().err


def test_arguments_reach_the_room_and_its_exit_code_comes_back(room):
    room(lambda args: args.value)
    assert cli.main(["predict", "--value", "3"]) == 3
    room(lambda args: None)
    assert cli.main(["predict"]) == 0


def test_flags_are_not_abbreviated(room, capsys):
    room(lambda args: 0)
    with pytest.raises(SystemExit):
        cli.main(["predict", "--val", "3"])
    assert "--val" in capsys.readouterr().err


def test_what_the_user_can_put_right_is_one_line_and_code_2(room, capsys):
    def work(args):
        raise UserError("--value is wrong: try another")

    room(work)
    assert cli.main(["plan"]) == 2
    assert capsys.readouterr().err == "gluon-tricks plan: error: --value is wrong: try another\n"


def test_an_error_may_have_its_own_exit_code(room, capsys):
    class Diverged(UserError):
        exit_code = 3

    def work(args):
        raise Diverged("nan")

    room(work)
    assert cli.main(["predict"]) == 3


def test_ctrl_c_is_130(room):
    def work(args):
        raise KeyboardInterrupt

    room(work)
    assert cli.main(["predict"]) == 130


def test_a_wrong_flag_of_a_command_is_one_line_and_code_2():
    result = run("plan", "--base-lr", "0.2")
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith("gluon-tricks plan: error: --base-lr")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("given, expected", [(None, None), ("1", "1")])
def test_threads_are_all_cores_unless_the_user_says_otherwise(monkeypatch, given, expected):
    monkeypatch.delenv("GLUON_TRICKS_SET_THREADS", raising=False)
    monkeypatch.delenv("HOROVOD_LOCAL_SIZE", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    threads.set_threads()
    assert os.environ["OMP_NUM_THREADS"] == (expected or str(len(os.sched_getaffinity(0))))
    assert os.environ.pop("GLUON_TRICKS_SET_THREADS", None) == (None if given else "1")


def test_workers_of_one_machine_share_its_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("HOROVOD_LOCAL_SIZE", "2")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(7)), raising=False)
    threads.set_threads()
    assert os.environ["OMP_NUM_THREADS"] == "3"
    os.environ.pop("GLUON_TRICKS_SET_THREADS")


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_closed_standard_streams_change_nothing(tmp_path, closed):
    command = f'"{sys.executable}" -m gluon_tricks report {tmp_path}/nowhere -o {tmp_path}/page {closed}'
    done = subprocess.run(command, shell=True, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, timeout=60)
    assert done.returncode == 2 and b"Traceback" not in done.stderr
    assert done.stdout == b""


def test_json_to_standard_output_comes_alone(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "gluon_tricks", "models", "cifar_resnet20_v1", "--json", "-"], cwd=str(tmp_path),
        env=dict(os.environ, PYTHONPATH=ROOT), stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120,
    )  # fmt: skip
    assert len(json.loads(done.stdout)) == 1
    assert b"parameters (M)" in done.stderr and os.listdir(str(tmp_path)) == []
