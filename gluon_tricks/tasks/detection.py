"""Object detection (section 6.1): boxes and their classes by Faster-RCNN; mean average precision.

The loss is the sum of the four in :mod:`.detection_losses`. The figures are not sums over images,
because they rank the detections in all images together: :meth:`Detection.measure` gathers these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Iterable, Optional, Sequence

import numpy as np

from ..errors import UserError
from .figure import Figure

if TYPE_CHECKING:  # as in classification.py
    from mxnet.nd import NDArray


class Detection:
    """The task of a run.

    Labels are float32 (n, 1 + m, 6), see :mod:`gluon_tricks.data.box_rows`.

    Parameters
    ----------
    classes : int
        K, without the background.
    seed : int
        With the step and the records' keys, it decides from which anchors and regions a step
        learns.
    hybrid : bool
        Whether the network is compiled.
    float_steps : bool
        Whether the 11 points of the mAP are compared as in GluonCV.
    """

    figures = (
        Figure("map07", "mAP", "%"),
        Figure("map_area", "mAP by area", "%"),
        Figure("coco_ap", "AP", "%"),
        Figure("coco_ap50", "AP50", "%"),
        Figure("coco_ap75", "AP75", "%"),
    )
    training_figures = (
        Figure("loss", "loss", digits=4, higher_is_better=False),
        Figure("rpn_object", "RPN object", digits=4, higher_is_better=False),
        Figure("rpn_box", "its box", digits=4, higher_is_better=False),
        Figure("class", "region class", digits=4, higher_is_better=False),
        Figure("box", "box", digits=4, higher_is_better=False),
    )
    about_figures = (
        " (the sum of those of the proposals' objects and boxes, and of the regions' classes and "
        "boxes)",
        ". mAP is VOC's of 11 points at an IoU of 0.5, by area VOC's since 2010; AP is COCO's mean "
        "over IoUs of 0.5 to 0.95, AP50 and AP75 that at one",
    )
    best = "map07"
    sums = tuple(figure.name for figure in training_figures)
    counts: Sequence[str] = ()

    def __init__(
        self, classes: int, seed: int = 0, hybrid: bool = True, float_steps: bool = False
    ) -> None:
        self._classes, self._seed = classes, seed
        self._hybrid, self._float_steps = hybrid, float_steps

    @classmethod
    def from_config(cls, config: Any) -> Detection:
        """The task that the flags of a run ask for."""
        float_steps = config.fidelity == "gluoncv"
        return cls(config.classes, config.seed, config.mode == "hybrid", float_steps)

    def forward(self, net: Any) -> Any:
        """The :class:`.detection_step.Forward` that a step of ``net`` computes."""
        from .detection_step import Forward

        return Forward(net, self._seed, self._hybrid)

    def targets(self, labels: NDArray) -> NDArray:
        """The labels themselves."""
        return labels

    def labels(self, targets: NDArray) -> NDArray:
        """The labels themselves."""
        return targets

    def losses(self, outputs: NDArray, targets: NDArray) -> NDArray:
        """The loss (n,), float32, of each image; ``outputs`` are those of :meth:`forward`."""
        return outputs.sum(axis=1)

    def count(
        self, outputs: NDArray, labels: NDArray, losses: NDArray, valid: Optional[int] = None
    ) -> NDArray:
        """What a batch adds to the named :attr:`sums`: NDArray (5,), float32."""
        import mxnet as mx

        parts = mx.nd.concat(losses.reshape((-1, 1)), outputs, dim=1)
        return parts.slice_axis(axis=0, begin=0, end=valid).sum(axis=0)

    @classmethod
    def summary(cls, sums: Sequence[float], images: int) -> Dict[str, float]:
        """The training figures from the sums over ``images`` images, and the number of images."""
        means = np.asarray(sums) / max(1, images)
        return dict(zip(cls.sums, means.tolist()), images=images)

    def measure(self, net: Any, batches: Iterable[Any], workers: Any) -> Dict[str, float]:
        """The figures of all workers' images, and the number of images.

        Raises UserError if no image has an object that counts.
        """
        from . import detection_figures as of_detections
        from .detection_step import detections

        matches = [
            of_detections.matches_of(found, of_detections.truth_of(label), self._classes)
            for found, label in detections(net, batches, workers.devices)
        ]
        together = of_detections.gathered(workers, matches, self._classes)
        figures = of_detections.summary(of_detections.precision_of([together], self._float_steps))
        if np.isnan(figures["map07"]):
            raise UserError(
                "no image of --rec-val has a box that is neither difficult nor a crowd, so there "
                "is no mAP: leave out --rec-val or use another file"
            )
        images = workers.sum(np.array([len(matches)], np.int64))
        return dict(figures, images=int(images[0]))
