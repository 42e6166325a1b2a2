"""A trained classifier, whatever it was opened from; see :mod:`gluon_tricks.deploy.opening`."""

from __future__ import annotations

import dataclasses
from typing import Any, Iterator, List, NamedTuple, Optional, Sequence, Union

import numpy as np

from ..errors import UserError
from ..text import printable
from ..training.run_folder import RunFolder
from . import images as files
from .prediction import Prediction, predictions
from .predictors import Predictor, block_predictor
from .preprocessing import Preprocessing


class Trained(NamedTuple):
    """What a classifier whose network is here, and no graph, was opened from."""

    net: Any  # the Gluon network, float32
    parameters: Optional[str] = None  # the path of its parameter file; None: published ones
    run: Optional[RunFolder] = None
    step: Optional[int] = None  # of the checkpoint


@dataclasses.dataclass
class Classifier:
    """A network, and what is known of its images and its classes."""

    path: str
    kind: str  # "gluon", or the format of an export: "symbol", "onnx", ...
    model: Optional[str]  # the network's name, if it is known
    classes: int
    preprocessing: Preprocessing
    compute: Predictor
    labels: Optional[List[str]] = None  # the names of the classes
    measured: Optional[dict] = None  # top1, top5, images, as training or export measured them
    trained: Optional[Trained] = None  # None: a graph

    def predict(
        self, images: np.ndarray, names: Union[Sequence[Union[int, str]], np.ndarray, None] = None
    ) -> np.ndarray:
        """Logits (N, classes) of normalised images, float32 (N, 3, input_size, input_size).

        ``names`` are what an error calls the images. Raises UserError for other images, and if the
        logits are not finite or not of that shape.
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
        """The likeliest ``top`` classes of image files, one after another.

        A file that is missing or broken has an ``error`` instead of classes.
        """
        return predictions(self, files.from_files(self.preprocessing, paths), top)

    def label(self, number: int) -> str:
        """The name of a class, or its number."""
        return self.labels[number] if self.labels else str(number)

    def compute_on(self, device: Any) -> None:
        """Compute on a context of MXNet from now on; UserError for a graph.

        The parameters stay on the CPU as well, from which they are exported.
        """
        import mxnet as mx

        if self.trained is None:
            raise UserError(
                f"--gpu: {printable(self.path)} is of kind {self.kind}, which is run on the CPU; "
                "leave the flag out"
            )
        self.trained.net.collect_params().reset_ctx([mx.cpu(), device])
        self.compute = block_predictor(self.trained.net, self.path, device=device)
