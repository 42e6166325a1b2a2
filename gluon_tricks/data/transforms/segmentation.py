"""The augmentation for segmentation, of images and their masks: GluonCV's (its SegmentationDataset,
after PSPNet), as a list of operations.

A mirror, a random scale, a random crop, padding to the right and below if the image is smaller, and
a little blur. GluonCV's published runs scale the shorter side to the drawn length; since June 2019
its code scales the longer one.
"""

import dataclasses
from typing import Tuple

import numpy as np

from ...config import Config
from ..randomness import purpose_of
from . import paper
from .flip import Flip
from .normalise import Normalise
from .operation import Draws, Geometry, PixelOperation
from .pca_noise import PCANoise
from .policy import UNKNOWN
from .transform import Transform


@dataclasses.dataclass(frozen=True)
class RandomScaleCrop(Geometry):
    """The image scaled so that one ``side`` (short or long) has a random length, a whole number
    uniform in ``base`` times ``scale``, and then a random crop of ``size`` x ``size``.

    Bilinear; to become smaller, an image is averaged over all its pixels, as in Pillow. The mask
    takes the nearest pixel. Where the image is too small there is black, and ``UNKNOWN`` in the
    mask.
    """

    size: int
    base: int
    scale: Tuple[float, float]
    side: str = "short"

    name = "scale and crop"
    draws = Draws(purpose_of("scale and crop"), 3)

    def shape(self, height, width):
        return self.size, self.size

    def placed(self, height: int, width: int, value: np.ndarray) -> Tuple[int, int, int, int]:
        """``(height, width)`` of the scaled image, and ``(y, x)`` of the crop in it."""
        least, most = (max(1, int(self.base * factor)) for factor in self.scale)
        length = least + int(value[0] * (most - least + 1))
        of = min(height, width) if self.side == "short" else max(height, width)
        scaled_height, scaled_width = (
            length if side == of else max(1, int(side * length / of + 0.5))
            for side in (height, width)
        )
        y, x = (
            int(number * (max(0, side - self.size) + 1))
            for number, side in zip(value[1:], (scaled_height, scaled_width))
        )
        return scaled_height, scaled_width, y, x

    def placement(self, height, width, value):
        scaled_height, scaled_width, y, x = self.placed(height, width, value)
        return f"scaled to {scaled_width} x {scaled_height}\ncrop at {x}, {y}"

    def image(self, picture, value, out, scratch):
        scaled_height, scaled_width, y, x = self.placed(*picture.shape[:2], value)
        height, width = min(self.size, scaled_height - y), min(self.size, scaled_width - x)
        ratios = picture.shape[0] / scaled_height, picture.shape[1] / scaled_width
        resize = _reduced if ratios[0] > 1 else _enlarged
        out[:height, :width] = resize(picture, ratios, (y, x), (height, width))
        out[height:] = 0
        out[:, width:] = 0

    def mask(self, mask, value):
        height, width = mask.shape
        scaled_height, scaled_width, y, x = self.placed(height, width, value)
        rows = self._nearest(y, height, scaled_height)[:, None]
        columns = self._nearest(x, width, scaled_width)
        moved = np.full((self.size, self.size), UNKNOWN, mask.dtype)
        moved[: len(rows), : len(columns)] = mask[rows, columns]
        return moved

    def _nearest(self, start, length, scaled):
        """The pixels, of ``length``, that the crop from ``start`` on shows."""
        centres = np.arange(start, min(scaled, start + self.size)) + 0.5
        return (centres * (length / scaled)).astype(np.int64)


def _enlarged(picture, ratios, start, shape):
    """The part of a resized image that has this shape and begins at ``start``.

    ratios: the image's height and width over those that it is resized to.
    """
    import cv2

    # from a pixel of the part to its place in the image; the centres of pixels are at 0.5
    moved = [(first + 0.5) * ratio - 0.5 for first, ratio in zip(start, ratios)]
    matrix = np.array([[ratios[1], 0, moved[1]], [0, ratios[0], moved[0]]])
    how = dict(flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE)
    return cv2.warpAffine(picture, matrix, shape[::-1], **how)


def _reduced(picture, ratios, start, shape):
    """The same for an image that becomes smaller, which OpenCV's bilinear would only sample."""
    from PIL import Image

    (top, left), (height, width) = start, shape
    box = [
        left * ratios[1],
        top * ratios[0],
        (left + width) * ratios[1],
        (top + height) * ratios[0],
    ]
    limits = picture.shape[1::-1] * 2  # which rounding must not exceed
    box = [min(edge, limit) for edge, limit in zip(box, limits)]
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.BILINEAR, box))


@dataclasses.dataclass(frozen=True)
class Blur(PixelOperation):
    """A Gaussian blur with this probability, its standard deviation uniform in [0, 1) pixels."""

    probability: float

    name = "blur"
    draws = Draws(purpose_of("blur"), 2)
    in_place = True

    @property
    def off(self):
        return not self.probability

    def sample(self, numbers):
        """float64 (n,): the standard deviation, or 0."""
        return np.where(numbers[:, 0] < self.probability, numbers[:, 1], 0.0)

    def changes(self, deviation):
        return deviation > 0

    def words(self, deviation):
        return f"blur {deviation:.2f}" if deviation else ""

    def image(self, picture, deviation, out, scratch):
        import cv2

        cv2.GaussianBlur(picture, (0, 0), deviation, dst=out)


def train_transform(config: Config) -> Transform:
    """What training does to an image and its mask, chosen by the flags."""
    return Transform(
        [
            Flip(config.flip),
            RandomScaleCrop(
                config.input_size, config.base_size, config.scale_range, config.scale_side
            ),
            *paper.policy(config),
            Blur(config.blur),
            *(color(config.color_jitter) for color in paper.COLOR_FORMS[config.color_form]),
            PCANoise(config.pca_noise),
            Normalise(config.rgb_mean, config.rgb_std),
        ]
    )
