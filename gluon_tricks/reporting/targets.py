"""The targets of each task on a sheet of images: a class in words, a mask as a picture, boxes in
the image.
"""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from ..config import Config
from ..data.box_records import Boxes, unpack_boxes
from ..data.box_rows import BoxLabels
from ..data.class_names import names_next_to
from ..data.mask_files import IGNORED
from ..data.masks import MaskFile
from ..data.palette import colored, palette
from ..data.records import RecordFile
from ..data.transforms.transform import Parameters, Transform
from ..text import printable

Shown = List[Tuple[str, np.ndarray]]  # titles and pictures


class Label(NamedTuple):
    """A class, which is the same after every operation."""

    label: float

    @property
    def words(self) -> str:
        """The text under the original."""
        return f", label {self.label:g}"

    def shown(self, transform: Optional[Transform], parameters: Optional[Parameters]) -> Shown:
        """The pictures to the right of the image that a transform has made; None: the original."""
        return []

    def drawn(self, image: np.ndarray, *made: Any) -> np.ndarray:
        """The image, with nothing drawn into it."""
        return image


class Mask(NamedTuple):
    """A class for each pixel, uint8 (H, W)."""

    mask: np.ndarray

    words = ""

    def shown(self, transform: Optional[Transform], parameters: Optional[Parameters]) -> Shown:
        """The mask, transformed like the image."""
        moved = transform.mask(self.mask, parameters) if transform else self.mask
        counted = (moved != IGNORED).mean()
        classes = len(set(np.unique(moved)) - {IGNORED})
        title = f"mask: {classes} class{'es' * (classes != 1)}\n{100 * counted:.0f} % labelled"
        return [(title, colored(moved))]

    def drawn(self, image: np.ndarray, *made: Any) -> np.ndarray:
        """The image itself."""
        return image


class Framed(NamedTuple):
    """The boxes of an image of this height and width."""

    boxes: Boxes
    height: int
    width: int

    @property
    def words(self) -> str:
        """The text under the original."""
        count = len(self.boxes)
        return f", {count} box{'es' * (count != 1)}"

    def shown(self, transform: Optional[Transform], parameters: Optional[Parameters]) -> Shown:
        """Nothing: the boxes are drawn into the image."""
        return []

    def drawn(
        self, image: np.ndarray, transform: Optional[Transform], parameters: Optional[Parameters]
    ) -> np.ndarray:
        """float (H, W, 3) from 0 to 1: the image, uint8 or from 0 to 1, with frames in the colours
        of the classes, transformed like the image.
        """
        colors = image / 255 if image.dtype == np.uint8 else image.copy()
        corners = self.boxes.corners
        if transform:
            corners = transform.boxes(corners, self.height, self.width, parameters)
        thick = max(1, min(image.shape[:2]) // 100)
        for sides, label in zip(corners.round().astype(int), self.boxes.classes):
            left, top, right, bottom = sides
            frame = np.zeros(image.shape[:2], bool)
            frame[top : bottom + 1, left : right + 1] = True
            frame[top + thick : bottom + 1 - thick, left + thick : right + 1 - thick] = False
            colors[frame] = _color_of(label)
        return colors


class Labels:
    """The classes in the records of a file."""

    def __init__(self, config: Config, records: RecordFile):
        pass

    def read(self, key: int, label: Any, size: Tuple[int, int]) -> Label:
        """The label of a record."""
        return Label(float(np.ravel(label)[0]))

    def legend(self) -> Shown:
        """Nothing: labels have no colours."""
        return []

    def close(self) -> None:
        """There is no file of its own."""


class Masks:
    """The masks next to the records of a file."""

    def __init__(self, config: Config, records: RecordFile):
        self._masks, self._seen = MaskFile(records, config.classes), {IGNORED}
        names = names_next_to(records.path) or []
        self._names = names if len(names) == config.classes else []

    def read(self, key: int, label: Any, size: Tuple[int, int]) -> Mask:
        """The mask of an image of this (height, width)."""
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


class Frames:
    """The boxes in the records of a file."""

    def __init__(self, config: Config, records: RecordFile):
        self._labels, self._seen = BoxLabels(records.path, config.classes, config.max_boxes), set()
        names = names_next_to(records.path) or []
        self._names = names if len(names) == config.classes else []

    def read(self, key: int, label: Any, size: Tuple[int, int]) -> Framed:
        """The boxes of an image of this (height, width); UserError names a record without boxes."""
        self._labels.check(key, label)
        boxes = unpack_boxes(label, *size)
        self._seen.update(boxes.classes.tolist())
        return Framed(boxes, *size)

    def legend(self) -> Shown:
        """The names and colours, (3,) from 0 to 1, of the classes of all boxes so far."""
        return [(self._name(number), _color_of(number)) for number in sorted(self._seen)]

    def _name(self, number):
        return printable(self._names[number]) if self._names else str(number)

    def close(self) -> None:
        """There is no file of its own."""


def _color_of(number):
    return palette()[1 + number % 255] / 255  # the first one is black


OF_TASK: Dict[str, Any] = {"segmentation": Masks, "detection": Frames}


def targets_of(config: Config, records: RecordFile) -> Any:
    """The targets of the run's task: its class in :data:`OF_TASK`, or else :class:`Labels`."""
    return OF_TASK.get(config.task, Labels)(config, records)


def classes_next_to(record: str) -> int:
    """The number of classes of a converted data set, from the names next to its images."""
    return len(names_next_to(record) or ()) or Config.classes
