"""Runs in their own processes, which are interrupted or killed and then resumed."""

import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest

from gluon_tricks.training.log_files import read
from gluon_tricks.training.stopping import Interrupted, Stop

# Small enough for many rounds: 24 steps with a checkpoint after every second one.
FLAGS = (
    "--model cifar_resnet20_v1 --classes 10 --input-size 32 --flip 0 --color-jitter 0 "
    "--pca-noise 0 -j 1 --batch-size 4 --num-epochs 3 --num-training-samples 32 --lr 0.02 "
    "--mixup --label-smoothing --save-interval 2 --log-interval 3 --val-frequency 3"
).split()
ROUNDS = int(os.environ.get("GLUON_TRICKS_STRESS", 2))


def command(digits, folder):
    return [
        sys.executable,
        "-m",
        "gluon_tricks",
        "train",
        "--data-dir",
        str(digits),
        "--save-dir",
        str(folder),
        "--resume",
        "auto",
    ] + FLAGS


def finish(digits, folder):
    done = subprocess.run(command(digits, folder), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def last(folder):
    return [
        (folder / "checkpoints" / "step-00000024" / name).read_bytes()
        for name in ("net.params", "optimizer.states")
    ]


@pytest.fixture(scope="module")
def undisturbed(digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    finish(digits, folder)
    return folder


def wait_for(condition, seconds=120):
    end = time.time() + seconds
    while not condition():
        assert time.time() < end, f"waited {seconds} seconds in vain"
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize(
    "number, code",
    [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)],
    ids=["SIGTERM", "Ctrl-C", "SIGHUP"],
)
def test_a_signal_ends_the_run_after_a_whole_step_with_a_checkpoint(
    digits, undisturbed, tmp_path, number, code
):
    folder = tmp_path / "run"
    process = subprocess.Popen(
        command(digits, folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_for(
            lambda: (folder / "log.jsonl").exists() and (folder / "log.jsonl").stat().st_size > 0
        )
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code, errors
    assert number.name in errors and "Traceback" not in errors
    assert "resuming" in finish(digits, folder)
    assert (folder / "log.jsonl").read_bytes() == (undisturbed / "log.jsonl").read_bytes()
    assert last(folder) == last(undisturbed)


@pytest.mark.slow
@pytest.mark.stress
@pytest.mark.parametrize("seed", range(ROUNDS))
def test_a_run_that_is_killed_at_a_random_moment_loses_nothing(digits, undisturbed, tmp_path, seed):
    folder, moments, steps = tmp_path / "run", random.Random(seed), [0]
    for _ in range(2):
        process = subprocess.Popen(
            command(digits, folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for(
            lambda: (
                process.poll() is not None
                or (folder / "timing.jsonl").exists()
                and len(read(str(folder / "timing.jsonl"))) > 1
            )
        )
        time.sleep(moments.uniform(0, 1.5))
        process.kill()
        process.wait()
        checkpoints = [
            r["step"] for r in read(str(folder / "timing.jsonl")) if r["event"] == "checkpoint"
        ]
        resumed = [r["step"] for r in read(str(folder / "timing.jsonl")) if r["event"] == "resumed"]
        assert all(step in [0] + checkpoints for step in resumed)
        steps += checkpoints[-1:]
    finish(digits, folder)
    assert steps == sorted(steps)  # no step that was saved is lost
    assert (folder / "log.jsonl").read_bytes() == (undisturbed / "log.jsonl").read_bytes()
    assert last(folder) == last(undisturbed)


def test_a_hang_up_that_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Stop().listening(print):
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_run_in_another_thread_hears_no_signal():
    before = signal.getsignal(signal.SIGINT)

    def listen():
        with Stop().listening(print):
            heard.append(signal.getsignal(signal.SIGINT))

    heard = []
    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert heard == [before]


def test_workers_agree_on_any_of_the_signals():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        one, other = Stop(), Stop()
        with one.listening(lambda text: None):
            os.kill(os.getpid(), number)
        other.count([a + b for a, b in zip(one.votes(), other.votes())])
        with pytest.raises(Interrupted) as error:
            other.raise_after(3)
        assert error.value.exit_code == 128 + number
