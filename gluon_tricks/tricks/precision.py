"""Low precision training (section 3.2): float16 parameters and activations, a float32 master copy,
a scaled loss.

The master copy is the optimizer's own (``multi_precision=True``): it updates the float32 weights
with the gradients and casts them to float16. BatchNorm's parameters and statistics stay float32, as
Gluon's cast leaves them.
"""

import mxnet as mx

MOST_ARRAYS = 100  # with more than 200, MXNet's multi_all_finite writes beyond its memory


class LossScale:
    """The factor on the loss that keeps small float16 gradients from becoming 0.

    A static scale never changes. A dynamic one halves when gradients are not finite and doubles
    after ``growth`` good steps in a row. The update of a step whose gradients are not finite is to
    be skipped in either case.
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
                self.scale = min(2.0**24, self.scale * 2)
        else:
            self.good_steps = 0
            self.skipped += 1
            self.skipped_in_a_row += 1
            if self.dynamic:
                self.scale = max(1.0, self.scale / 2)

    def state(self):
        """All that :meth:`restore` needs, for JSON."""
        return {
            name: getattr(self, name)
            for name in ("scale", "good_steps", "skipped", "skipped_in_a_row")
        }

    def restore(self, state):
        """Go on from a :meth:`state`."""
        for name, value in state.items():
            setattr(self, name, value)


def all_finite(gradients):
    """Whether every element of every NDArray is finite. Waits for the gradients."""
    # The operator takes arrays of one device and one dtype: float16 weights next to float32
    # BatchNorm parameters.
    groups = {}
    for gradient in gradients:
        groups.setdefault((gradient.context, gradient.dtype), []).append(gradient)
    flags = []
    for group in groups.values():
        for start in range(0, len(group), MOST_ARRAYS):
            part = group[start : start + MOST_ARRAYS]
            flags.append(mx.nd.multi_all_finite(*part, num_arrays=len(part)))
    return all(bool(flag.asscalar()) for flag in flags)
