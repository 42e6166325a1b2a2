"""How far a run is: what a checkpoint holds next to the parameters."""

import time
from dataclasses import dataclass, field
from typing import Optional

from .sums import Sums


@dataclass
class Progress:
    """The step, the sums of the steps that are not logged yet, and the validations so far."""

    step: int
    interval: Sums  # this worker's, since the last line of the log
    epoch: Sums  # this worker's, since the epoch's beginning
    best: Optional[dict] = None  # the figures of the best validation, and its step and epoch
    validated: Optional[dict] = None  # the figures of the last validation
    awaits_validation: bool = False  # whether the epoch that has just ended does
    # Moved back by the seconds that earlier sessions of the run took.
    started: float = field(default_factory=time.time)

    @property
    def seconds(self):
        """Seconds that the run has taken so far, in all its sessions."""
        return time.time() - self.started
