"""A trained network for segmentation, opened from any source."""

from __future__ import annotations

from typing import Iterator, NamedTuple, Optional, Sequence, Union

import numpy as np

from ...errors import UserError
from ...text import printable
from .. import images as files
from ..opened import Opened
from .windows import Views, segment

Name = Union[int, str]  # the key of a record, or the path of a file
LEAST = 17  # the least height and width that nearly every network takes; ResNet-D takes 5


class Segmented(NamedTuple):
    """A network's prediction for a picture."""

    name: Name
    picture: Optional[np.ndarray] = None  # uint8 (H, W, 3)
    mask: Optional[np.ndarray] = None  # uint8 (H, W), classes
    error: Optional[str] = None  # why both are missing


class Segmenter(Opened):
    """A network that assigns a class to each pixel; ``preprocessing`` is a
    :class:`.WholeImages`.
    """

    task = "segmentation"

    def predict(self, images: np.ndarray, name: Optional[Name] = None) -> np.ndarray:
        """Logits (N, classes, H, W) of normalised images, float32 (N, 3, H, W).

        ``name`` is the image's name in errors. Raises UserError if the logits are not finite or
        have another shape.
        """
        logits = self.compute(images)
        expected = (len(images), self.classes, *images.shape[2:])
        if logits.shape != expected:
            raise UserError(
                f"{printable(self.path)}: gives outputs of shape {logits.shape}, but {expected} is "
                "needed"
            )
        if not np.isfinite([logits.min(), logits.max()]).all():
            of = "" if name is None else f" for {printable(name)}"
            raise UserError(f"{printable(self.path)}: its outputs{of} are not finite")
        return logits

    def segment(
        self, picture: np.ndarray, views: Views = Views(), name: Optional[Name] = None
    ) -> np.ndarray:
        """The class of each pixel, uint8 (H, W), of a picture, uint8 (H, W, 3)."""
        return segment(
            lambda images: self._predict_padded(images, name),
            self.preprocessing.normalise,
            picture,
            views,
            self.classes,
        )

    def _predict_padded(self, images, name):
        """:meth:`predict` for images that may be lower or narrower than LEAST: padded with black
        below and to the right, as in training; the logits of the padding are dropped.
        """
        height, width = images.shape[2:]
        if min(height, width) >= LEAST:
            return self.predict(images, name)
        shape = (*images.shape[:2], max(height, LEAST), max(width, LEAST))
        black = self.preprocessing.normalise(np.zeros((1, 1, 3), np.uint8))
        padded = np.broadcast_to(black, shape).copy()
        padded[:, :, :height, :width] = images
        return self.predict(padded, name)[:, :, :height, :width]

    def segment_files(self, paths: Sequence[str], views: Views = Views()) -> Iterator[Segmented]:
        """Yield the masks of image files.

        A file that is missing or broken has an ``error`` instead of a mask.
        """
        return segmented(self, files.from_files(self.preprocessing, paths), views)


def segmented(model: Segmenter, images: Iterator, views: Views) -> Iterator[Segmented]:
    """Yield the masks of ``images``: (name, anything, picture or why there is none), as the
    functions of :mod:`gluon_tricks.deploy.images` yield them.
    """
    for name, _, picture in images:
        if isinstance(picture, Exception):
            yield Segmented(name, error=str(picture))
        else:
            yield Segmented(name, picture, model.segment(picture, views, name))
