"""The tasks by name. A new one is a file of its own and a line here."""

from typing import Any, Dict, Mapping

from ..errors import UserError
from .classification import Classification
from .segmentation import Segmentation

TASKS: Dict[str, Any] = {"classification": Classification, "segmentation": Segmentation}


def of(flags: Mapping[str, Any]) -> Any:
    """The class of the task of a run, from its flags; runs of older versions name none.

    Raises UserError for a task that is not known here.
    """
    name = flags.get("task", "classification")
    if name not in TASKS:
        raise UserError(f"--task {name}: there is no such task; there are {', '.join(TASKS)}")
    return TASKS[name]


def register(name: str) -> Any:
    """A decorator that lets a class be the task called ``name``, from outside of this package."""

    def decorate(task):
        if name in TASKS:
            raise ValueError(f"two tasks are called {name}")
        TASKS[name] = task
        return task

    return decorate
