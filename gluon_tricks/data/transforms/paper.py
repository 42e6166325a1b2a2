"""The paper's augmentation and evaluation (section 2.1), as lists of operations.

An operation whose amount is zero is off. The colour step has two forms:

- ``paper``: hue, saturation and brightness, as the paper says.
- ``gluoncv``: saturation, brightness and contrast, as the authors' code.
"""

from typing import Tuple

from ...config import Config
from .crop import CentreCrop, RandomResizedCrop
from .flip import Flip
from .hue import Hue
from .jitter import Brightness, Contrast, Saturation
from .normalise import Normalise
from .pca_noise import PCANoise
from .resize import ResizeShorterEdge, shorter_edge
from .transform import Transform

COLOR_FORMS = {
    "paper": (Hue, Saturation, Brightness),
    "gluoncv": (Saturation, Brightness, Contrast),
}
RGB = Tuple[float, float, float]


def train_transform(config: Config) -> Transform:
    """What training does to an image, chosen by the flags."""
    return Transform(
        [
            RandomResizedCrop(
                config.input_size, config.crop_area, config.crop_aspect, config.crop_fallback
            ),
            Flip(config.flip),
            *(color(config.color_jitter) for color in COLOR_FORMS[config.color_form]),
            PCANoise(config.pca_noise),
            Normalise(config.rgb_mean, config.rgb_std),
        ]
    )


def eval_transform(config: Config) -> Transform:
    """What evaluation does to an image, chosen by the flags."""
    return evaluation(config.input_size, config.crop_ratio, config.rgb_mean, config.rgb_std)


def evaluation(size: int, crop_ratio: float, mean: RGB, std: RGB) -> Transform:
    """Shorter edge to ``size / crop_ratio`` (256), centre crop, normalisation: nothing random."""
    return Transform(
        [ResizeShorterEdge(shorter_edge(size, crop_ratio)), CentreCrop(size), Normalise(mean, std)]
    )
