"""The preprocessing of images: the one place from which evaluation, prediction, an export's
manifest and an ONNX file's metadata take it.
"""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple, Tuple

import numpy as np

from .. import config as flags
from ..data.transforms.paper import evaluation
from ..data.transforms.resize import OPENCV, shorter_edge
from ..data.transforms.transform import Transform

RGB = Tuple[float, float, float]

# The interpolations of :data:`..data.transforms.resize.INTERPOLATIONS` in words.
WORDS = {
    OPENCV: "bilinear without antialiasing (OpenCV's INTER_LINEAR)",
    "bilinear": "bilinear with antialiasing (Pillow's BILINEAR)",
    "bicubic": "bicubic with antialiasing (Pillow's BICUBIC)",
}
CROPS = {
    False: "centre: top = (height - input_size) // 2, left = (width - input_size) // 2",
    True: "centre: top = (height - input_size) / 2, left = (width - input_size) / 2, rounded, "
    "halves to the even number",
}


class Preprocessing(NamedTuple):
    """Shorter edge to ``input_size / crop_ratio``, centre crop, ``(x - rgb_mean) / rgb_std``."""

    input_size: int  # height and width that the network takes
    crop_ratio: float
    rgb_mean: RGB  # of R, G and B, from 0 to 255
    rgb_std: RGB
    interpolation: str = OPENCV

    @classmethod
    def of_config(cls, config: flags.Config) -> Preprocessing:
        """The preprocessing of a run's validation, from its flags."""
        size = config.test_size or config.input_size
        return cls(size, config.crop_ratio, config.rgb_mean, config.rgb_std)

    @classmethod
    def of_description(cls, held: Mapping[str, Any]) -> Preprocessing:
        """The preprocessing from a :meth:`description`, read from JSON."""
        mean, std = tuple(held["rgb_mean"]), tuple(held["rgb_std"])
        interpolation = held.get("interpolation", OPENCV)
        return cls(held["input_size"], held["crop_ratio"], mean, std, interpolation)

    def description(self) -> dict:
        """The instructions for users of an exported network, for programs and in words."""
        pillow = self.interpolation != OPENCV
        return dict(
            input_size=self.input_size,
            crop_ratio=self.crop_ratio,
            resize_shorter_edge=shorter_edge(*self[:2], self.interpolation),
            resize_longer_edge="in proportion, rounded down: "
            "longer * resize_shorter_edge // shorter",
            resize_interpolation=WORDS[self.interpolation],
            crop=CROPS[pillow],
            channels="RGB, 0 to 255",
            rgb_mean=list(self.rgb_mean),
            rgb_std=list(self.rgb_std),
            **(dict(interpolation=self.interpolation) if pillow else {}),
        )

    def config(self, **fields: Any) -> flags.Config:
        """A :class:`gluon_tricks.config.Config` with this preprocessing, except for the
        interpolation, and with other ``fields``.

        Raises ConfigError, which names the flag, for a value out of range.
        """
        own = {name: getattr(self, name) for name in FLAGS}
        config = flags.Config(**own, **fields)
        flags.check_ranges(config)
        return config

    def transform(self) -> Transform:
        """The operations of the preprocessing."""
        return evaluation(*self)

    def image(self, payload: bytes) -> np.ndarray:
        """float32 (3, size, size) of an encoded image; ValueError if it cannot be decoded."""
        transform = self.transform()
        return transform.apply(payload, transform.sample(0, 0, np.zeros(1, np.int64)), 0)

    def pixels(self, images: np.ndarray) -> np.ndarray:
        """uint8 (N, H, W, 3) whose normalisation is ``images``, float32 (N, 3, H, W).

        Exact if the images came from uint8 pixels.
        """
        return pixels(images, self.rgb_mean, self.rgb_std)


def normalised(picture: np.ndarray, mean: RGB, std: RGB) -> np.ndarray:
    """float32 (3, H, W), as a network takes it, of uint8 (H, W, 3)."""
    image = picture.transpose(2, 0, 1).astype(np.float32, order="C")
    image -= np.reshape(mean, (3, 1, 1)).astype(np.float32)
    image /= np.reshape(std, (3, 1, 1)).astype(np.float32)
    return image


def pixels(images: np.ndarray, mean: RGB, std: RGB) -> np.ndarray:
    """As :meth:`Preprocessing.pixels`, for any mean and standard deviation."""
    scale, shift = (np.reshape(each, (1, 3, 1, 1)) for each in (std, mean))
    found = np.clip(np.rint(np.asarray(images) * scale + shift), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(found.transpose(0, 2, 3, 1))


# The fields that are also flags of the command line.
FLAGS = tuple(name for name in Preprocessing._fields if name in flags.FLAGS)
