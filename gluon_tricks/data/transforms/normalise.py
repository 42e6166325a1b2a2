"""(x - mean) / std, the last operation of every list."""

from typing import NamedTuple, Tuple

import numpy as np

from .color_map import ColorMap


class Normalise(NamedTuple):
    """``mean`` and ``std`` of R, G and B, on the scale from 0 to 255."""

    mean: Tuple[float, float, float]
    std: Tuple[float, float, float]

    def matrices(self, colors: ColorMap) -> np.ndarray:
        """float32 (n, 3, 4 or 5): the colour operations, then this."""
        return colors.matrices(np.asarray(self.mean), np.asarray(self.std))
