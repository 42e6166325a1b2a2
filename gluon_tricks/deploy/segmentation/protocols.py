"""The protocols by which segmentation is measured; the same network has different figures in each.

The paper does not say how its Table 9 was measured, and GluonCV does not say it of its published
figures; GluonCV's training measures the centre crop, which covers only the middle of each picture.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Optional

from ...errors import UserError
from .preprocessing import WholeImages
from .windows import Views

SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
WINDOW = Views().window
# Each protocol, and the fields of Views that may be chosen.
FLAGS = dict(single=("window",), multi=("scales", "long_side", "window"), centre=())
NAMES = tuple(FLAGS)


class Protocol(NamedTuple):
    """``views`` are applied to each whole picture; None: the centre crop of training's
    validation.
    """

    name: str
    words: str
    views: Optional[Views]


def protocol(name: str, sizes: WholeImages, **given: Any) -> Protocol:
    """The protocol called ``name``; ``given`` has values for its fields in :data:`FLAGS`.

    single: the picture at its original size, in windows of ``window`` pixels (1024) if it is
    larger.
    multi: at each of the ``scales`` of a ``long_side`` (training's ``base_size``; 0: its original
    size), and mirrored, in windows (training's crops).
    centre: the shorter side scaled to training's crop, and the centre crop, as in training's
    validation.

    Raises UserError for a value that has no effect in the protocol, or is out of range.
    """
    _check(name, given)
    if name == "centre":
        size = sizes.input_size
        return Protocol(name, f"centre crop {size} x {size} of a short side of {size}", None)
    if name == "single":
        views = Views(**given)
        words = "each image once at its original size"
        return Protocol(name, f"{words}, in windows of {views.window} if it is larger", views)
    fields = dict(scales=SCALES, long_side=sizes.base_size, window=sizes.input_size)
    views = Views(mirror=True, **{**fields, **given})
    side = f"a long side of {views.long_side}" if views.long_side else "its original size"
    shown = ", ".join(f"{scale:g}" for scale in views.scales)
    words = f"scales {shown} of {side}, each mirrored too, in windows of {views.window}"
    return Protocol(name, words, views)


def _check(name, given):
    for flag, value in given.items():
        shown = "--" + flag.replace("_", "-")
        if flag not in FLAGS[name]:
            raise UserError(f"{shown} has no effect with --protocol {name}")
        least = 0 if flag == "long_side" else 1
        if flag != "scales" and value < least:
            raise UserError(f"{shown} {value}: has to be at least {least}")
