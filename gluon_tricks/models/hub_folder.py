"""Folders in the layout of timm's hub: ``config.json``, which describes the network and its
preprocessing, and ``model.safetensors``.
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
INTERPOLATIONS = ("bilinear", "bicubic")  # Pillow's, among those of timm


class Description(NamedTuple):
    """The contents of a ``config.json``, in the units of this package."""

    architecture: str
    classes: int
    input_size: int
    crop_ratio: float
    rgb_mean: RGB  # of 0 to 255
    rgb_std: RGB
    interpolation: str  # one of INTERPOLATIONS
    labels: Optional[List[str]] = None

    def images(self) -> Dict[str, Any]:
        """The preprocessing as flags of that name, without the interpolation."""
        return {name: getattr(self, name) for name in IMAGE_FLAGS}


IMAGE_FLAGS = ("input_size", "crop_ratio", "rgb_mean", "rgb_std")


def is_hub_folder(path: str) -> bool:
    """Whether ``path`` is a folder with weights and a ``config.json``, timm's or a damaged one."""
    if not os.path.isfile(os.path.join(path, WEIGHTS)):
        return False
    try:
        return "architecture" in _json(os.path.join(path, CONFIG))
    except OSError:
        return False
    except (ValueError, RecursionError):
        return True


def read(folder: str) -> Description:
    """The description of a folder; UserError naming what is missing or not supported."""
    path = os.path.join(folder, CONFIG)
    try:
        found = _json(path)
        # timm's older files have these at the top
        how = found.get("pretrained_cfg") or {}
        if not isinstance(how, dict):
            raise ValueError("pretrained_cfg holds no names and values")
        held = {**found, **how}
        return _description(found, held)
    except OSError as error:
        raise UserError(f"{printable(path)}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, OverflowError, RecursionError) as error:
        reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else error
        raise UserError(f"{printable(path)}: {printable(reason)}") from None


def _json(path):
    with open(path, encoding="utf-8", opener=plain_file) as file:
        found = json.loads(file.read(MOST_CONFIG))
    if not isinstance(found, dict):
        raise ValueError("it holds no names and values")
    return found


def _description(found, held):
    """The Description; sizes are those of timm's evaluation: the test sizes, if there are any."""
    if not isinstance(found["architecture"], str) or not found["architecture"]:
        raise ValueError("architecture is not a name")
    size = held.get("test_input_size") or held["input_size"]
    if not isinstance(size, list) or len(size) != 3 or size[0] != 3 or size[1] != size[2]:
        raise ValueError(f"images of {size}; three channels and a square are needed")
    if held.get("crop_mode") not in (None, "center"):
        raise ValueError(f"crop_mode is {held['crop_mode']}, but only center is supported")
    interpolation = held.get("interpolation", "bicubic")
    if interpolation not in INTERPOLATIONS:
        raise ValueError(
            f"interpolation is {interpolation}; only bilinear and bicubic are supported"
        )
    crop = held.get("test_crop_pct") or held["crop_pct"]
    labels = found.get("label_names") or held.get("label_names")
    classes = _whole(found.get("num_classes") or held["num_classes"])
    if labels is not None and (not isinstance(labels, list) or len(labels) != classes):
        raise ValueError(f"label_names are not {classes} names")
    std = _pixels(held["std"])
    if min(std) <= 0:
        raise ValueError(f"std is {held['std']}; it has to be positive")
    return Description(
        found["architecture"],
        classes,
        _whole(size[1]),
        _share(crop),
        _pixels(held["mean"]),
        std,
        interpolation,
        labels and [printable(label) for label in labels],
    )


def _whole(value):
    if type(value) is not int or value < 1:
        raise ValueError(f"{value} is not a count")
    return value


def _share(value):
    if type(value) not in (int, float) or not 0 < value <= 1:
        raise ValueError(f"crop_pct is {value}, outside (0, 1]")
    return float(value)


def _pixels(values):
    """Three numbers from 0 to 255, converted from 0 to 1.

    Rounded to a millionth, so that 0.485 becomes the 123.675 of other files, and the values from
    :func:`write` come back exactly.
    """
    numbers = isinstance(values, list) and all(type(value) in (int, float) for value in values)
    if not numbers or len(values) != 3:
        raise ValueError(f"{values} are not three numbers")
    red, green, blue = (round(float(value) * WHITE, 6) for value in values)
    if not all(map(math.isfinite, (red, green, blue))):
        raise ValueError(f"{values} are not finite")
    return red, green, blue


def write(folder: str, about: Description) -> None:
    """Write the ``config.json``."""
    how = dict(
        input_size=[3, about.input_size, about.input_size],
        fixed_input_size=False,
        interpolation=about.interpolation,
        crop_pct=about.crop_ratio,
        crop_mode="center",
        mean=[round(value / WHITE, 10) for value in about.rgb_mean],
        std=[round(value / WHITE, 10) for value in about.rgb_std],
        num_classes=about.classes,
    )
    found: Dict[str, Any] = dict(architecture=about.architecture, num_classes=about.classes)
    if about.labels:
        found.update(label_names=about.labels)
    write_json(os.path.join(folder, CONFIG), dict(found, pretrained_cfg=how))
