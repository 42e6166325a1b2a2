"""What the rows of batches hold: records through a transform, or made-up images.

See :class:`gluon_tricks.data.batches.BatchMaker` for what a source is asked.
"""

import logging
import threading
from typing import Any, Dict, Optional

import numpy as np

from ..errors import UserError
from ..text import printable
from .batches import BatchPlan, Rows
from .decode import Scratch
from .labels import class_of
from .order import positions, sampling_keys
from .records import RecordError, RecordFile
from .synthetic import SyntheticImages
from .transforms.transform import Parameters, Transform

log = logging.getLogger(__name__)


class BadRecords:
    """The records that are broken, and the end of the run when there are more than ``most``."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.keys: Dict[Any, RecordError] = {}
        self._lock = threading.Lock()

    def note(self, error: RecordError) -> None:
        """Remember the record that an error names; UserError when it is one too many."""
        with self._lock:
            if error.key not in self.keys:
                self.keys[error.key] = error
                log.warning(
                    "%s; the next record of the order takes its place (bad record %d)",
                    printable(error),  # it names a file
                    len(self.keys),
                )
            if len(self.keys) > self.most:
                raise UserError(
                    f"{len(self.keys)} bad records, more than --max-bad-records {self.most}; "
                    f"the last: {error}. 'gluon-tricks records verify {error.path}' lists all"
                ) from error


class RecordSource:
    """Rows from a RecordFile; the next record of the order takes the place of one that is broken.

    ``bad`` notes broken records; without it they are errors. With ``on_device`` the images stay
    8-bit, and their matrices come with them; UserError for an operation that then cannot follow.
    """

    def __init__(
        self,
        records: RecordFile,
        transform: Transform,
        seed: int,
        classes: int,
        on_device: bool = False,
        bad: Optional[BadRecords] = None,
    ) -> None:
        if on_device and transform.on_normalised:
            raise UserError(
                f"--device-augment cannot do {transform.on_normalised[0].name}, which follows the "
                "normalisation: leave one of the two out"
            )
        self.bad = bad
        self._records, self._transform = records, transform
        self._seed, self._classes = seed, classes
        size = transform.size
        self.image_shape = (size, size, 3) if on_device else (3, size, size)
        self.image_dtype = np.uint8 if on_device else np.float32
        self.matrix_shape = transform.matrix_shape if on_device else None
        self._thread = threading.local()

    def sample(self, plan: BatchPlan) -> Parameters:
        return self._sample(plan.epoch, plan.positions(0, plan.valid))

    def _sample(self, epoch, places):
        keys = sampling_keys(self._records.keys, np.asarray(places))
        return self._transform.sample(self._seed, epoch, keys)

    def fill(
        self, rows: Rows, plan: BatchPlan, parameters: Parameters, start: int, stop: int
    ) -> None:
        scratch = self._thread.__dict__.setdefault("scratch", Scratch())
        for row, place in enumerate(plan.positions(start, stop), start):
            try:
                self._fill_row(rows, row, place, parameters, row, scratch)
            except RecordError as error:
                self._replace(rows, row, plan, error, scratch)

    def _replace(self, rows, row, plan, error, scratch):
        """Fill a row with the first sound record after its own in the order."""
        for place in plan.positions(row + 1, row + len(plan.order)):
            if self.bad is None:
                raise error
            self.bad.note(error)
            parameters = self._sample(plan.epoch, [place])
            try:
                return self._fill_row(rows, row, place, parameters, 0, scratch)
            except RecordError as next_error:
                error = next_error
        raise error

    def _fill_row(self, rows, row, place, parameters, i, scratch):
        position = positions(place, len(self._records))
        label, payload = self._records.read(position)
        key = rows.keys[row] = self._records.keys[position]
        rows.labels[row] = checked_label(label, self._classes, self._records.path, key)
        try:
            if rows.matrices is not None:
                self._transform.image(payload, parameters, i, rows.images[row], scratch)
                rows.matrices[row] = parameters.matrices[i]
            else:
                self._transform.apply(payload, parameters, i, rows.images[row], scratch)
        except ValueError as error:
            raise RecordError(self._records.path, int(key), f"cannot be decoded: {error}") from None


class SyntheticSource:
    """Rows from SyntheticImages."""

    def __init__(self, images: SyntheticImages) -> None:
        self._images = images
        self.image_shape, self.image_dtype = images.shape, images.dtype
        self.matrix_shape = images.matrix.shape if images.dtype == np.uint8 else None

    def sample(self, plan: BatchPlan) -> None:
        """Nothing about them is random."""

    def fill(self, rows: Rows, plan: BatchPlan, sampled: None, start: int, stop: int) -> None:
        where = positions(plan.positions(start, stop), len(self._images))
        rows.keys[start:stop] = where
        self._images.fill(where, rows.images[start:stop], rows.labels[start:stop])
        if rows.matrices is not None:
            rows.matrices[start:stop] = self._images.matrix


def checked_label(label: Any, classes: int, path: Any, key: int) -> float:
    """The label as a number; UserError if it is none of the classes."""
    try:
        return class_of(label, classes)
    except ValueError as error:
        raise UserError(f"{path}, record {key}: {error}") from None
