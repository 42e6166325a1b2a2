"""Named sums over images, which add up over steps, devices and workers to a task's figures."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

import numpy as np


class Sums:
    """The sums of a task (its ``sums``, float64) over ``images`` images.

    Counts are exact up to 2^53. ``values`` are in the order of ``names``; by default they are 0.
    """

    def __init__(
        self, names: Sequence[str], values: Optional[Sequence[float]] = None, images: int = 0
    ):
        self.names, self.images = tuple(names), images
        self.values = np.zeros(len(names)) if values is None else np.array(values, "float64")

    def add(self, values: Sequence[float], images: int) -> None:
        """Add the sums over ``images`` more images."""
        self.values += values
        self.images += images

    def total(self, workers: Any) -> Sums:
        """The sums of all workers together, on every worker."""
        *values, images = workers.sum(np.append(self.values, self.images))
        return Sums(self.names, values, int(images))

    def to_json(self) -> Dict[str, float]:
        """A dict of the sums by name, with ``images``."""
        return dict(zip(self.names, self.values.tolist()), images=self.images)

    @classmethod
    def of_worker(cls, names: Sequence[str], all_sums: List[dict], layout: Any) -> Sums:
        """A worker's share of the sums in a checkpoint, one :meth:`to_json` for each worker of
        then.

        If there are more or fewer workers now, rank 0 takes them all.
        """
        own = all_sums if layout.rank == 0 else []
        if len(all_sums) == layout.workers:
            own = [all_sums[layout.rank]]
        found = cls(names)
        for sums in own:
            found.add([sums[name] for name in names], sums["images"])
        return found
