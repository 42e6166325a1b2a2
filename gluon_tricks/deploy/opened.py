"""A trained network of any task, opened from any source."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, List, Mapping, NamedTuple, Optional

from ..errors import UserError
from ..text import printable
from ..training.run_folder import RunFolder
from .predictors import Predictor, block_predictor


class Trained(NamedTuple):
    """The source of a model that is a Gluon network and not a graph."""

    net: Any  # the Gluon network, float32
    parameters: Optional[str] = None  # the path of its parameter file; None: published ones
    run: Optional[RunFolder] = None
    step: Optional[int] = None  # the checkpoint's


@dataclasses.dataclass
class Opened:
    """A network with its preprocessing and its classes.

    Each task has a subclass; :data:`gluon_tricks.deploy.tasks.TASKS` has them all.
    """

    task: ClassVar[str]

    path: str
    kind: str  # "gluon", or the format of an export: "symbol", "onnx", ...
    model: Optional[str]  # the network's name, if known
    classes: int
    preprocessing: Any
    compute: Predictor
    labels: Optional[List[str]] = None  # the names of the classes
    measured: Optional[dict] = None  # the figures, and the number of their images
    trained: Optional[Trained] = None  # None: a graph

    def description(self) -> dict:
        """The network's own entries in a manifest, besides classes and preprocessing."""
        return {}

    @classmethod
    def described(cls, held: Mapping[str, Any], source: str) -> dict:
        """The fields of the class from the entries of :meth:`description`, read from ``source``;
        UserError if they are not valid.
        """
        return {}

    @staticmethod
    def computed(net: Any) -> Any:
        """The network to compute for a Gluon network: itself, or a wrapper around it."""
        return net

    def label(self, number: int) -> str:
        """The name of a class, or its number."""
        return self.labels[number] if self.labels else str(number)

    def compute_on(self, device: Any) -> None:
        """Compute on an MXNet context from now on; UserError for a graph.

        The parameters also stay on the CPU, from which they are exported.
        """
        import mxnet as mx

        if self.trained is None:
            raise UserError(
                f"--gpu: {printable(self.path)} is of kind {self.kind}, which runs on the CPU; "
                "leave the flag out"
            )
        self.trained.net.collect_params().reset_ctx([mx.cpu(), device])
        self.compute = block_predictor(self.computed(self.trained.net), self.path, device=device)
