"""The sources of a batch's rows: records through a transform, or synthetic images.

A source has ``image_shape``, ``image_dtype``, ``matrix_shape`` (None if the host colours the
images), ``label_shape``, ``label_dtype``, ``fill(rows, task, scratch)`` and ``close()``. Threads
and data processes call the same ``fill``, so neither this module nor its imports may import MXNet.
"""

import logging
from typing import Any, Dict, List, Optional

import numpy as np

from ..errors import UserError
from ..text import printable
from .decode import Scratch
from .labels import class_of
from .order import positions, sampling_keys
from .records import RecordError, RecordFile
from .rows import Broken, FillTask, Rows
from .synthetic import SyntheticImages
from .transforms.transform import Transform

log = logging.getLogger(__name__)


class BadRecords:
    """Notes broken records, and ends the run when there are more than ``most``."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.keys: Dict[Any, RecordError] = {}

    def note(self, error: RecordError) -> None:
        """Remember the record that an error names; UserError when it is one too many."""
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
    """Rows from a RecordFile. With ``on_device`` the images stay 8-bit and come with their
    matrices; UserError for an operation that the device cannot do. A row's label is a class or,
    with ``truth``, what moves with the image: see :class:`.masks.MaskFile` and
    :class:`.box_rows.BoxLabels`.

    It is a plain value: a pickle of it gives another process the same rows.
    """

    def __init__(
        self,
        records: RecordFile,
        transform: Transform,
        seed: int,
        classes: int,
        on_device: bool = False,
        truth: Optional[Any] = None,
    ) -> None:
        if on_device:
            refuse_on_device(transform)
        self._records, self._transform = records, transform
        self._seed, self._classes, self._truth = seed, classes, truth
        size = transform.size
        self.image_shape = (size, size, 3) if on_device else (3, size, size)
        self.image_dtype = np.uint8 if on_device else np.float32
        self.matrix_shape = transform.matrix_shape if on_device else None
        self.label_shape = () if truth is None else truth.label_shape(size)
        self.label_dtype = np.float32 if truth is None else truth.label_dtype

    def fill(self, rows: Rows, task: FillTask, scratch: Scratch) -> List[Broken]:
        """Fill a task's rows; returns those that are not filled, as their records are broken."""
        start, stop = task.start, task.start + len(task.places)
        keys = sampling_keys(self._records.keys, task.places)
        parameters = self._transform.sample(self._seed, task.epoch, keys)
        where = positions(task.places, len(self._records))
        rows.keys[start:stop] = self._records.keys[where]
        if rows.matrices is not None:
            rows.matrices[start:stop] = parameters.matrices
        broken = []
        for i, position in enumerate(where.tolist()):
            try:
                self._fill_row(rows, task.start + i, position, parameters, i, scratch)
            except RecordError as error:
                broken.append(Broken(task.start + i, error))
        return broken

    def close(self) -> None:
        """Close the files."""
        self._records.close()
        if self._truth is not None:
            self._truth.close()

    def _fill_row(self, rows, row, position, parameters, i, scratch):
        label, payload = self._records.read(position)
        key = rows.keys[row]
        if self._truth is None:
            rows.labels[row] = checked_label(label, self._classes, self._records.path, key)
        to_image = self._transform.apply if rows.matrices is None else self._transform.image
        try:
            to_image(payload, parameters, i, rows.images[row], scratch)
        except ValueError as error:
            raise RecordError(self._records.path, int(key), f"cannot be decoded: {error}") from None
        if self._truth is not None:
            moved = self._transform, parameters, i
            rows.labels[row] = self._truth.label(int(key), label, payload, *moved)


class SyntheticSource:
    """Rows from SyntheticImages."""

    def __init__(self, images: SyntheticImages) -> None:
        self._images = images
        self.image_shape, self.image_dtype = images.shape, images.dtype
        self.matrix_shape = images.matrix.shape if images.dtype == np.uint8 else None
        self.label_shape, self.label_dtype = (), np.float32

    def fill(self, rows: Rows, task: FillTask, scratch: Scratch) -> List[Broken]:
        """Fill a task's rows."""
        start, stop = task.start, task.start + len(task.places)
        rows.keys[start:stop] = where = positions(task.places, len(self._images))
        self._images.fill(where, rows.images[start:stop], rows.labels[start:stop])
        if rows.matrices is not None:
            rows.matrices[start:stop] = self._images.matrix
        return []

    def close(self) -> None:
        """There is no file."""


def refuse_on_device(transform: Transform) -> None:
    """UserError that names an operation that the device cannot do."""
    if transform.on_normalised:
        raise UserError(
            f"--device-augment cannot do {transform.on_normalised[0].name}, which follows the "
            "normalisation: leave one of the two out"
        )


def checked_label(label: Any, classes: int, path: Any, key: int) -> float:
    """The label as a number; UserError if it is not one of the classes."""
    try:
        return class_of(label, classes)
    except ValueError as error:
        raise UserError(f"{path}, record {key}: {error}") from None
