"""A trained network for detection, whatever it was opened from."""

from __future__ import annotations

from typing import Any, Iterator, NamedTuple, Optional, Union

import numpy as np

from ...errors import UserError
from ...tasks.matching import Found
from ...text import printable
from ..opened import Opened

Name = Union[int, str]  # the key of a record, or the path of a file


class Detected(NamedTuple):
    """What a network finds in a picture."""

    name: Name
    picture: Optional[np.ndarray] = None  # uint8 (H, W, 3)
    found: Optional[Found] = None  # in its pixels, by falling score
    error: Optional[str] = None  # why there is none of both


class Detector(Opened):
    """A network that finds objects. Its ``preprocessing`` is a :class:`.ResizedImages`."""

    task = "detection"

    @staticmethod
    def computed(net: Any) -> Any:
        """A network whose only output is (n, most, 6): class, score, left, top, right, bottom."""
        from ...models.faster_rcnn import Rows

        return Rows(net)

    def choose(self, score: Optional[float] = None, overlap: Optional[float] = None) -> None:
        """Let detections have at least this score, and those of a class at most this IoU; None: as
        in training. UserError for numbers outside of [0, 1]. To be called before the first image.
        """
        for name, value in (("--score", score), ("--overlap", overlap)):
            if value is not None and not 0 <= value <= 1:
                raise UserError(f"{name} {value:g}: outside of [0, 1]")
        assert self.trained, "there are no exports of detectors"
        settings = self.trained.net.settings
        self.trained.net.settings = settings._replace(
            score=settings.score if score is None else score,
            overlap=settings.overlap if overlap is None else overlap,
        )

    def detect(self, picture: np.ndarray, name: Optional[Name] = None) -> Found:
        """What is in a picture, uint8 (H, W, 3), in its pixels.

        ``name`` is what an error calls it. Raises UserError if the outputs are not finite.
        """
        image = self.preprocessing.normalise(picture)
        rows = self.compute(image[None])[0].astype(np.float64)
        if not np.isfinite(rows).all():
            of = "" if name is None else f" for {printable(name)}"
            raise UserError(f"{printable(self.path)}: its outputs{of} are not finite")
        rows = rows[rows[:, 0] >= 0]
        scale = np.divide(picture.shape[1::-1], image.shape[:0:-1])
        return Found(rows[:, 2:] * np.tile(scale, 2), rows[:, 0].astype(np.int64), rows[:, 1])


def detected(model: Detector, images: Iterator) -> Iterator[Detected]:
    """What is in ``images``: (name, anything, picture or why there is none), as the functions of
    :mod:`gluon_tricks.deploy.images` give them.
    """
    for name, _, picture in images:
        if isinstance(picture, Exception):
            yield Detected(name, error=str(picture))
        else:
            yield Detected(name, picture, model.detect(picture, name))
