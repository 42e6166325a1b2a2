"""The same run in every launch: one process, two contexts, two parameter-server workers, two Horovod workers.

Real processes on loopback, bounded in time; what a test starts is in process groups that it kills.
"""

import json
import os
import signal
import subprocess
import sys
import time

import mxnet as mx
import numpy as np
import pytest

from gluon_tricks.training.journal import read

pytestmark = pytest.mark.slow

# A command of the package with a small network without BatchNorm, and a record of the keys, rates and lambdas of each step.
DRIVER = """
import json, os, sys
sys.argv[0] = "gluon-tricks"
import mxnet as mx
from mxnet.gluon import nn
from gluon_tricks import cli, models
from gluon_tricks.training import loop, run
from gluon_tricks.tricks import mixup

def tiny(name, classes=10, **options):
    net = nn.HybridSequential(prefix="tiny_")
    with net.name_scope():
        net.add(nn.Conv2D(4, 5, strides=4, activation="relu", in_channels=3))
        net.add(nn.Flatten(), nn.Dense(classes, in_units=4 * 7 * 7))
    return net

plain, step = models.get_model, loop.train_step
models.get_model = lambda name, **options: (tiny if name == "resnet18_v1" else plain)(name, **options)

def noted(it, batch, number):
    outcome = step(it, batch, number)
    with open(os.path.join(os.environ["NOTES"], "{}.jsonl".format(it.layout.rank)), "a") as file:
        lam = mixup.draw_lambda(0.2, it.config.seed, number) if it.config.mixup else None
        values = [float(p.list_data()[0].asnumpy().astype("float64").sum()) for p in it.trained]
        about = dict(step=number, keys=batch.keys.tolist(), rate=it.trainer.learning_rate, lam=lam, values=values)
        file.write(json.dumps(about) + chr(10))
    if os.environ.get("SLOW"):
        import time
        time.sleep(float(os.environ["SLOW"]))
    return outcome

loop.train_step = noted
if os.environ.get("OTHER_LR") and int(os.environ.get("HOROVOD_RANK", 0)) == 1:
    sys.argv += ["--lr", os.environ["OTHER_LR"]]
sys.exit(cli.main(sys.argv[1:]))
"""
# gluon-tricks launch, whose workers are the driver (the first argument) instead of the package's own command.
LAUNCHER = """
import sys
from gluon_tricks import cli, launch
driver, plan = sys.argv.pop(1), launch.plan
def planned(args):
    found = plan(args)
    for process in found:
        if process.role == "worker":
            process.command = [sys.executable, driver] + process.command[3:]
    return found
launch.plan = planned
sys.exit(cli.main(sys.argv[1:]))
"""
FLAGS = (
    "--model resnet18_v1 --classes 10 --input-size 32 --flip 0 --color-jitter 0 --pca-noise 0 --num-epochs 2 "
    "--num-training-samples 80 --lr 0.01 --lr-mode cosine --warmup-epochs 0.5 --label-smoothing -j 1 --log-interval 5"
).split()


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """A folder whose ``gluon_tricks_driver.py`` is the command, on PYTHONPATH."""
    path = tmp_path_factory.mktemp("driver") / "driver.py"
    path.write_text(DRIVER)
    return str(path)


@pytest.fixture
def start(digits, driver, tmp_path):
    """``start(launch, name, *flags)`` starts a run of 8 images a step in the folder ``name`` and gives its Popen."""
    started = []

    def start(launch, name, *flags, **environment):
        notes = tmp_path / (name + "-notes")
        notes.mkdir(exist_ok=True)
        words = (
            ["train", "--data-dir", str(digits), "--save-dir", str(tmp_path / name), "--resume", "auto"]
            + FLAGS
            + list(flags)
        )
        command = [sys.executable, driver] + words
        bin = os.path.dirname(sys.executable)
        if launch == "horovod":
            command = [os.path.join(bin, "horovodrun"), "-np", "2"] + command + ["--kvstore", "horovod"]
        elif launch.startswith("dist"):
            command = (
                [sys.executable, "-c", LAUNCHER, driver]
                + ["launch", "--kvstore", launch, "-n", "2", "-s", "1", "--"]
                + words
            )
        environment = dict(
            os.environ,
            OMP_NUM_THREADS="1",
            NOTES=str(notes),
            PATH=bin + os.pathsep + os.environ["PATH"],
            **environment,
        )
        process = subprocess.Popen(
            command,
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
    """``finish(launch, name, *flags)`` runs to the end; (parameters, notes by worker, log)."""

    def finish(launch, name, *flags):
        process = start(launch, name, *flags)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
        return result(tmp_path, name)

    return finish


def result(tmp_path, name):
    folder = tmp_path / name
    newest = sorted((folder / "checkpoints").iterdir())[-1]
    parameters = {key: value.asnumpy() for key, value in mx.nd.load(str(newest / "net.params")).items()}
    notes = [read(str(path)) for path in sorted((tmp_path / (name + "-notes")).iterdir())]
    return parameters, notes, read(str(folder / "log.jsonl"))


def compare(first, other, atol=1e-6):
    assert first.keys() == other.keys()
    for name in first:
        np.testing.assert_allclose(first[name], other[name], atol=atol, err_msg=name)


def keys_by_step(notes):
    return [sum((worker[step]["keys"] for worker in notes), []) for step in range(len(notes[0]))]


def test_every_launch_is_the_same_run(finish):
    """20 steps of 8 images with mixup in parts of 4; without it, one big part is the same too."""
    one = finish("local", "contexts", "--cpu-contexts", "2", "--batch-size", "4", "--mixup")
    assert len(one[1][0]) == 20
    for launch in ("horovod", "dist_sync"):
        parameters, notes, log = finish(launch, launch, "--batch-size", "4", "--mixup")
        compare(one[0], parameters)
        assert len(notes) == 2
        assert keys_by_step(notes) == keys_by_step(one[1])
        for worker in notes:
            for name in ("step", "rate", "lam"):
                assert [row[name] for row in worker] == [row[name] for row in one[1][0]]
        # Identical on every worker after every step.
        assert [row["values"] for row in notes[0]] == [row["values"] for row in notes[1]]
        # Counts are exact; 355 validation images do not divide by two.
        for mine, other in zip(one[2], log):
            assert (mine["images"], mine["top1"]) == (other["images"], other["top1"])
            assert mine["loss"] == pytest.approx(other["loss"], abs=1e-5)
        assert [row["images"] for row in log if row["event"] == "validation"] == [355, 355]


def test_one_big_context_is_the_same_run_without_mixup(finish):
    one = finish("local", "one", "--batch-size", "8")
    compare(one[0], finish("horovod", "two", "--batch-size", "4")[0])


def test_a_run_goes_on_under_another_launch(finish):
    whole = finish("local", "whole", "--cpu-contexts", "2", "--batch-size", "4", "--mixup")
    finish("horovod", "moved", "--batch-size", "4", "--mixup", "--max-steps", "7")
    finish("dist_device_sync", "moved", "--batch-size", "4", "--mixup", "--max-steps", "6")
    moved = finish("local", "moved", "--accumulate", "2", "--batch-size", "4", "--mixup")
    compare(whole[0], moved[0])
    assert [row["step"] for row in whole[2]] == [row["step"] for row in moved[2]]
    assert [row["images"] for row in whole[2]] == [row["images"] for row in moved[2]]


def test_workers_that_resume_have_the_bits_and_the_log_of_workers_that_never_stopped(finish, tmp_path):
    """With BatchNorm, whose statistics each worker has its own of."""
    flags = "--batch-size 4 --model cifar_resnet20_v1 --num-epochs 1 --log-interval 4".split()
    whole = finish("horovod", "whole", *flags)
    finish("horovod", "stopped", "--max-steps", "3", *flags)
    stopped = finish("horovod", "stopped", *flags)
    for name in whole[0]:
        np.testing.assert_array_equal(whole[0][name], stopped[0][name], err_msg=name)
    assert (tmp_path / "whole" / "log.jsonl").read_bytes() == (
        tmp_path / "stopped" / "log.jsonl"
    ).read_bytes()


def test_a_worker_with_other_flags_is_refused_with_the_difference(start):
    process = start("horovod", "run", "--batch-size", "4", OTHER_LR="0.3")
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "worker 1" in output and "--lr: 0.01 -> 0.3" in output


def wait_for_steps(tmp_path, name, steps, seconds=120):
    end = time.time() + seconds
    paths = [tmp_path / (name + "-notes") / "{}.jsonl".format(rank) for rank in (0, 1)]
    while not all(path.exists() and len(path.read_text().splitlines()) >= steps for path in paths):
        assert time.time() < end, "waited {} seconds in vain".format(seconds)
        time.sleep(0.05)


def workers(folder):
    """The process numbers of the workers of the run in this folder."""
    found = []
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = open("/proc/{}/cmdline".format(number)).read().split("\0")
        except OSError:
            continue
        # The worker itself: neither the launcher, nor a shell, nor the filter of its error output, which is its child.
        if (
            str(folder) in words
            and words[1].endswith("driver.py")
            and "HOROVOD_RANK" in environ(number) | roles(number)
        ):
            found.append(int(number))
    parents = {
        number: int(open("/proc/{}/stat".format(number)).read().rsplit(")", 1)[1].split()[1])
        for number in found
    }
    return [number for number in found if parents[number] not in found]


def environ(number):
    try:
        return {line.split("=")[0] for line in open("/proc/{}/environ".format(number)).read().split("\0")}
    except OSError:
        return set()


def roles(number):
    return {"HOROVOD_RANK"} if "DMLC_ROLE" in environ(number) else set()


def alive(folder):
    return [n for n in filter(str.isdigit, os.listdir("/proc")) if str(folder) in _command(n)]


def _command(number):
    try:
        return open("/proc/{}/cmdline".format(number)).read()
    except OSError:
        return ""


@pytest.mark.parametrize("launch", ["horovod", "dist_sync"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_when_a_worker_is_gone_all_end_and_nothing_is_left(start, tmp_path, launch, number):
    process = start(
        launch, "run", "--batch-size", "4", "--num-epochs", "50", "--stall-timeout", "3", SLOW="0.1"
    )
    wait_for_steps(tmp_path, "run", 3)
    os.kill(workers(tmp_path / "run")[-1], number)
    began = time.time()
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0 and time.time() - began < 25, output
    time.sleep(1)
    assert not alive(tmp_path / "run"), output
    if number == signal.SIGSTOP:
        assert "--stall-timeout" in output or "lost" in output


@pytest.mark.parametrize("launch", ["horovod", "dist_sync"])
def test_a_signal_to_one_worker_stops_all_after_the_same_step_with_a_checkpoint(
    start, finish, tmp_path, launch
):
    process = start(launch, "run", "--batch-size", "4", SLOW="0.2")
    wait_for_steps(tmp_path, "run", 2)
    os.kill(workers(tmp_path / "run")[-1], signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0 and "SIGTERM after step" in output, output
    if launch == "dist_sync":
        assert process.returncode == 143
    _, notes, _ = result(tmp_path, "run")
    assert len(notes[0]) == len(notes[1]) < 20
    assert json.loads((sorted((tmp_path / "run" / "checkpoints").iterdir())[-1] / "state.json").read_text())[
        "step"
    ] == len(notes[0])
