"""Commands in a process of their own."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run_alone(*words):
    """What ``gluon-tricks`` with these words prints, in a new process; it has to succeed.

    Gluon's DataLoader forks: in a process in which other tests have used MXNet, its workers may
    wait for ever.
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
