"""The preprocessing of images for segmentation: normalised, at their original size."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple

import numpy as np

from ... import config as flags
from ...data.decode import decode
from .. import preprocessing
from ..preprocessing import RGB


class WholeImages(NamedTuple):
    """``(x - rgb_mean) / rgb_std``, of the whole image, of any size.

    The sizes of training determine the scaled sizes and the windows of the protocol with several
    scales.
    """

    input_size: int  # height and width of training's crops
    base_size: int
    rgb_mean: RGB  # of R, G and B, from 0 to 255
    rgb_std: RGB

    @classmethod
    def of_config(cls, config: flags.Config) -> WholeImages:
        """The preprocessing of a run, from its flags."""
        size = config.test_size or config.input_size
        return cls(size, config.base_size, config.rgb_mean, config.rgb_std)

    @classmethod
    def of_description(cls, held: Mapping[str, Any]) -> WholeImages:
        """The preprocessing from a :meth:`description`, read from JSON."""
        mean, std = tuple(held["rgb_mean"]), tuple(held["rgb_std"])
        return cls(held["input_size"], held["base_size"], mean, std)

    def description(self) -> dict:
        """The instructions for users of an exported network, for programs and in words."""
        return dict(
            input_size=self.input_size,
            base_size=self.base_size,
            size="any height and width; trained on crops of input_size x input_size",
            channels="RGB, 0 to 255",
            rgb_mean=list(self.rgb_mean),
            rgb_std=list(self.rgb_std),
        )

    def config(self, **fields: Any) -> flags.Config:
        """A :class:`gluon_tricks.config.Config` with this preprocessing and other ``fields``.

        Raises ConfigError, which names the flag, for a value out of range.
        """
        fields = dict(dict(task="segmentation", crop_ratio=1.0), **fields)
        config = flags.Config(**self._asdict(), **fields)
        flags.check_ranges(config)
        return config

    def image(self, payload: bytes) -> np.ndarray:
        """uint8 (H, W, 3) of an encoded image; ValueError if it cannot be decoded."""
        return decode(payload)

    def normalise(self, picture: np.ndarray) -> np.ndarray:
        """float32 (3, H, W), as a network takes it, of uint8 (H, W, 3)."""
        return preprocessing.normalised(picture, self.rgb_mean, self.rgb_std)

    def pixels(self, images: np.ndarray) -> np.ndarray:
        """uint8 (N, H, W, 3) whose normalisation is ``images``, float32 (N, 3, H, W)."""
        return preprocessing.pixels(images, self.rgb_mean, self.rgb_std)
