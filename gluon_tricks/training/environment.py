"""How and where a run was trained: command, versions, commit, threads and machine."""

import datetime
import os
import platform
import subprocess
import sys

from .. import __version__, determinism


def environment():
    """Command, versions, commit, threads, machine and MXNet's settings, as a dict."""
    import cv2
    import gluoncv
    import mxnet
    import numpy

    return dict(
        command=" ".join(sys.argv),
        started=datetime.datetime.now().isoformat(timespec="seconds"),
        gluon_tricks=__version__,
        commit=commit(),
        python=platform.python_version(),
        mxnet=mxnet.__version__,
        gluoncv=gluoncv.__version__,
        numpy=numpy.__version__,
        opencv=cv2.__version__,
        omp_num_threads=os.environ.get("OMP_NUM_THREADS"),
        omp_num_threads_set_by_us=bool(os.environ.get("GLUON_TRICKS_SET_THREADS")),
        cores=os.cpu_count(),
        machine=platform.platform(),
        host=platform.node(),
        settings=determinism.environment(),
    )


def commit():
    """The commit of the package's checkout, with + if files differ from it; None without one, as
    when the package is installed inside another project's checkout.
    """
    here = os.path.dirname(os.path.abspath(__file__))

    def git(*arguments):
        return subprocess.run(
            ["git", "-C", here] + list(arguments), capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", os.path.abspath(__file__))
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
