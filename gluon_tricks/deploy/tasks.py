"""Each task's part in opening, evaluating and exporting trained networks.

A new task has a subclass of :class:`.Opened`, a class for its preprocessing, four functions, and a
line in :data:`TASKS`. Its output for users is in :mod:`gluon_tricks.commands`.
"""

from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple, Type

import numpy as np

from ..errors import UserError
from . import classification
from .classifier import Classifier
from .detection import exporting as of_detection
from .detection.detector import Detector
from .detection.preprocessing import ResizedImages
from .opened import Opened
from .preprocessing import Preprocessing
from .segmentation import evaluation, exporting
from .segmentation.preprocessing import WholeImages
from .segmentation.protocols import protocol
from .segmentation.segmenter import Segmenter


class Deployment(NamedTuple):
    """A task's part in opening, evaluating and exporting networks.

    A task without ``examples`` has no exports.
    """

    opened: Type[Opened]
    preprocessing: Any  # a NamedTuple like :class:`.Preprocessing`, whose fields are flags, too
    types: Dict[str, Any]  # in a manifest, of entries that only this task has
    any_size: bool  # images may have another height and width than input_size
    outputs: Tuple[str, ...] = ("logits", "probabilities")  # of its graph
    # the number of a classifier's images whose memory one image may take in an export
    allowance: int = 1
    # for outputs that may differ in their last bits; None: compare.difference
    difference: Optional[Callable[[list, list], Tuple[float, float]]] = None
    # formats and options of an export that the task lacks, and why
    lacks: Mapping[str, str] = {}
    # put before "images" in the text about how many answers INT8 leaves unchanged
    answers: str = ""
    # how a run measured its figures, in words; None: like :attr:`measure`
    validated: Callable[[Any], Optional[str]] = lambda preprocessing: None
    # uint8 (N, H, W, 3), random images and some of a RecordIO file, on which an export is compared
    examples: Optional[Callable[[Any, str], List[np.ndarray]]] = None
    # float32 (N, 3, H, W) of a RecordIO file
    calibration_images: Optional[Callable[[Any, str, int], np.ndarray]] = None
    # the task's figures on a RecordIO file, for the manifest
    measure: Optional[Callable[[Any, str], Dict[str, Any]]] = None
    # the figures of a network and of its INT8 variant
    compare_figures: Optional[Callable[[Any, Any, str], Tuple[dict, dict]]] = None


TASKS = {
    "classification": Deployment(
        Classifier,
        Preprocessing,
        dict(crop_ratio=(int, float)),
        any_size=False,
        examples=classification.examples,
        calibration_images=classification.calibration_images,
        measure=classification.measure,
        compare_figures=classification.compare_figures,
    ),
    "segmentation": Deployment(
        Segmenter,
        WholeImages,
        dict(base_size=int),
        any_size=True,
        answers="the pixels of ",
        validated=lambda sizes: protocol("centre", sizes).words,
        examples=exporting.examples,
        calibration_images=exporting.calibration_images,
        measure=evaluation.measure,
        compare_figures=evaluation.compare_figures,
    ),
    "detection": Deployment(
        Detector,
        ResizedImages,
        dict(max_side=int, score=(int, float), overlap=(int, float)),
        any_size=True,
        outputs=("detections",),
        allowance=4,  # each region takes memory like an image
        difference=of_detection.difference,
        lacks=of_detection.LACKS,
        examples=of_detection.examples,
        measure=of_detection.measure,
    ),
}


def allowances() -> Dict[str, int]:
    """The allowances of all tasks, by name."""
    return {name: task.allowance for name, task in TASKS.items()}


def of(task: str, source: str) -> Deployment:
    """The :class:`Deployment` of the task for which ``source`` was trained; UserError if there is
    none.
    """
    if task not in TASKS:
        raise UserError(
            f"{source}: was trained for {task}; the tasks whose models open are {', '.join(TASKS)}"
        )
    return TASKS[task]


def needs(model: Opened, task: str) -> None:
    """UserError for a model of another task."""
    if model.task != task:
        raise UserError(f"{model.path}: is for {model.task}, but a model for {task} is needed")
