"""PCA noise (Krizhevsky, Sutskever, Hinton 2012, section 4.1): x + P (a * d), where P
and d are the principal components and deviations of ImageNet's colours, and a is three normal
numbers for each image.
"""

import dataclasses

import numpy as np

from .. import randomness
from .operation import AffineOperation, Draws

# of RGB values from 0 to 255
PCA_VALUES = np.array([55.46, 4.794, 1.148])
PCA_VECTORS = np.array(
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
)


@dataclasses.dataclass(frozen=True)
class PCANoise(AffineOperation):
    """``deviation`` is the standard deviation of the three numbers."""

    deviation: float

    name = "PCA noise"
    draws = Draws(randomness.AUGMENT, 6, first=45)

    @property
    def off(self):
        return not self.deviation

    def sample(self, numbers):
        """float64 (n, 3)"""
        return self.deviation * randomness.normals(numbers.reshape(-1, 3, 2))

    def add_to(self, colors, values):
        colors.offset = colors.offset + values * PCA_VALUES @ PCA_VECTORS.T
