"""Runs of several workers: real processes on loopback, in process groups that are killed when the
test ends.
"""

import os
import signal
import subprocess
import sys

import pytest
from processes import DRIVER, FLAGS, LAUNCHER, result


@pytest.fixture(scope="session")
def driver(tmp_path_factory):
    """The path of the command with the tiny network."""
    path = tmp_path_factory.mktemp("driver") / "driver.py"
    path.write_text(DRIVER)
    return str(path)


@pytest.fixture
def start(digits, driver, tmp_path):
    """``start(launch, name, *flags)`` starts a run of two workers in the folder ``name`` and gives
    its Popen.

    ``options`` are horovodrun's or those of ``gluon-tricks launch``, instead of those for two
    workers; other keywords are environment variables. ``prefix`` are words before the command.
    """
    started = []

    def start(launch, name, *flags, options=None, prefix=(), **environment):
        notes = tmp_path / (name + "-notes")
        notes.mkdir(exist_ok=True)
        words = [
            "train",
            "--data-dir",
            str(digits),
            "--save-dir",
            str(tmp_path / name),
            "--resume",
            "auto",
        ]
        words += FLAGS + list(flags)
        command = [sys.executable, driver] + words
        bin = os.path.dirname(sys.executable)
        if launch == "horovod":
            options = options or ["-np", "2"]
            command = (
                [os.path.join(bin, "horovodrun")] + options + command + ["--kvstore", "horovod"]
            )
        elif launch.startswith("dist"):
            options = options or ["-n", "2", "-s", "1"]
            command = (
                [sys.executable, "-c", LAUNCHER, driver, "launch", "--kvstore", launch]
                + options
                + ["--"]
                + words
            )
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "NOTES": str(notes),
            "PATH": bin + os.pathsep + os.environ["PATH"],
            **environment,
        }
        process = subprocess.Popen(
            list(prefix) + command,
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

    def finish(launch, name, *flags, **keywords):
        process = start(launch, name, *flags, **keywords)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
        return result(tmp_path, name)

    return finish
