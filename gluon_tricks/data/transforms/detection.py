"""The augmentation for detection, of images and their boxes: GluonCV's for Faster-RCNN.

An image is mirrored with a probability, resized, and laid into the upper left corner of a square
that holds every image. So the images of a batch have one size; what none of them uses is cut off
later.
"""

import dataclasses
from typing import Tuple

import numpy as np

from ...config import Config
from ..randomness import purpose_of
from .flip import Flip
from .normalise import Normalise
from .operation import Draws, Geometry
from .transform import Transform


@dataclasses.dataclass(frozen=True)
class ResizeWithin(Geometry):
    """Bilinear, to a shorter side of ``short`` pixels, or fewer if the longer one would exceed
    ``longest``; in the upper left corner of a square of ``longest`` pixels, filled with ``color``.

    ``short`` is a range, both ends included, from which each image draws.
    """

    short: Tuple[int, int]
    longest: int
    color: Tuple[int, int, int] = (0, 0, 0)

    name = "resize within"
    draws = Draws(purpose_of("resize within"), 1)

    def sample(self, numbers):
        """int64 (n,): the shorter sides."""
        least, most = self.short
        return least + (numbers[:, 0] * (most - least + 1)).astype(np.int64)

    def words(self, short):
        return "" if self.short[0] == self.short[1] else f"short side {short}"

    def shape(self, height, width):
        return self.longest, self.longest

    def resized(self, height: int, width: int, short: int) -> Tuple[int, int]:
        """(height, width) of the image in the square, rounded as GluonCV does (halves to even)."""
        least, most = sorted((height, width))
        scale = short / least
        if round(scale * most) > self.longest:
            scale = self.longest / most
        return max(1, round(height * scale)), max(1, round(width * scale))

    def image(self, picture, short, out, scratch):
        import cv2

        height, width = self.resized(*picture.shape[:2], short)
        out[height:] = self.color
        out[:height, width:] = self.color
        cv2.resize(picture, (width, height), dst=out[:height, :width])

    def boxes(self, boxes, short, height, width):
        new_height, new_width = self.resized(height, width, short)
        return boxes * np.tile([new_width / width, new_height / height], 2)


def transform(
    short: Tuple[int, int],
    longest: int,
    mean: Tuple[float, float, float],
    std: Tuple[float, float, float],
    flip: float = 0.0,
) -> Transform:
    """What is done to an image and its boxes: in training with ``flip``, in evaluation without.

    mean, std: of RGB values from 0 to 255. Around an image is the mean, which becomes about 0, as
    in a convolution's padding.
    """
    red, green, blue = (round(value) for value in mean)
    within = ResizeWithin(short, longest, (red, green, blue))
    return Transform([Flip(flip), within, Normalise(mean, std)])


def train_transform(config: Config) -> Transform:
    """What training does to an image and its boxes, chosen by the flags."""
    short = config.short_range if any(config.short_range) else (config.input_size,) * 2
    return _of_config(config, short, config.flip)


def eval_transform(config: Config) -> Transform:
    """The same without the mirror, and at one size."""
    return _of_config(config, (config.input_size,) * 2, 0.0)


def _of_config(config, short, flip):
    return transform(short, config.max_side, config.rgb_mean, config.rgb_std, flip)
