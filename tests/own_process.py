"""Runs commands in new processes."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run_alone(*words):
    """The output of ``gluon-tricks`` with these words in a new process, which has to succeed.

    Gluon's DataLoader forks, and its workers may hang in a process in which other tests have used
    MXNet.
    """
    done = subprocess.run(
        [sys.executable, "-m", "gluon_tricks", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
