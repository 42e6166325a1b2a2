"""Samples the anchors and proposals in the loss of a Faster-RCNN step, with their targets.

Everything is a function of the boxes and of random numbers from the caller, so that a step can be
repeated exactly; no generator is used here.
"""

from typing import Any, NamedTuple, Sequence, Tuple

from . import box_ops

ROUNDING = 2.0**-23  # IoUs closer than this count as equal


class Truth(NamedTuple):
    """The boxes of n images: ``corners`` (n, m, 4), ``classes`` (n, m), negative for no box, and
    ``limits`` (n, 1, 4): width, height, width, height of each image.
    """

    corners: Any
    classes: Any
    limits: Any


class Sample(NamedTuple):
    """The labels of k anchors or proposals of n images: ``positive`` and ``negative`` (n, k), 0 or
    1; ``match`` (n, k), the number of the box with the highest IoU.
    """

    positive: Any
    negative: Any
    match: Any


def ious_of(F: Any, boxes: Any, truth: Truth) -> Any:
    """IoU (n, k, m) of boxes (n or 1, k, 4) with the true ones; -1 for missing ones."""
    ious = box_ops.iou(F, boxes, truth.corners)
    there = F.broadcast_like(truth.classes.expand_dims(1) >= 0, ious)
    return F.where(there, ious, -F.ones_like(ious))


def of_anchors(F: Any, anchors: Any, truth: Truth, high: float, low: float) -> Sample:
    """The Sample of all anchors (1, k, 4), before drawing. Positive are those with an IoU of at
    least ``high``, and the best ones of each box if their IoU is at least ``low``; negative are
    those below ``low``. Only anchors entirely inside the image count.
    """
    inside = F.broadcast_lesser(anchors, truth.limits)
    inside = F.broadcast_mul(anchors >= 0, inside).min(axis=2)  # (n, k)
    ious = ious_of(F, anchors, truth)
    counted = F.broadcast_like(inside.expand_dims(2), ious)
    ious = F.where(counted, ious, -F.ones_like(ious))
    highest = ious.max(axis=2)
    best_of_box = ious.max(axis=1, keepdims=True)
    is_best = (F.broadcast_greater(ious + ROUNDING, best_of_box) * (ious > 0)).max(axis=2)
    positive = F.maximum(highest >= high, is_best * (highest >= low)) * inside
    return Sample(positive, (highest < low) * inside, ious.argmax(axis=2))


def of_proposals(F: Any, boxes: Any, valid: Any, truth: Truth, high: float) -> Sample:
    """The Sample of all boxes (n, k, 4), before drawing. Positive are those with an IoU of at least
    ``high``, negative the others; only ``valid`` (n, k) ones count.
    """
    ious = ious_of(F, boxes, truth)
    positive = (ious.max(axis=2) >= high) * valid
    return Sample(positive, valid * (1 - positive), ious.argmax(axis=2))


class Drawn(NamedTuple):
    """The drawn ones among k anchors or proposals of n images, and their labels."""

    order: Any  # (n, k): 1 to 2 if positive, 0 to 1 if negative, else -1
    match: Any  # (n, k)

    @property
    def labels(self) -> Any:
        """(n, k): 1 for an object, else 0."""
        return self.order >= 1

    @property
    def weights(self) -> Any:
        """(n, k): 1 for drawn ones, else 0."""
        return self.order >= 0


def draw_anchors(F: Any, sample: Sample, numbers: Any, count: int, positive: int) -> Drawn:
    """Draw at most ``positive`` positive anchors and fill up to ``count`` with negative ones, by
    numbers (n, k), uniform in [0, 1).
    """
    order = _order(F, sample, numbers, positive)
    return Drawn(F.where(_largest(F, order, count), order, -F.ones_like(order)), sample.match)


def draw_regions(
    F: Any, sample: Sample, numbers: Any, count: int, positive: int, boxes: Any
) -> Tuple[Any, Drawn]:
    """Draw ``count`` of k >= ``count`` boxes likewise: (boxes (n, count, 4), their Drawn)."""
    order = _order(F, sample, numbers, positive)
    places = F.topk(order, k=count, axis=1, ret_typ="indices")
    found = (box_ops.gather(F, rows, places) for rows in (boxes, order, sample.match))
    boxes, order, match = (F.BlockGrad(one) for one in found)
    return boxes, Drawn(order, match)


def targets_of(F: Any, drawn: Drawn, boxes: Any, truth: Truth, stds: Sequence[float]) -> Any:
    """The offsets (n, k, 4) from boxes (n or 1, k, 4) to the true boxes of the positive ones; 0 for
    the others.
    """
    offsets = box_ops.encode(F, box_ops.gather(F, truth.corners, drawn.match), boxes, stds)
    positive = F.broadcast_axis(drawn.labels.expand_dims(2), axis=2, size=4)
    return F.BlockGrad(F.where(positive, offsets, F.zeros_like(offsets)))


def _order(F, sample, numbers, positive):
    nothing = -F.ones_like(numbers)
    chosen = _largest(F, F.where(sample.positive, numbers, nothing), positive)
    order = F.where(sample.negative, numbers, nothing)
    return F.BlockGrad(F.where(chosen * sample.positive, numbers + 1, order))


def _largest(F, values, count):
    """(n, k): 1 at the ``count`` largest values (n, k), or at all of them if there are fewer."""
    first = F.slice_axis(values, axis=1, begin=0, end=1)
    filling = F.broadcast_axis(F.zeros_like(first), axis=1, size=count) - 2
    mask = F.topk(F.concat(values, filling, dim=1), k=count, axis=1, ret_typ="mask")
    return F.slice_like(mask, values, axes=(1,))
