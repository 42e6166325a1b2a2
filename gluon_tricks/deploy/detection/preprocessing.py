"""The preprocessing of a detector's images: resized, of any shape."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple

import numpy as np

from ... import config as flags
from ...data.decode import decode
from ...data.transforms.detection import ResizeWithin
from .. import preprocessing
from ..preprocessing import OPENCV, RGB, WORDS


class ResizedImages(NamedTuple):
    """``(x - rgb_mean) / rgb_std`` of the image, resized to a shorter side of ``input_size``
    pixels, or of fewer if the longer side would exceed ``max_side``.
    """

    input_size: int
    max_side: int
    rgb_mean: RGB  # of R, G and B, from 0 to 255
    rgb_std: RGB

    @classmethod
    def of_config(cls, config: flags.Config) -> ResizedImages:
        """The preprocessing of a run, from its flags."""
        return cls(config.input_size, config.max_side, config.rgb_mean, config.rgb_std)

    @classmethod
    def of_description(cls, held: Mapping[str, Any]) -> ResizedImages:
        """The preprocessing from a :meth:`description`, read from JSON."""
        mean, std = tuple(held["rgb_mean"]), tuple(held["rgb_std"])
        return cls(held["input_size"], held["max_side"], mean, std)

    def description(self) -> dict:
        """The instructions for users of an exported network, for programs and in words."""
        return dict(
            input_size=self.input_size,
            max_side=self.max_side,
            size="any height and width; shorter side to input_size, or to less so that the longer "
            "one has at most max_side; both rounded, halves to the even number",
            resize_interpolation=WORDS[OPENCV],
            channels="RGB, 0 to 255",
            rgb_mean=list(self.rgb_mean),
            rgb_std=list(self.rgb_std),
        )

    def config(self, **fields: Any) -> flags.Config:
        """A :class:`gluon_tricks.config.Config` with this preprocessing and other ``fields``.

        Raises ConfigError, which names the flag, for a value out of range.
        """
        config = flags.Config(**self._asdict(), **dict(dict(task="detection"), **fields))
        flags.check_ranges(config)
        return config

    def image(self, payload: bytes) -> np.ndarray:
        """uint8 (H, W, 3) of an encoded image; ValueError if it cannot be decoded."""
        return decode(payload)

    def resize(self, picture: np.ndarray) -> np.ndarray:
        """uint8 (h, w, 3) of uint8 (H, W, 3)."""
        import cv2

        within = ResizeWithin((self.input_size, self.input_size), self.max_side)
        height, width = picture.shape[:2]
        height, width = within.resized(height, width, self.input_size)
        return cv2.resize(picture, (width, height))

    def normalise(self, picture: np.ndarray) -> np.ndarray:
        """float32 (3, h, w), as a network takes it, of uint8 (H, W, 3)."""
        return preprocessing.normalised(self.resize(picture), self.rgb_mean, self.rgb_std)

    def pixels(self, images: np.ndarray) -> np.ndarray:
        """uint8 (N, h, w, 3) whose normalisation is ``images``, float32 (N, 3, h, w)."""
        return preprocessing.pixels(images, self.rgb_mean, self.rgb_std)
