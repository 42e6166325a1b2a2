"""Folders as timm's hub has them: ``config.json``, which says what the network is and how its
images are made, and ``model.safetensors``.
"""

import json
import math
import os
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ..errors import UserError
from ..files import plain_file, write_json
from ..text import printable

CONFIG, WEIGHTS = "config.json", "model.safetensors"
RGB = Tuple[float, float, float]
WHITE = 255  # timm's pixels are from 0 to 1, ours from 0 to 255
MOST_CONFIG = 1 << 24  # bytes
INTERPOLATIONS = ("bilinear", "bicubic")  # Pillow's, of those that timm has


class Description(NamedTuple):
    """What a ``config.json`` says, in the units of this package."""

    architecture: str
    classes: int
    input_size: int
    crop_ratio: float
    rgb_mean: RGB  # of 0 to 255
    rgb_std: RGB
    interpolation: str  # one of INTERPOLATIONS
    labels: Optional[List[str]] = None

    def images(self) -> Dict[str, Any]:
        """How its images are made, as the flags of that name; without the interpolation."""
        return {name: getattr(self, name) for name in IMAGE_FLAGS}


IMAGE_FLAGS = ("input_size", "crop_ratio", "rgb_mean", "rgb_std")


def is_hub_folder(path: str) -> bool:
    """Whether ``path`` is a folder with a ``config.json`` of timm's, whole or not, and weights."""
    if not os.path.isfile(os.path.join(path, WEIGHTS)):
        return False
    try:
        return "architecture" in _json(os.path.join(path, CONFIG))
    except (OSError, ValueError, RecursionError):
        return False


def read(folder: str) -> Description:
    """The description of a folder; UserError naming what is missing or not as it can be here."""
    path = os.path.join(folder, CONFIG)
    try:
        found = _json(path)
        # timm's older files have these at the top
        held = {**found, **(found.get("pretrained_cfg") or {})}
        return _description(found, held)
    except OSError as error:
        raise UserError(f"{printable(path)}: cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else error
        raise UserError(f"{printable(path)}: {printable(reason)}") from None


def _json(path):
    with open(path, encoding="utf-8", opener=plain_file) as file:
        found = json.loads(file.read(MOST_CONFIG))
    if not isinstance(found, dict):
        raise ValueError("it holds no names and values")
    return found


def _description(found, held):
    """The Description; sizes are those with which timm evaluates: those for testing, if there are
    any.
    """
    if not isinstance(found["architecture"], str):
        raise ValueError("architecture is no name")
    size = held.get("test_input_size") or held["input_size"]
    if len(size) != 3 or size[0] != 3 or size[1] != size[2]:
        raise ValueError(f"images of {size}; three channels and a square are needed")
    if held.get("crop_mode") not in (None, "center"):
        raise ValueError(f"crop_mode is {held['crop_mode']}, and only center is known here")
    interpolation = held.get("interpolation", "bicubic")
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"interpolation is {interpolation}; bilinear and bicubic are known here")
    crop = held.get("test_crop_pct") or held["crop_pct"]
    labels = found.get("label_names") or held.get("label_names")
    classes = found.get("num_classes") or held["num_classes"]
    if labels is not None and (not isinstance(labels, list) or len(labels) != classes):
        raise ValueError(f"label_names are not {classes} names")
    return Description(
        found["architecture"],
        _whole(classes),
        _whole(size[1]),
        _number(crop),
        _pixels(held["mean"]),
        _pixels(held["std"]),
        interpolation,
        labels and [printable(label) for label in labels],
    )


def _whole(value):
    if type(value) is not int or value < 1:
        raise ValueError(f"{value} is no count")
    return value


def _number(value):
    if type(value) not in (int, float) or not 0 < value < math.inf:
        raise ValueError(f"{value} is no positive number")
    return float(value)


def _pixels(values):
    """Three numbers on the scale from 0 to 255, of those from 0 to 1.

    To a millionth, so that 0.485 is the 123.675 of other files.
    """
    if len(values) != 3 or any(type(value) not in (int, float) for value in values):
        raise ValueError(f"{values} are not three numbers")
    red, green, blue = (round(value * WHITE, 6) for value in values)
    return red, green, blue


def write(folder: str, about: Description) -> None:
    """Write the ``config.json``."""
    how = dict(
        input_size=[3, about.input_size, about.input_size],
        fixed_input_size=False,
        interpolation=about.interpolation,
        crop_pct=about.crop_ratio,
        crop_mode="center",
        mean=[round(value / WHITE, 8) for value in about.rgb_mean],
        std=[round(value / WHITE, 8) for value in about.rgb_std],
        num_classes=about.classes,
    )
    found: Dict[str, Any] = dict(architecture=about.architecture, num_classes=about.classes)
    if about.labels:
        found.update(label_names=about.labels)
    write_json(os.path.join(folder, CONFIG), dict(found, pretrained_cfg=how))
