"""Progressive resizing: begin with small images, which are faster (fast.ai; MosaicML's Composer).

The size stays at ``start`` until a share ``begin`` of the steps is done, then grows linearly until
the share ``end``, and is full from there on. In between it is rounded to a multiple, but stays
within these two sizes.
"""

import mxnet as mx


def size_at(step, total_steps, start, full, ramp, multiple):
    """Height and width of the images of a step, counted from 0; ``ramp``: (begin, end)."""
    begin, end = (share * total_steps for share in ramp)
    if step >= end:
        return full
    if step <= begin:
        return start
    size = start + (full - start) * (step - begin) / (end - begin)
    return min(full, max(start, round(size / multiple) * multiple))


class ProgressiveResizing:
    """A batch mixing that resizes the images on their device, bilinearly and without smoothing."""

    def __init__(self, total_steps, start, full, ramp=(0.4, 0.8), multiple=4):
        self._settings = total_steps, start, full, ramp, multiple

    @classmethod
    def from_config(cls, config, steps_per_epoch):
        """What the flags of a run ask for, or None."""
        if not config.progressive_resizing:
            return None
        total, start = config.num_epochs * steps_per_epoch, config.progressive_resizing
        return cls(total, start, config.input_size, config.resizing_ramp, config.resizing_multiple)

    def __call__(self, images, targets, step, part):
        size = size_at(step, *self._settings)
        if images.shape[2] != size:
            images = mx.nd.contrib.BilinearResize2D(
                images, height=size, width=size, align_corners=False
            )
        return images, targets
