"""What a sheet of images shows of the targets of a task: a class in words, a mask as a picture."""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..config import Config
from ..data.class_names import LABELS, read_labels
from ..data.mask_files import IGNORED
from ..data.masks import MaskFile
from ..data.palette import colored, palette
from ..data.records import RecordFile
from ..data.transforms.transform import Parameters, Transform

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


class Targets(NamedTuple):
    """Those of a file of images."""

    read: Callable[[int, float, Tuple[int, int]], Any]  # of a key, a label and a size
    # what the colours mean: (name, R, G, B in 0 to 1), if there are any
    legend: Sequence[Tuple[str, np.ndarray]] = ()


def of_labels(config: Config, records: RecordFile) -> Targets:
    """The classes in the records."""
    return Targets(lambda key, label, size: Label(label))


def of_masks(config: Config, records: RecordFile) -> Targets:
    """The masks next to the records."""
    masks = MaskFile(records, config.classes)
    names = _names(config, records) or [str(number) for number in range(config.classes)]
    legend = [*zip(names, palette() / 255), ("none", palette()[IGNORED] / 255)]
    return Targets(lambda key, label, size: Mask(masks.read(key, size)), legend)


OF_TASK: Dict[str, Callable[[Config, RecordFile], Targets]] = {"segmentation": of_masks}


def targets_of(config: Config, records: RecordFile) -> Targets:
    """Those of the run's task; what has no file of its own has a label."""
    return OF_TASK.get(config.task, of_labels)(config, records)


def _names(config, records):
    """Those of the classes, if they are next to the images and as many."""
    names = _names_next_to(records.path)
    return names if len(names) == config.classes else None


def classes_next_to(record: str) -> int:
    """How many classes a converted data set has, by the names next to its images."""
    return len(_names_next_to(record)) or Config.classes


def _names_next_to(record):
    path = os.path.join(os.path.dirname(record), LABELS)
    return read_labels(path) if os.path.isfile(path) else []
