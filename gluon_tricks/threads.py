"""The number of threads that MXNet and onnxruntime compute on: ``OMP_NUM_THREADS``, which both read
when they are imported.
"""

import os

from .errors import UserError

NAME = "OMP_NUM_THREADS"
CHOSEN_HERE = "GLUON_TRICKS_SET_THREADS"  # so that the run's log can say who chose

# The workers on a machine: from Horovod and gluon-tricks launch, from Open MPI, from MPICH.
LOCAL_SIZES = ("HOROVOD_LOCAL_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS")


def set_threads():
    """Let MXNet compute on every core unless the user has set a number; by default it computes on
    one.

    Call it before MXNet is imported. Workers that a launcher started on the same machine share its
    cores. Of a list, which OpenMP allows for nested regions, only the first number is kept, since
    MXNet and onnxruntime read one number.
    """
    if os.environ.get(NAME):
        os.environ[NAME] = str(number_in(NAME, os.environ[NAME].split(",")[0]))
        return
    os.environ[NAME] = str(max(1, cores() // local_workers()))
    os.environ[CHOSEN_HERE] = "1"


def local_workers():
    """The number of workers on this machine, according to their launcher; 1 without one."""
    name = next(filter(os.environ.get, LOCAL_SIZES), None)
    return number_in(name, os.environ[name]) if name else 1


def cores():
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_words():
    """The setting for the log, and whether it was chosen here."""
    number = os.environ.get(NAME, "1")
    if not os.environ.get(CHOSEN_HERE):
        return f"{NAME}={number}"
    share = "all cores" if local_workers() == 1 else "a worker's share of the cores"
    return f"{NAME}={number} ({share}, as it was not set)"


def number():
    """The number of threads that the environment asks for, or None."""
    first = os.environ.get(NAME, "").split(",")[0]
    return number_in(NAME, first) if first else None


def number_in(name, text):
    """The number in an environment variable; UserError if it is not a positive number."""
    if not text.strip().isdecimal() or int(text) < 1:
        raise UserError(
            f"{name}={os.environ.get(name)!s}: has to be a positive whole number; set it, or unset "
            "it"
        )
    return int(text)
