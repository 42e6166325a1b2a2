"""A trained network, whatever it was opened from and whatever its task is."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, List, Mapping, NamedTuple, Optional

from ..errors import UserError
from ..text import printable
from ..training.run_folder import RunFolder
from .predictors import Predictor, block_predictor


class Trained(NamedTuple):
    """What a model whose network is here, and no graph, was opened from."""

    net: Any  # the Gluon network, float32
    parameters: Optional[str] = None  # the path of its parameter file; None: published ones
    run: Optional[RunFolder] = None
    step: Optional[int] = None  # of the checkpoint


@dataclasses.dataclass
class Opened:
    """A network, and what is known of its images and its classes.

    There is a class for each task; :data:`gluon_tricks.deploy.tasks.TASKS` has them all.
    """

    task: ClassVar[str]

    path: str
    kind: str  # "gluon", or the format of an export: "symbol", "onnx", ...
    model: Optional[str]  # the network's name, if it is known
    classes: int
    preprocessing: Any
    compute: Predictor
    labels: Optional[List[str]] = None  # the names of the classes
    measured: Optional[dict] = None  # the task's figures and images, as training or export had them
    trained: Optional[Trained] = None  # None: a graph

    def description(self) -> dict:
        """What a manifest says of the network besides its classes and its images."""
        return {}

    @classmethod
    def described(cls, held: Mapping[str, Any], source: str) -> dict:
        """The fields of the class that :meth:`description`, read from ``source``, gives; UserError
        if they cannot be.
        """
        return {}

    @staticmethod
    def computed(net: Any) -> Any:
        """What is computed of a Gluon network: itself, or a network around it."""
        return net

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
        self.compute = block_predictor(self.computed(self.trained.net), self.path, device=device)
