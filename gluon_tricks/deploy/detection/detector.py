"""A trained network for detection, opened from any source."""

from __future__ import annotations

import dataclasses
from typing import Any, Iterator, Mapping, NamedTuple, Optional, Union

import numpy as np

from ...errors import UserError
from ...tasks.matching import Found
from ...text import printable
from ..opened import Opened

Name = Union[int, str]  # the key of a record, or the path of a file
COLUMNS = 6  # class, score, left, top, right, bottom


class Detected(NamedTuple):
    """The objects that a network finds in a picture."""

    name: Name
    picture: Optional[np.ndarray] = None  # uint8 (H, W, 3)
    found: Optional[Found] = None  # in pixels of the picture, in descending order of score
    error: Optional[str] = None  # why both are missing


class Thresholds(NamedTuple):
    """The thresholds of detections, both in [0, 1]."""

    score: float  # the lowest score of a detection
    overlap: float  # the highest IoU of two detections of a class


@dataclasses.dataclass
class Detector(Opened):
    """A network that finds objects. Its ``preprocessing`` is a :class:`.ResizedImages`."""

    task = "detection"

    exported: Optional[Thresholds] = None  # the thresholds in an exported graph

    @property
    def thresholds(self) -> Thresholds:
        """The network's thresholds."""
        if self.exported:
            return self.exported
        assert self.trained, "a graph has its thresholds"
        settings = self.trained.net.settings
        return Thresholds(settings.score, settings.overlap)

    def description(self) -> dict:
        """The thresholds, for a manifest."""
        return self.thresholds._asdict()

    @classmethod
    def described(cls, held: Mapping[str, Any], source: str) -> dict:
        """The thresholds of a graph, read from ``source``; UserError if they are not valid."""
        found = Thresholds(held["score"], held["overlap"])
        for name, value in found._asdict().items():
            if not 0 <= value <= 1:
                raise UserError(f"{printable(source)}: damaged, {name} is {value}; export again")
        return dict(exported=found)

    @staticmethod
    def computed(net: Any) -> Any:
        """A network whose only output is (n, most, 6): class, score, left, top, right, bottom."""
        from ...models.faster_rcnn import Rows

        return Rows(net)

    def choose(self, score: Optional[float] = None, overlap: Optional[float] = None) -> None:
        """Set the least score of a detection, and the highest IoU of two of a class; None keeps
        training's or the export's. Call it before the first image.

        UserError for numbers outside [0, 1], and for thresholds that an exported graph cannot have:
        its detections can be filtered further, but it cannot find more.
        """
        for name, value in (("--score", score), ("--overlap", overlap)):
            if value is not None and not 0 <= value <= 1:
                raise UserError(f"{name} {value:g}: outside [0, 1]")
        known = self.thresholds
        chosen = Thresholds(
            known.score if score is None else score, known.overlap if overlap is None else overlap
        )
        if self.trained:
            self.trained.net.settings = self.trained.net.settings._replace(**chosen._asdict())
            if chosen != known:
                self.measured = None  # it was with other thresholds
            return
        if chosen.overlap != known.overlap or chosen.score < known.score:
            wrong = "overlap" if chosen.overlap != known.overlap else "score"
            raise UserError(
                f"--{wrong} {getattr(chosen, wrong):g}: {printable(self.path)} was exported with "
                f"{getattr(known, wrong):g}; export again with this --{wrong}"
            )
        self.exported = chosen

    def detect(self, picture: np.ndarray, name: Optional[Name] = None) -> Found:
        """The objects in a picture, uint8 (H, W, 3), in its pixels.

        ``name`` is the picture's name in errors. Raises UserError if the outputs are not
        detections.
        """
        image = self.preprocessing.normalise(picture)
        rows = self._checked(self.compute(image[None]), name)
        rows = rows[(rows[:, 0] >= 0) & (rows[:, 1] > np.float32(self.thresholds.score))]
        scale = np.divide(picture.shape[1::-1], image.shape[:0:-1])
        corners = rows[:, 2:].astype(np.float64) * np.tile(scale, 2)
        return Found(corners, rows[:, 0].astype(np.int64), rows[:, 1].astype(np.float64))

    def _checked(self, outputs, name):
        """The rows, float32 (k, 6), of one image."""
        said, of = printable(self.path), "" if name is None else f" for {printable(name)}"
        if outputs.ndim != 3 or outputs.shape[::2] != (1, COLUMNS):
            shape = "x".join(map(str, outputs.shape))
            raise UserError(f"{said}: gives outputs of shape {shape}, which are not detections")
        if not np.isfinite(outputs).all():
            raise UserError(f"{said}: its outputs{of} are not finite")
        if (outputs[..., 0] >= self.classes).any():
            raise UserError(f"{said}: finds a class{of} that is not one of its {self.classes}")
        return outputs[0]


def detected(model: Detector, images: Iterator) -> Iterator[Detected]:
    """Yield the objects in ``images``: (name, anything, picture or why there is none), as the
    functions of :mod:`gluon_tricks.deploy.images` yield them.
    """
    for name, _, picture in images:
        if isinstance(picture, Exception):
            yield Detected(name, error=str(picture))
        else:
            yield Detected(name, picture, model.detect(picture, name))
