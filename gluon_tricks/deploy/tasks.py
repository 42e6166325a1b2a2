"""What each task's trained networks are, and what an export needs to know of them.

A new task has a class of :mod:`.opened`, a class that says how images are made, and four functions:
a line in :data:`TASKS`. What a person sees of it is in :mod:`gluon_tricks.commands`.
"""

from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple, Type

import numpy as np

from ..errors import UserError
from . import classification
from .classifier import Classifier
from .opened import Opened
from .preprocessing import Preprocessing
from .segmentation import evaluation, exporting
from .segmentation.preprocessing import WholeImages
from .segmentation.protocols import protocol
from .segmentation.segmenter import Segmenter


class Deployment(NamedTuple):
    """A task's part in opening, evaluating and exporting networks."""

    opened: Type[Opened]
    preprocessing: Any  # a NamedTuple like :class:`.Preprocessing`, whose fields are flags, too
    types: Dict[str, Any]  # in a manifest, of what the images of this task alone have
    any_size: bool  # images may have another height and width than its input_size
    answers: str  # before "images" in a text on how many answers INT8 leaves as they were
    # how a run measured its figures, in words; None: as :attr:`measure` does
    validated: Callable[[Any], Optional[str]]
    # uint8 (N, H, W, 3), random ones and some of a RecordIO file, to compare an export on
    examples: Callable[[Any, str], List[np.ndarray]]
    # float32 (N, 3, H, W) of a RecordIO file
    calibration_images: Callable[[Any, str, int], np.ndarray]
    # the task's figures on a RecordIO file, for the manifest
    measure: Callable[[Any, str], Dict[str, Any]]
    # those of a network and of its INT8 variant
    compare_figures: Callable[[Any, Any, str], Tuple[dict, dict]]


TASKS = {
    "classification": Deployment(
        Classifier,
        Preprocessing,
        dict(crop_ratio=(int, float)),
        False,
        "",
        lambda preprocessing: None,
        classification.examples,
        classification.calibration_images,
        classification.measure,
        classification.compare_figures,
    ),
    "segmentation": Deployment(
        Segmenter,
        WholeImages,
        dict(base_size=int),
        True,
        "the pixels of ",
        lambda sizes: protocol("centre", sizes).words,
        exporting.examples,
        exporting.calibration_images,
        evaluation.measure,
        evaluation.compare_figures,
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
