"""What each task's trained networks are, and what an export needs to know of them.

A new task has a class of :mod:`.opened`, a class that says how images are made, and four functions:
a line in :data:`TASKS`. What a person sees of it is in :mod:`gluon_tricks.commands`.
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
    types: Dict[str, Any]  # in a manifest, of what the images of this task alone have
    any_size: bool  # images may have another height and width than its input_size
    outputs: Tuple[str, ...] = ("logits", "probabilities")  # of its graph
    # how many images of a classifier an image may be like in the memory that an export takes
    allowance: int = 1
    # formats and options of an export that the task does not have, and why
    lacks: Mapping[str, str] = {}
    answers: str = ""  # before "images" in a text on how many answers INT8 leaves as they were
    # how a run measured its figures, in words; None: as :attr:`measure` does
    validated: Callable[[Any], Optional[str]] = lambda preprocessing: None
    # uint8 (N, H, W, 3), random ones and some of a RecordIO file, to compare an export on
    examples: Optional[Callable[[Any, str], List[np.ndarray]]] = None
    # float32 (N, 3, H, W) of a RecordIO file
    calibration_images: Optional[Callable[[Any, str, int], np.ndarray]] = None
    # the task's figures on a RecordIO file, for the manifest
    measure: Optional[Callable[[Any, str], Dict[str, Any]]] = None
    # those of a network and of its INT8 variant
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
        allowance=4,  # every region is like an image of its own
        lacks=of_detection.LACKS,
        examples=of_detection.examples,
        measure=of_detection.measure,
    ),
}


def of(task: str, source: str) -> Deployment:
    """The part of the task that ``source`` was trained for; UserError if there is none."""
    if task not in TASKS:
        raise UserError(
            f"{source}: was trained for {task}; what can be opened is for {' or '.join(TASKS)}"
        )
    return TASKS[task]


def needs(model: Opened, task: str) -> None:
    """UserError for a model of another task."""
    if model.task != task:
        raise UserError(f"{model.path}: is for {model.task}, and a model for {task} is needed")
