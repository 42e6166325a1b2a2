"""A figure that a task reports, as the log, the tables and the plots show it."""

import math
from typing import Any, List, NamedTuple, Optional, Sequence


class Figure(NamedTuple):
    """How to read one value of a task's summary."""

    name: str  # its key in log.jsonl and result.json
    title: str
    unit: str = ""  # "%", or nothing
    digits: int = 2  # after the point
    higher_is_better: bool = True

    def text(self, value: float) -> str:
        """``top-1 77.16 %``."""
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.title} {value:.{self.digits}f}{unit}"


def best_figure(task: Any) -> Figure:
    """The figure that decides which of a task's checkpoints is the best."""
    return next(figure for figure in task.figures if figure.name == task.best)


def is_better(task: Any, values: dict, best: Optional[dict]) -> bool:
    """Whether a validation with these values is better than ``best``, the best one so far.

    Any figure is better than NaN.
    """
    if best is None or math.isnan(best[task.best]):
        return True
    new, old = values[task.best], best[task.best]
    return new > old if best_figure(task).higher_is_better else new < old


def loss_last(task: Any) -> List[Figure]:
    """A task's figures in the order for people: the loss, if it is one of them, comes last."""
    return sorted(task.figures, key=lambda figure: figure.name == "loss")


def in_training(task: Any) -> Sequence[Figure]:
    """The figures in a line of the log on training: the loss and the best figure, unless the task
    names others.
    """
    return getattr(task, "training_figures", None) or (task.figures[0], best_figure(task))
