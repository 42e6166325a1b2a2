"""The tasks by name. A new one is its own file and a line here.

A task whose network learns from more than images, or whose figures are not sums over images, has a
method for it: see :func:`forward_of` and :func:`measure_of`.
"""

from typing import Any, Callable, Dict, Mapping, Optional

from ..errors import UserError
from .classification import Classification
from .detection import Detection
from .segmentation import Segmentation

TASKS: Dict[str, Any] = {
    "classification": Classification,
    "segmentation": Segmentation,
    "detection": Detection,
}


def of(flags: Mapping[str, Any]) -> Any:
    """The class of a run's task, from its flags, in which older versions name none.

    Raises UserError for an unknown task.
    """
    name = flags.get("task", "classification")
    if name not in TASKS:
        raise UserError(f"--task {name}: there is no such task; there are {', '.join(TASKS)}")
    return TASKS[name]


def register(name: str) -> Any:
    """A decorator that makes a class from outside this package the task called ``name``."""

    def decorate(task):
        if name in TASKS:
            raise ValueError(f"two tasks are called {name}")
        TASKS[name] = task
        return task

    return decorate


def forward_of(task: Any, net: Any) -> Callable[..., Any]:
    """What a training step computes with ``net``: a function of its images, its targets, its number
    and its records' keys, whose result is for the task's ``losses``.

    It is the task's ``forward(net)`` or, if there is none, ``net`` of the images alone.
    """
    if hasattr(task, "forward"):
        return task.forward(net)
    return lambda images, targets, step, keys: net(images)


def measure_of(task: Any) -> Optional[Callable[..., Dict[str, float]]]:
    """The task's ``measure(net, batches, workers)``, which returns the figures of all workers'
    images and their number; None if the figures follow from the task's sums.
    """
    return getattr(task, "measure", None)
