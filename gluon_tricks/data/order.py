"""The order in which an epoch reads the records, and how often it reads each.

An order is an array of places (int64). A place is a record's position in the file, plus the number
of records for each time that the epoch has read it before: so every copy of a record has its own
place, and its own augmentation (:func:`sampling_keys`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import randomness

COPY = 1 << 56  # between the sampling keys of a record's copies; records' keys are far smaller


class Reading(NamedTuple):
    """How an epoch reads the records.

    With ``repeats`` each record of the shuffled order comes that many times in a row. Its copies
    are dealt to the ``parts`` of the global batch in turn, so they are in different ones. An
    epoch keeps its number of images (repeated augmentation, Berman et al. 2019, Hoffer et al.
    2019). ``reads`` is the number of rows for each image of a batch: with 2, an epoch reads all
    records twice, in two orders (mixup of type 1).
    """

    repeats: int = 1
    reads: int = 1
    parts: int = 1

    @classmethod
    def of_config(cls, config: Any, global_batch: int) -> Reading:
        """The Reading that the flags ask for."""
        reads = 2 if config.mixup and config.mixup_type == 1 else 1
        return cls(config.repeated_augmentation, reads, max(1, global_batch // config.batch_size))

    def order(self, records: int, seed: int, epoch: int, global_batch: int) -> np.ndarray:
        """The places of an epoch: int64 (reads x records,), a pure function of (seed, epoch)."""
        passes = [self._one_pass(records, seed, epoch, number) for number in range(self.reads)]
        order = np.concatenate(passes)
        return dealt(order, global_batch * self.reads, self.parts) if self.repeats > 1 else order

    def _one_pass(self, records, seed, epoch, number):
        # a second pass has its own order: that of a negative epoch
        shuffled = randomness.permutation(records, seed, epoch if number == 0 else -number - epoch)
        copies = np.arange(self.repeats) + number * self.repeats
        return (shuffled[:, None] + records * copies).ravel()[:records]


def dealt(order: np.ndarray, batch: int, parts: int) -> np.ndarray:
    """The order with the rows of each whole batch dealt to its equal, contiguous parts in turn."""
    whole = len(order) // batch * batch
    rows = order[:whole].reshape(-1, batch // parts, parts).transpose(0, 2, 1)
    return np.concatenate([rows.ravel(), order[whole:]])


def positions(places: np.ndarray, records: int) -> np.ndarray:
    """The positions in the file of the records at these places."""
    return places % records


def sampling_keys(keys: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The keys that the augmentation of each place is drawn from, int64: the record's own, of
    ``keys`` (those of all records), or another number for its copies.
    """
    return keys[positions(places, len(keys))] + places // len(keys) * COPY
