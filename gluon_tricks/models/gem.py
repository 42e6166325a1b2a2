"""Generalised-mean pooling (Radenovic et al., arXiv 1711.02512), which Assembled-CNN uses for image
retrieval.
"""

import numpy as np
from mxnet.gluon.block import HybridBlock

POWER = 3.0


class GeM(HybridBlock):
    """x (N, C, H, W) to (N, C, 1, 1): the cube root of the mean of the cubes over height and width.

    x is first clipped to [1e-6, 1e12]. float16 inputs are computed in float32.
    """

    _is_half = False

    def cast(self, dtype):
        self._is_half = np.dtype(dtype) == np.float16

    def hybrid_forward(self, F, x):
        if self._is_half:
            x = F.cast(x, "float32")
        cubes = F.clip(x, 1e-6, 1e12) ** POWER
        means = F.Pooling(cubes, kernel=(1, 1), global_pool=True, pool_type="avg")
        pooled = means ** (1 / POWER)
        return F.cast(pooled, "float16") if self._is_half else pooled
