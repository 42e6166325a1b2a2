"""The same run in every launch: one process, two contexts, two parameter-server workers, two
Horovod workers.

Real processes on the loopback interface, with time limits. A test kills the process groups that it
starts.
"""

import json
import os
import re
import signal
import time

import numpy as np
import pytest
from processes import alive, compare, process_of, result, wait_for_steps

pytestmark = pytest.mark.slow


def keys_by_step(notes):
    return [sum((worker[step]["keys"] for worker in notes), []) for step in range(len(notes[0]))]


def test_every_launch_is_the_same_run(finish, reference):
    """20 steps of 8 images with mixup in parts of 4."""
    one = reference
    assert len(one[1][0]) == 20
    logs = []
    for launch, options in (("horovod", None), ("dist_sync", ["-n", "2", "-s", "2"])):
        parameters, notes, log = finish(
            launch, launch, "--batch-size", "4", "--mixup", options=options
        )
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
        logs.append(log)
    assert logs[0] == logs[1]  # to the last digit of a loss, which two workers add in float64


def test_without_mixup_one_big_part_is_the_same_run(finish):
    """20 steps in which images are not mixed, so the parts of the batch make no difference."""
    one = finish("local", "one", "--batch-size", "8")
    compare(one[0], finish("horovod", "two", "--batch-size", "4")[0])


def test_a_run_goes_on_under_other_launches_and_with_other_workers(finish):
    """Four parts on two workers, by Horovod and by the parameter server; on three, of which two
    have one part; and on two contexts of one process.
    """
    flags = ("--batch-size", "2", "--mixup")
    whole = finish("local", "whole", *flags, "--accumulate", "4")

    def go_on(launch, steps, *more, options=None):
        asked = ("--max-steps", str(steps)) if steps else ()
        return finish(launch, "moved", *flags, *more, *asked, options=options)

    go_on("horovod", 6, "--accumulate", "2")
    go_on("dist_device_sync", 5, "--accumulate", "2")
    _, notes, _ = go_on("horovod", 4, "--elastic", "keep-batch", options=["-np", "3"])
    assert [len(worker[-1]["keys"]) for worker in notes] == [2, 2, 4]
    moved = go_on("local", 0, "--cpu-contexts", "2", "--accumulate", "2")
    compare(whole[0], moved[0])
    assert [row["step"] for row in whole[2]] == [row["step"] for row in moved[2]]
    assert [row["images"] for row in whole[2]] == [row["images"] for row in moved[2]]


def test_growing_updates_and_their_average_go_on_under_other_launches(finish):
    """An epoch of 10 updates of 8 images, then one of 3 updates of 24, with 8 images left over."""
    flags = ("--batch-size", "4", "--mixup", "--momentum-form", "outside", "--ema", "0.8")
    flags += ("--batch-growth", "1:x3")
    whole = finish("local", "whole", *flags, "--cpu-contexts", "2")
    finish("horovod", "moved", *flags, "--max-steps", "11")  # 13, after the first of the 3
    finish("dist_sync", "moved", *flags, "--max-steps", "3")
    moved = finish("local", "moved", *flags, "--accumulate", "2")
    compare(whole[0], moved[0])
    assert [row["step"] for row in whole[2]] == [row["step"] for row in moved[2]]
    assert [row["images"] for row in moved[2] if row["event"] == "epoch"] == [80, 72]
    workers = moved[1]
    assert {row["step"] for row in workers[0]} == set(range(19))


def test_gradients_that_overflow_on_one_worker_are_skipped_by_all_together(finish):
    flags = "--batch-size 4 --model linear --dtype float16".split()
    _, notes, _ = finish("horovod", "run", *flags, OVERFLOW_AT="4")
    assert [[row["counted"] for row in worker] for worker in notes] == [
        [1] * 3 + [0] + [1] * 16
    ] * 2
    first, other = ([row["values"] for row in worker] for worker in notes)
    assert first == other and first[2] == first[3] != first[4]


def test_gradients_are_sent_as_float16_if_asked_to(finish):
    flags = ("--num-epochs", "1")
    plain, _, _ = finish("local", "plain", *flags, "--batch-size", "8")
    rounded = ("--batch-size", "4", "--gradient-compression", "fp16")
    small, _, _ = finish("horovod", "small", *flags, *rounded)
    compare(plain, small, atol=1e-3)
    # with float32 gradients they are equal to 1e-6, see above
    assert max(abs(plain[name] - small[name]).max() for name in plain) > 1e-5


def test_a_worker_with_other_flags_is_refused_with_the_difference(start):
    process = start("horovod", "run", "--batch-size", "4", OTHER_LR="0.3")
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "worker 1" in output and "--lr: 0.01 -> 0.3" in output


GONE = [
    ("horovod", signal.SIGKILL),
    ("horovod", signal.SIGSTOP),
    ("dist_sync", signal.SIGKILL),
    ("dist_sync", signal.SIGSTOP),
]


@pytest.mark.parametrize("launch, number", GONE)
def test_when_a_worker_is_gone_all_end_and_nothing_is_left(start, tmp_path, launch, number):
    process = start(
        launch, "run", "--batch-size", "4", "--num-epochs", "50", "--stall-timeout", "3", SLOW="0.1"
    )
    wait_for_steps(tmp_path, "run", 3)
    os.kill(process_of(tmp_path, "run", 1), number)
    began = time.time()
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0 and time.time() - began < 25, output
    time.sleep(1)
    assert not alive(tmp_path / "run"), output
    if number == signal.SIGSTOP:
        assert "worker 1 on " in output and "stopped, gone or cut off" in output


def test_server_and_scheduler_that_are_stopped_are_named_by_the_workers(start, tmp_path):
    flags = ["--batch-size", "4", "--num-epochs", "50", "--stall-timeout", "4"]
    process = start("dist_sync", "run", *flags, SLOW="0.1")
    wait_for_steps(tmp_path, "run", 3)
    for role in ("server", "scheduler"):
        os.kill(child_with(process, "DMLC_ROLE=" + role), signal.SIGSTOP)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 4, output
    names = r"server 0 on \S+ and the scheduler at 127.0.0.1:\d+"
    assert re.search(
        rf"error: worker \d heard nothing .*: {names} are stopped, gone or cut off", output
    ), output
    assert not alive(tmp_path / "run")


def child_with(process, variable):
    """The number of a process's child that has this variable in its environment."""
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:
        for number in file.read().split():
            with open(f"/proc/{number}/environ") as environment:
                if variable in environment.read().split("\0"):
                    return int(number)


def stop_by_signal(start, tmp_path, launch, *flags):
    """Start the run ``run``, send one of its workers SIGTERM after two steps, and check that all
    stop after the same step, with a checkpoint. Returns the launch's exit code.
    """
    process = start(launch, "run", *flags, SLOW="0.2")
    wait_for_steps(tmp_path, "run", 2)
    os.kill(process_of(tmp_path, "run", 1), signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0 and "SIGTERM after step" in output, output
    _, notes, _ = result(tmp_path, "run")
    assert len(notes[0]) == len(notes[1]) < 20
    newest = sorted((tmp_path / "run" / "checkpoints").iterdir())[-1]
    assert json.loads((newest / "state.json").read_text())["step"] == len(notes[0])
    return process.returncode


def test_a_signal_to_one_worker_stops_all_after_the_same_step_with_a_checkpoint(start, tmp_path):
    assert stop_by_signal(start, tmp_path, "dist_sync", "--batch-size", "4") == 143


def test_workers_that_a_signal_stopped_go_on_with_the_bits_of_workers_that_never_stopped(
    start, finish, tmp_path
):
    """With BatchNorm, of which each worker has its own statistics."""
    flags = "--batch-size 4 --model cifar_resnet20_v1 --log-interval 4".split()
    whole = finish("horovod", "whole", *flags)
    stop_by_signal(start, tmp_path, "horovod", *flags)
    stopped = finish("horovod", "run", *flags)
    for name in whole[0]:
        np.testing.assert_array_equal(whole[0][name], stopped[0][name], err_msg=name)
    log, other = ((tmp_path / name / "log.jsonl").read_bytes() for name in ("whole", "run"))
    assert log == other
