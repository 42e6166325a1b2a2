"""How far a run is: what a checkpoint holds of it next to the parameters."""

import time
from dataclasses import dataclass, field
from typing import Optional

from .sums import Sums


@dataclass
class Progress:
    """The step, the sums of the steps that are not logged yet, and the validations so far."""

    step: int
    interval: Sums  # of this worker, since the last line of the log
    epoch: Sums  # since the epoch's beginning
    best: Optional[dict] = None  # the figures of the best validation, and its step and epoch
    validated: Optional[dict] = None  # the figures of the last one
    awaits_validation: bool = False  # the epoch that has just ended
    # Moved back by the seconds of earlier sessions of the same run.
    started: float = field(default_factory=time.time)

    @property
    def seconds(self):
        """Seconds that the run has taken so far, over all sessions."""
        return time.time() - self.started
