"""A trained classifier, opened from any source; see :mod:`gluon_tricks.deploy.opening`."""

from __future__ import annotations

from typing import Iterator, Sequence, Union

import numpy as np

from ..errors import UserError
from . import images as files
from .opened import Opened
from .prediction import Prediction, predictions


class Classifier(Opened):
    """A network that assigns one class to an image; ``preprocessing`` is a
    :class:`.Preprocessing`.
    """

    task = "classification"

    def predict(
        self, images: np.ndarray, names: Union[Sequence[Union[int, str]], np.ndarray, None] = None
    ) -> np.ndarray:
        """Logits (N, classes) of normalised images, float32 (N, 3, input_size, input_size).

        ``names`` are the names of the images in errors. Raises UserError for other images, and if
        the logits are not finite or have another shape.
        """
        logits = self.compute(images)
        if logits.shape != (len(images), self.classes):
            raise UserError(
                f"{self.path}: gives outputs of shape {logits.shape} for {len(images)} images and "
                f"{self.classes} classes"
            )
        broken = np.flatnonzero(~np.isfinite(logits).all(axis=1))
        if broken.size:
            first = f"image {broken[0]}" if names is None else f"record {names[broken[0]]}"
            raise UserError(f"{self.path}: its outputs for {first} are not finite")
        return logits

    def classify(self, paths: Sequence[str], top: int = 5) -> Iterator[Prediction]:
        """Yield the likeliest ``top`` classes of each image file.

        A file that is missing or broken has an ``error`` instead of classes.
        """
        return predictions(self, files.from_files(self.preprocessing, paths), top)
