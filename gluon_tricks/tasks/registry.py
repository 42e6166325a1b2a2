"""The tasks by name. A new one is a file of its own and a line here."""

from .classification import Classification

TASKS = {"classification": Classification}


def of(flags):
    """The class of the task of a run, from its flags (a dict); runs of older versions name none."""
    return TASKS[flags.get("task", "classification")]
