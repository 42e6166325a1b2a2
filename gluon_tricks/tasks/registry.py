"""The tasks by name. A new one is a file of its own and a line here.

A task whose network does not learn from images alone, or whose figures are not made of sums over
images, has a method for it: :func:`forward_of`, :func:`measure_of`.
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


def forward_of(task: Any, net: Any) -> Callable[..., Any]:
    """What a step of training computes with ``net``: a function of its images, its targets, its
    number and its records' keys, whose result the task's ``losses`` take.

    It is the task's ``forward(net)``, or of the images alone if it has none.
    """
    if hasattr(task, "forward"):
        return task.forward(net)
    return lambda images, targets, step, keys: net(images)


def measure_of(task: Any) -> Optional[Callable[..., Dict[str, float]]]:
    """The task's ``measure(net, batches, workers)``: the figures of the images in all workers'
    ``batches``, and their number. None if its sums say all.
    """
    return getattr(task, "measure", None)
