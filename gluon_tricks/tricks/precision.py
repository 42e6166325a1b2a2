"""Low precision training (section 3.2): float16 parameters and activations, a float32 master copy,
a scaled loss.

The optimizer updates the float32 weights with the unscaled gradients, and they are cast to float16.
BatchNorm's parameters and statistics stay float32, as Gluon's cast leaves them.
"""

import mxnet as mx

from .compiled import compiled

LEAST, MOST = 1.0, 2.0**24  # the limits of a dynamic scale


class LossScale:
    """The factor on the loss that keeps small float16 gradients from becoming 0.

    A static scale never changes. A dynamic one halves when gradients are not finite and doubles
    after ``growth`` good steps in a row. Whoever updates the parameters skips an update whose
    gradients are not finite.
    """

    def __init__(self, scale="dynamic", growth=2000):
        self.dynamic = scale == "dynamic"
        self.scale = 2.0**16 if self.dynamic else float(scale)
        self.growth = growth
        self.good_steps = 0
        self.skipped = 0
        self.skipped_in_a_row = 0

    def update(self, finite):
        """Note whether a step's gradients were finite, and adapt the scale of the next step."""
        if finite:
            self.good_steps += 1
            self.skipped_in_a_row = 0
            if self.dynamic and self.good_steps % self.growth == 0:
                self.scale = min(MOST, self.scale * 2)
        else:
            self.good_steps = 0
            self.skipped += 1
            self.skipped_in_a_row += 1
            if self.dynamic:
                self.scale = max(LEAST, self.scale / 2)

    def state(self):
        """All that :meth:`restore` needs, for JSON."""
        return {
            name: getattr(self, name)
            for name in ("scale", "good_steps", "skipped", "skipped_in_a_row")
        }

    def restore(self, state):
        """Continue from a :meth:`state`."""
        for name, value in state.items():
            setattr(self, name, value)


class ScaleOnDevice:
    """The same scale on a device, which knows some steps before the host whether gradients were
    finite.

    It starts from the :class:`LossScale` ``scale``, which follows when the host reads the results.
    """

    def __init__(self, scale, device):
        self._growth = scale.growth
        self.value = scale.scale  # a number, or if it is dynamic an NDArray (1,)
        if scale.dynamic:
            self.value = mx.nd.full((1,), scale.scale, ctx=device)
            self._good_steps = mx.nd.full((1,), scale.good_steps % scale.growth, ctx=device)

    def unscale(self, gradients):
        """Divide these NDArrays by the scale if only the device knows it. Returns the factor that
        is left to the optimizer.
        """
        if not isinstance(self.value, mx.nd.NDArray):
            return 1 / self.value
        for gradient in gradients:  # exactly: it is a power of two
            mx.nd.broadcast_div(gradient, self.value, out=gradient)
        return 1.0

    def update(self, finite):
        """As :meth:`LossScale.update`; ``finite`` is an NDArray (1,) of 1 or 0."""
        if isinstance(self.value, mx.nd.NDArray):
            self.value, self._good_steps = _next_scale(
                self.value, self._good_steps, finite, self._growth
            )


@compiled
def _next_scale(scale, good_steps, finite, growth):
    good_steps = (good_steps + 1) * finite
    grows = good_steps == growth
    return (scale * (0.5 + 0.5 * finite + grows)).clip(LEAST, MOST), good_steps * (1 - grows)
