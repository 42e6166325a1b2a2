"""The rows of ``gluon-tricks models``: networks chosen by patterns, with parameters and
multiply-adds.
"""

import fnmatch
from typing import Any, Dict, List, Optional, Sequence

from ..errors import UserError
from .complexity import count
from .registry import closest, get_model, input_size, names, names_for_tasks


def select(patterns: Sequence[str] = (), everything: bool = False) -> List[str]:
    """The names that match any of the patterns, in the order of :func:`.registry.names`, followed
    by those for one task.

    Without patterns the classifiers of this package or, with ``everything``, also those of GluonCV.
    """
    if not patterns:
        return names(sources=everything)
    known, chosen = [*names(), *names_for_tasks()], set()
    for pattern in patterns:
        matches = fnmatch.filter(known, pattern.lower())
        if not matches:
            raise UserError(f"no network is called {pattern}{closest(pattern)}")
        chosen.update(matches)
    return [name for name in known if name in chosen]


def measure(name: str, classes: int = 1000, size: Optional[int] = None) -> Dict[str, Any]:
    """The row of one network: name, input_size, and parameters and multiply_adds, or error."""
    size = size or input_size(name)
    row = {"name": name, "input_size": size}
    try:
        complexity = count(get_model(name, classes=classes), size)
    except UserError as error:
        return {**row, "error": str(error)}
    return {**row, "parameters": complexity.parameters, "multiply_adds": complexity.multiply_adds}
