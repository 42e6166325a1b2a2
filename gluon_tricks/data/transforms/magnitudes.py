"""How strong the operations of AutoAugment and its successors are: arguments from levels.

The same policy has other strengths in each code. Posterize keeps fewer bits at low levels in the
TPU code and at high ones in torchvision; solarize, too, runs in opposite directions:

- ``tpu``: levels 0 to 10; the TPU code's, which Assembled-CNN took. Its contrast blends with 196.
- ``torchvision``: a level is one of ``bins`` from nothing to the most.
- ``timm``: levels 0 to 10, in its "increasing" form; for RandAugment.

All are functions of arrays: levels, and signs 1 or -1 where an operation has two directions.
"""

from typing import Callable, Tuple

import numpy as np

from .pixels import NO_ARGUMENT
from .policy import Space

RGB = Tuple[float, float, float]
BLACK, GREY = (0, 0, 0), (128, 128, 128)  # torchvision's and the TPU code's fill colours
ENHANCEMENTS = ("color", "contrast", "brightness", "sharpness")


def no_argument(levels: np.ndarray, signs: np.ndarray) -> float:
    return 0.0


def signed(most: float, top: float = 10) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """``most`` at the level ``top``, in one of two directions."""
    return lambda levels, signs: signs * most * levels / top


def tpu() -> Space:
    """The TPU code's (tensorflow/tpu, models/official/efficientnet/autoaugment.py)."""

    def factor(levels, signs):
        return 0.18 * levels + 0.1

    return dict(
        shear_x=signed(0.3),
        shear_y=signed(0.3),
        translate_x=signed(250),
        translate_y=signed(250),
        rotate=signed(30),
        posterize=lambda levels, signs: whole(levels / 10 * 4),
        solarize=lambda levels, signs: whole(levels / 10 * 256),
        solarize_add=lambda levels, signs: whole(levels / 10 * 110),
        color=factor,
        tpu_contrast=factor,
        brightness=factor,
        sharpness=factor,
        **dict.fromkeys(NO_ARGUMENT, no_argument),
    )


def torchvision(
    bins: int, shear: float, translate: float, rotate: float, factor: float, bits: int
) -> Space:
    """torchvision's: the last of the ``bins`` means the arguments given here; ``translate`` in
    pixels, ``factor`` away from 1, ``bits`` away from 8.
    """
    top = bins - 1
    enhance = signed(factor, top)
    return dict(
        identity=no_argument,
        shear_x=signed(shear, top),
        shear_y=signed(shear, top),
        translate_x=lambda levels, signs: signs * whole(translate * levels / top),
        translate_y=lambda levels, signs: signs * whole(translate * levels / top),
        rotate=signed(rotate, top),
        **dict.fromkeys(ENHANCEMENTS, lambda levels, signs: 1 + enhance(levels, signs)),
        posterize=lambda levels, signs: 8 - np.round(levels / (top / bits)),
        solarize=lambda levels, signs: 255 * (1 - levels / top),
        **dict.fromkeys(NO_ARGUMENT, no_argument),
    )


def torchvision_narrow(bins: int, size: int) -> Space:
    """Those of torchvision's AutoAugment (10 bins) and RandAugment (31) for images of ``size``."""
    return torchvision(bins, 0.3, 150 / 331 * size, 30.0, 0.9, 4)


def torchvision_wide() -> Space:
    """Those of TrivialAugment-Wide."""
    return torchvision(31, 0.99, 32.0, 135.0, 0.99, 6)


def timm(size: int) -> Space:
    """timm's for RandAugment (``inc1``), for images of ``size``."""
    enhance = signed(0.9)
    return dict(
        rotate=signed(30),
        posterize=lambda levels, signs: 4 - whole(levels / 10 * 4),
        solarize=lambda levels, signs: 256 - whole(levels / 10 * 256),
        solarize_add=lambda levels, signs: whole(levels / 10 * 110),
        **dict.fromkeys(ENHANCEMENTS, lambda levels, signs: 1 + enhance(levels, signs)),
        shear_x=signed(0.3),
        shear_y=signed(0.3),
        translate_x=signed(0.45 * size),
        translate_y=signed(0.45 * size),
        **dict.fromkeys(NO_ARGUMENT, no_argument),
    )


def whole(values: np.ndarray) -> np.ndarray:
    """Towards zero, as Python's int."""
    return np.trunc(values)


def without(space: Space, *names: str) -> Space:
    """The space without these operations."""
    return {name: space[name] for name in space if name not in names}
