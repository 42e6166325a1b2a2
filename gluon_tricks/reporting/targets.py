"""What a sheet of images shows of the targets of a task: a class in words, a mask as a picture."""

from __future__ import annotations

import os
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from ..config import Config
from ..data.class_names import LABELS, read_labels
from ..data.mask_files import IGNORED
from ..data.masks import MaskFile
from ..data.palette import colored, palette
from ..data.records import RecordFile
from ..data.transforms.transform import Parameters, Transform
from ..text import printable

Shown = List[Tuple[str, np.ndarray]]  # titles and pictures


class Label(NamedTuple):
    """A class, which no operation changes."""

    label: float

    @property
    def words(self) -> str:
        """What stands under the original."""
        return f", label {self.label:g}"

    def shown(self, transform: Optional[Transform], parameters: Optional[Parameters]) -> Shown:
        """The pictures to the right of the image that a transform has made; None: the original."""
        return []


class Mask(NamedTuple):
    """A class for each pixel, uint8 (H, W)."""

    mask: np.ndarray

    words = ""

    def shown(self, transform: Optional[Transform], parameters: Optional[Parameters]) -> Shown:
        """The mask, moved as the image is."""
        moved = transform.mask(self.mask, parameters) if transform else self.mask
        counted = (moved != IGNORED).mean()
        classes = len(set(np.unique(moved)) - {IGNORED})
        title = f"mask: {classes} class{'es' * (classes != 1)}\n{100 * counted:.0f} % labelled"
        return [(title, colored(moved))]


class Labels:
    """The classes in the records of a file."""

    def __init__(self, config: Config, records: RecordFile):
        pass

    def read(self, key: int, label: float, size: Tuple[int, int]) -> Label:
        """That of a record."""
        return Label(label)

    def legend(self) -> Shown:
        """What no picture has needs no legend."""
        return []

    def close(self) -> None:
        """There is no file of its own."""


class Masks:
    """The masks next to the records of a file."""

    def __init__(self, config: Config, records: RecordFile):
        self._masks, self._seen = MaskFile(records, config.classes), {IGNORED}
        names = _names_next_to(records.path)
        self._names = names if len(names) == config.classes else []

    def read(self, key: int, label: float, size: Tuple[int, int]) -> Mask:
        """That of an image of this (height, width)."""
        mask = self._masks.read(key, size)
        self._seen.update(np.unique(mask).tolist())
        return Mask(mask)

    def legend(self) -> Shown:
        """The names and colours, (3,) from 0 to 1, of the classes of all masks so far."""
        return [(self._name(number), palette()[number] / 255) for number in sorted(self._seen)]

    def _name(self, number):
        if number == IGNORED:
            return "none"
        return printable(self._names[number]) if self._names else str(number)

    def close(self) -> None:
        """Close the file of masks."""
        self._masks.close()


OF_TASK: Dict[str, Any] = {"segmentation": Masks}


def targets_of(config: Config, records: RecordFile) -> Any:
    """Those of the run's task; one that is not in :data:`OF_TASK` has :class:`Labels`."""
    return OF_TASK.get(config.task, Labels)(config, records)


def classes_next_to(record: str) -> int:
    """How many classes a converted data set has, by the names next to its images."""
    return len(_names_next_to(record)) or Config.classes


def _names_next_to(record):
    path = os.path.join(os.path.dirname(record), LABELS)
    return read_labels(path) if os.path.isfile(path) else []
