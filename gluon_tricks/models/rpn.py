"""The region proposal network of Faster-RCNN (Ren et al. 2015), as GluonCV builds it.

Parameters have GluonCV's names. Anchors are not among them: GluonCV stores those of 128 x 128
cells, but here they are computed for features of any size.
"""

import math
from typing import Any, List, NamedTuple, Tuple

import mxnet as mx
from mxnet.gluon import nn
from mxnet.gluon.block import HybridBlock

from . import box_ops

STDS = (1.0, 1.0, 1.0, 1.0)
SUPPRESSED = -1.0


class Anchors(NamedTuple):
    """The boxes around each cell of the features, in pixels of the image."""

    stride: int = 16
    base: int = 16
    scales: Tuple[float, ...] = (2, 4, 8, 16, 32)
    ratios: Tuple[float, ...] = (0.5, 1, 2)  # height / width

    @property
    def of_cell(self) -> int:
        """The number of anchors around a cell."""
        return len(self.scales) * len(self.ratios)

    def sizes(self) -> Tuple[List[int], List[int]]:
        """(widths, heights) by ratio, before scaling.

        As in py-faster-rcnn, a square with the stride as its side is changed to the ratio, with
        integer sides.
        """
        widths = [round(self.stride / math.sqrt(ratio)) for ratio in self.ratios]
        heights = [round(width * ratio) for width, ratio in zip(widths, self.ratios)]
        return widths, heights


class Proposals(NamedTuple):
    """The selection among the scored anchors of an image."""

    before: int  # number of the best that are considered
    after: int  # number of those that are kept
    overlap: float = 0.7  # IoU above which the lower-scoring one is suppressed
    smallest: int = 16  # pixels; smaller ones are dropped


class RPN(HybridBlock):
    """Features (n, in_channels, h, w) to scores (n, k), offsets (n, k, 4) and anchors (1, k, 4),
    with k = h w ``anchors.of_cell``.
    """

    def __init__(self, in_channels: int, channels: int, anchors: Anchors, prefix: str = "rpn_"):
        super().__init__(prefix=prefix)
        self._anchors = anchors
        normal = mx.init.Normal(0.01)

        def conv(inputs, outputs, kernel):
            padding = kernel // 2
            return nn.Conv2D(
                outputs, kernel, 1, padding, in_channels=inputs, weight_initializer=normal
            )

        with self.name_scope():
            self.conv1 = nn.HybridSequential(prefix="")
            self.conv1.add(conv(in_channels, channels, 3), nn.Activation("relu"))
            self.score = conv(channels, anchors.of_cell, 1)
            self.loc = conv(channels, 4 * anchors.of_cell, 1)

    def hybrid_forward(self, F, features):
        hidden = self.conv1(features)
        scores = self.score(hidden).transpose((0, 2, 3, 1)).reshape((0, -1))
        offsets = self.loc(hidden).transpose((0, 2, 3, 1)).reshape((0, -1, 4))
        return scores, offsets, F.BlockGrad(self._around_cells(F, features))

    def _around_cells(self, F, features):
        """The anchors (1, k, 4), in the order of the scores: by row, column, ratio and scale.

        The first cell has the pixels 0 to stride - 1; around its centre, a side of s pixels extends
        by (s - 1) / 2 in both directions.
        """
        (left, right), (top, bottom) = (self._reach(F, features, axis) for axis in (3, 2))
        whole = F.broadcast_add(F.zeros_like(left), F.zeros_like(top))
        sides = [F.broadcast_add(side, whole) for side in (left, top, right, bottom)]
        return F.concat(*sides, dim=3).reshape((1, -1, 4))

    def _reach(self, F, features, axis):
        """(begin, end) of the anchors along one axis, each (h or 1, w or 1, of_cell, 1)."""
        anchors = self._anchors
        cells = F.contrib.arange_like(features, axis=axis)
        # a vector, because slicing features in oneDNN's own layout crashes the process
        zero = F.slice_axis(cells, axis=0, begin=0, end=1)
        widths, heights = anchors.sizes()
        sizes = _row(F, zero, widths if axis == 3 else heights).reshape((-1, 1))
        scales = [scale * anchors.base / anchors.stride for scale in anchors.scales]
        sides = F.broadcast_mul(sizes, _row(F, zero, scales).reshape((1, -1)))
        half = ((sides - 1) / 2).reshape((1, 1, -1, 1))
        cells = cells.reshape((1, -1, 1, 1) if axis == 3 else (-1, 1, 1, 1))
        centres = cells * anchors.stride + (anchors.stride - 1) / 2
        return F.broadcast_sub(centres, half), F.broadcast_add(centres, half)


def _row(F, zero, values):
    """A vector of numbers on the device of ``zero``, which has one element."""
    return F.concat(*(zero + value for value in values), dim=0)


def propose(F: Any, found: tuple, limits: Any, settings: Proposals) -> tuple:
    """(boxes (n, settings.after, 4), valid (n, settings.after)): the best boxes that :class:`RPN`
    ``found``, clipped to ``limits`` (n or 1, 1, 4), in descending order of score.

    ``valid`` is 1, or 0 for the missing boxes of an image with fewer.
    """
    scores, offsets, anchors = (F.BlockGrad(one) for one in found)
    boxes = box_ops.clip(F, box_ops.decode(F, offsets, anchors, STDS), limits)
    left, top, right, bottom = F.split(boxes, axis=-1, num_outputs=4)
    smaller = F.broadcast_minimum(right - left, bottom - top) + 1 < settings.smallest
    scores = F.where(smaller, SUPPRESSED * F.ones_like(smaller), F.sigmoid(scores).expand_dims(2))
    kept = F.contrib.box_nms(
        F.concat(scores, boxes, dim=-1),
        overlap_thresh=settings.overlap,
        topk=settings.before,
        coord_start=1,
        score_index=0,
        id_index=-1,
        force_suppress=True,
    )
    first = F.slice_axis(kept, axis=1, begin=0, end=1)
    filling = F.broadcast_axis(F.zeros_like(first) + SUPPRESSED, axis=1, size=settings.after)
    kept = F.slice_axis(F.concat(kept, filling, dim=1), axis=1, begin=0, end=settings.after)
    scores = F.slice_axis(kept, axis=2, begin=0, end=1).reshape((0, -1))
    boxes = F.slice_axis(kept, axis=2, begin=1, end=5)
    return F.BlockGrad(F.maximum(boxes, 0.0)), F.BlockGrad(scores > SUPPRESSED)
