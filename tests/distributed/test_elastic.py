"""Workers that are added and lost: Horovod's elastic mode, the launcher that starts a run again."""

import math
import os
import re
import signal

import pytest
from processes import alive, compare, process_of, result, wait_for_steps

pytestmark = pytest.mark.slow

FLAGS = "--batch-size 4 --mixup --elastic keep-batch --save-interval 2".split()


@pytest.fixture
def elastic(tmp_path):
    """``elastic(*hosts)`` sets the hosts from now on; returns horovodrun's options."""

    def elastic(*hosts):
        (tmp_path / "hosts.new").write_text("".join(host + "\n" for host in hosts))
        os.replace(str(tmp_path / "hosts.new"), str(tmp_path / "hosts"))
        script = tmp_path / "discover"
        script.write_text("#!/bin/sh\ncat '{}'\n".format(tmp_path / "hosts"))
        script.chmod(0o755)
        count = str(len(hosts))
        return [
            "--gloo",
            "-np",
            count,
            "--min-np",
            "1",
            "--max-np",
            "2",
            "--network-interfaces",
            "lo",
            "--host-discovery-script",
            str(script),
        ]

    return elastic


@pytest.mark.parametrize("rank", [0, 1])
def test_horovods_run_goes_on_without_a_worker_that_is_killed(
    start, tmp_path, reference, elastic, rank
):
    # A host whose worker fails is not used again, so each worker's host has its own name.
    process = start(
        "horovod", "run", *FLAGS, options=elastic("localhost:1", "127.0.0.1:1"), SLOW="0.2"
    )
    wait_for_steps(tmp_path, "run", 5)
    os.kill(process_of(tmp_path, "run", rank), signal.SIGKILL)
    output, _ = process.communicate(timeout=90)
    assert "resuming from the last checkpoint" in output
    assert re.search(r"resuming from \S+/step-\d+ at step", output), output
    check(reference, tmp_path)
    assert not alive(tmp_path / "run")


def test_horovods_run_goes_on_without_a_worker_that_is_stopped(start, tmp_path, reference, elastic):
    flags = FLAGS + ["--stall-timeout", "3"]
    process = start(
        "horovod", "run", *flags, options=elastic("localhost:1", "127.0.0.1:1"), SLOW="0.2"
    )
    wait_for_steps(tmp_path, "run", 5)
    os.killpg(os.getpgid(process_of(tmp_path, "run", 1)), signal.SIGSTOP)
    output, _ = process.communicate(timeout=90)
    assert process.returncode == 0 and re.search(
        r"worker 1 on \S+ was stopped for 3 seconds", output
    ), output
    check(reference, tmp_path)
    assert not alive(tmp_path / "run")


def test_horovods_run_goes_on_with_a_worker_that_is_added_and_loses_no_step(
    start, tmp_path, reference, elastic
):
    options = elastic("localhost:1")
    process = start("horovod", "run", "--accumulate", "2", *FLAGS, options=options, SLOW="0.4")
    wait_for_steps(tmp_path, "run", 3, ranks=(0,))
    elastic("localhost:1", "127.0.0.1:1")
    output, _ = process.communicate(timeout=90)
    assert process.returncode == 0 and "workers were added or removed" in output, output
    _, notes, _ = check(reference, tmp_path)
    assert {row["workers"] for row in notes[0]} == {1, 2}
    assert [row["step"] for row in notes[0]] == list(range(20))


def test_an_elastic_launch_has_to_say_what_becomes_of_the_batch(start, elastic):
    process = start("horovod", "run", "--batch-size", "4", options=elastic("localhost:1"))
    output, _ = process.communicate(timeout=90)
    assert process.returncode != 0 and "--elastic keep-batch or scale-lr" in output


def check(reference, tmp_path):
    """The run has finished with the parameters of an undisturbed one."""
    assert (tmp_path / "run" / "result.json").exists()
    run = result(tmp_path, "run")
    compare(reference[0], run[0])
    for mine, other in zip(reference[2], run[2]):
        assert (mine["step"], mine["images"], mine["top1"]) == (
            other["step"],
            other["images"],
            other["top1"],
        )
    assert len(reference[2]) == len(run[2])
    return run


def test_the_launcher_starts_a_run_again_that_has_lost_a_worker(start, tmp_path, reference):
    options = ["-n", "2", "-s", "1", "--restarts", "1"]
    process = start("dist_sync", "run", *FLAGS, options=options, SLOW="0.2")
    wait_for_steps(tmp_path, "run", 5)
    os.kill(process_of(tmp_path, "run", 1), signal.SIGKILL)
    output, _ = process.communicate(timeout=90)
    assert process.returncode == 0, output
    assert "worker 1 was killed by SIGKILL" in output
    assert "starting again from the last checkpoint" in output and "resuming from" in output
    check(reference, tmp_path)
    assert not alive(tmp_path / "run")


def test_the_global_batch_and_the_rate_follow_the_workers_if_asked_to(finish, tmp_path):
    """From 8 images a step to 4: twice the steps of half the rate, at the same place of the data
    and the schedule.
    """
    flags = ["--batch-size", "4", "--elastic", "scale-lr", "--warmup-epochs", "0"]
    finish("horovod", "run", *flags, "--max-steps", "13")
    _, notes, log = finish("local", "run", *flags)
    first, last = notes[0][13], notes[0][-1]
    # Ten steps an epoch before, twenty now: step 13 is step 26.
    assert (first["step"], last["step"]) == (26, 39)
    assert len(first["keys"]) == 4 and first["workers"] == 1
    assert first["rate"] == pytest.approx(0.01 / 2 * 0.5 * (1 + math.cos(math.pi * 26 / 40)))
    validation = [row for row in log if row["event"] == "validation"]
    assert [row["epoch"] for row in validation] == [0, 1]
    passes = [row["passes"] for row in log if row["event"] == "train"]
    assert passes == sorted(passes) and passes[-1] == 2  # their places in the report's curves
    names = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert "step-00000040" in names and "step-00000013" not in names
