"""Training's and evaluation's lists of operations: the paper's (section 2.1), and later ones if the
flags ask for them.

An operation whose amount is zero is off. The colour step has two forms:

- ``paper``: hue, saturation and brightness, as the paper says.
- ``gluoncv``: saturation, brightness and contrast, as the authors' code.
"""

from typing import List, Tuple

from ...config import Config
from .auto_augment import POLICIES, AutoAugment
from .crop import CentreCrop, RandomResizedCrop
from .erasing import Cutout, RandomErasing
from .flip import Flip
from .hue import Hue
from .jitter import Brightness, Contrast, Saturation
from .normalise import Normalise
from .operation import Operation
from .pca_noise import PCANoise
from .rand_augment import RandAugment
from .resize import OPENCV, PillowResize, ResizeShorterEdge, shorter_edge
from .transform import Transform
from .trivial_augment import TrivialAugment

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
            *policy(config),
            *(color(config.color_jitter) for color in COLOR_FORMS[config.color_form]),
            PCANoise(config.pca_noise),
            Normalise(config.rgb_mean, config.rgb_std),
            Cutout(config.cutout),
            RandomErasing(config.random_erasing, config.erasing_fill),
        ]
    )


def policy(config: Config) -> List[Operation]:
    """The operation that ``--auto-augment`` asks for, if any."""
    chosen, size = config.auto_augment, config.input_size
    if chosen in POLICIES:
        form = "tpu" if chosen == "v0" else config.auto_augment_form
        return [AutoAugment(chosen, form, size)]
    if chosen == "randaugment":
        operations, level = config.randaugment_ops, config.randaugment_magnitude
        deviation, form = config.randaugment_std, config.auto_augment_form
        return [RandAugment(operations, level, form, size, deviation, config.rgb_mean)]
    return [TrivialAugment()] if chosen == "trivial" else []


def eval_transform(config: Config) -> Transform:
    """What evaluation does to an image, chosen by the flags."""
    size = config.test_size or config.input_size
    return evaluation(size, config.crop_ratio, config.rgb_mean, config.rgb_std)


def evaluation(
    size: int, crop_ratio: float, mean: RGB, std: RGB, interpolation: str = OPENCV
) -> Transform:
    """Shorter edge to ``size / crop_ratio`` (256), centre crop, normalisation: nothing random.

    interpolation: one of :data:`.resize.INTERPOLATIONS`. With Pillow's, the size and place
    of the crop are rounded as in timm.
    """
    short, pillow = shorter_edge(size, crop_ratio, interpolation), interpolation != OPENCV
    resize = PillowResize(short, interpolation) if pillow else ResizeShorterEdge(short)
    return Transform([resize, CentreCrop(size, rounded=pillow), Normalise(mean, std)])
