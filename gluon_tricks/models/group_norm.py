"""Group normalisation with a gamma and a beta for each channel (Wu and He, arXiv 1803.08494):
--use-gn.

Neither library has a version that can be hybridized: GluonCV's cannot be traced, and MXNet's has a
gamma for each group. Outputs and parameter names are those of GluonCV's.
"""

import numpy as np
from mxnet.gluon.block import HybridBlock


class GroupNorm(HybridBlock):
    """Mean 0 and variance 1 within each image's ``groups`` runs of channels, then gamma x + beta.

    x: (N, in_channels, ...), in_channels a multiple of ``groups``. For float16 images the mean and
    the variance, sums of many values, are computed in float32; the result is float16 again.
    """

    def __init__(
        self,
        in_channels,
        groups=32,
        epsilon=1e-5,
        gamma_initializer="ones",
        beta_initializer="zeros",
        **kwargs,
    ):
        super().__init__(**kwargs)
        assert in_channels % groups == 0, (
            f"{in_channels} channels are not a multiple of {groups} groups"
        )
        self._groups, self._epsilon, self._half = groups, epsilon, False
        self.gamma = self.params.get("gamma", shape=(in_channels,), init=gamma_initializer)
        self.beta = self.params.get("beta", shape=(in_channels,), init=beta_initializer)

    def cast(self, dtype):
        # As in MXNet's BatchNorm, statistics and scale stay float32.
        self._half = np.dtype(dtype) == np.float16
        super().cast("float32" if self._half else dtype)

    def hybrid_forward(self, F, x, gamma, beta):
        if self._half:
            x = F.cast(x, "float32")
        group = F.reshape(x, (0, self._groups, -1))
        group = F.broadcast_sub(group, F.mean(group, axis=2, keepdims=True))
        variance = F.mean(F.square(group), axis=2, keepdims=True)
        group = F.broadcast_mul(group, F.rsqrt(variance + self._epsilon))
        y = F.reshape(F.reshape_like(group, x), (0, 0, -1))
        y = F.broadcast_add(
            F.broadcast_mul(y, F.reshape(gamma, (1, -1, 1))), F.reshape(beta, (1, -1, 1))
        )
        y = F.reshape_like(y, x)
        return F.cast(y, "float16") if self._half else y

    def __repr__(self):
        return f"GroupNorm({self.gamma.shape[0]}, groups={self._groups})"
