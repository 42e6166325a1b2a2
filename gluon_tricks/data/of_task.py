"""How each task transforms images for training and for validation, and what it learns from them. A
task that does as classification does is not in the tables.
"""

import os
from typing import Any, Callable, Dict

from ..config import Config
from ..errors import UserError
from ..text import printable
from .box_rows import BoxLabels
from .mask_files import mask_path_of
from .masks import MaskFile
from .transforms import detection, paper, segmentation
from .transforms.transform import Transform

TRAIN_TRANSFORMS: Dict[str, Callable[[Config], Transform]] = {
    "segmentation": segmentation.train_transform,
    "detection": detection.train_transform,
}
EVAL_TRANSFORMS: Dict[str, Callable[[Config], Transform]] = {"detection": detection.eval_transform}
# What is learned from a file's records, if not a class for each image.
TRUTH: Dict[str, Callable[[Config, Any], Any]] = {
    "segmentation": lambda config, records: MaskFile(records, config.classes),
    "detection": lambda config, records: BoxLabels(records.path, config.classes, config.max_boxes),
}


def train_transform(config: Config) -> Transform:
    """What training does to an image, chosen by the task and the flags."""
    return TRAIN_TRANSFORMS.get(config.task, paper.train_transform)(config)


def eval_transform(config: Config) -> Transform:
    """What validation does to an image."""
    return EVAL_TRANSFORMS.get(config.task, paper.eval_transform)(config)


def truth_of(config: Config, records: Any) -> Any:
    """The ``truth`` of a RecordFile for :class:`.sources.RecordSource`; None if that is a class for
    each image.
    """
    if config.task in TRUTH:
        return TRUTH[config.task](config, records)
    refuse_masks(config, getattr(records, "path", ""))  # synthetic images have none
    return None


def refuse_masks(config: Config, path: str) -> None:
    """UserError if images that have masks would be classified: the labels of their records are all
    0. ``path`` is their RecordIO file, or "".
    """
    if path and config.task == Config.task and os.path.exists(mask_path_of(path)):
        raise UserError(
            f"{printable(path)}: its images have masks ({printable(mask_path_of(path))}) and no "
            "classes; give --task segmentation"
        )
