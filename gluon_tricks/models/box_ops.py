"""Formulas of boxes, for NDArrays and for symbols: ``F`` is mx.nd or mx.sym.

Boxes are left, top, right, bottom. As in GluonCV's Faster-RCNN, a box is right - left wide, and
offsets are those of R-CNN (Girshick et al. 2014): differences of the centres relative to the
anchor's size, and logarithms of the ratios of the sizes, all divided by ``stds``.
"""

from typing import Any, Sequence

LARGEST = 2**24  # pixels


def sizes_and_centres(F: Any, boxes: Any) -> tuple:
    """(width, height, x, y), each (..., 1), of boxes (..., 4)."""
    left, top, right, bottom = F.split(boxes, axis=-1, num_outputs=4)
    width, height = right - left, bottom - top
    return width, height, left + width * 0.5, top + height * 0.5


def decode(F: Any, offsets: Any, anchors: Any, stds: Sequence[float]) -> Any:
    """The boxes with offsets (..., 4) from anchors (..., 4), which are broadcast."""
    width, height, x, y = sizes_and_centres(F, anchors)
    right, down, wider, higher = F.split(offsets, axis=-1, num_outputs=4)
    x = F.broadcast_add(F.broadcast_mul(right * stds[0], width), x)
    y = F.broadcast_add(F.broadcast_mul(down * stds[1], height), y)
    half_width = F.broadcast_mul(F.exp(wider * stds[2]), width) * 0.5
    half_height = F.broadcast_mul(F.exp(higher * stds[3]), height) * 0.5
    sides = x - half_width, y - half_height, x + half_width, y + half_height
    return F.concat(*sides, dim=-1)


def encode(F: Any, boxes: Any, anchors: Any, stds: Sequence[float]) -> Any:
    """The offsets of boxes (n, k, 4) from anchors (n or 1, k, 4); not finite if one has no area."""
    width, height, x, y = sizes_and_centres(F, boxes)
    anchor_width, anchor_height, anchor_x, anchor_y = sizes_and_centres(F, anchors)
    offsets = (
        F.broadcast_div(F.broadcast_sub(x, anchor_x), anchor_width) / stds[0],
        F.broadcast_div(F.broadcast_sub(y, anchor_y), anchor_height) / stds[1],
        F.log(F.broadcast_div(width, anchor_width)) / stds[2],
        F.log(F.broadcast_div(height, anchor_height)) / stds[3],
    )
    return F.concat(*offsets, dim=-1)


def clip(F: Any, boxes: Any, limits: Any) -> Any:
    """Boxes (n, k, 4) cut off below 0 and above ``limits`` (n or 1, 1, 4)."""
    return F.broadcast_minimum(F.maximum(boxes, 0.0), limits)


def finite(F: Any, boxes: Any) -> Any:
    """Boxes with 0 in place of every number that is not finite, which would crash ROIAlign, or that
    is larger than any image.
    """
    return F.where(F.abs(boxes) < LARGEST, boxes, F.zeros_like(boxes))


def iou(F: Any, boxes: Any, others: Any) -> Any:
    """Intersection over union (n, k, m) of boxes (n or 1, k, 4) and (n, m, 4); 0 without area."""
    first = [one.expand_dims(2) for one in _columns(F, boxes)]
    second = [one.expand_dims(1) for one in _columns(F, others)]
    start = [F.broadcast_maximum(first[side], second[side]) for side in (0, 1)]
    stop = [F.broadcast_minimum(first[side], second[side]) for side in (2, 3)]
    width, height = (F.maximum(end - begin, 0.0) for begin, end in zip(start, stop))
    common = width * height
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in (first, second)]
    union = F.broadcast_add(*areas) - common
    return F.where(union > 0, common / union, F.zeros_like(union))


def _columns(F, boxes):
    return F.split(boxes, axis=-1, num_outputs=4, squeeze_axis=True)


def gather(F: Any, rows: Any, places: Any) -> Any:
    """``rows[i, places[i, j]]``, (n, j, ...), of rows (n, k, ...) and places (n, j); n k is at most
    2^24.

    On a GPU, gather_nd checks the places in a single thread, and waits for the result.
    """
    count = F.max(F.contrib.arange_like(rows, axis=1)) + 1
    first = F.broadcast_mul(F.contrib.arange_like(places, axis=0), count)
    return F.take(F.reshape(rows, (-3, -2)), F.broadcast_add(F.reshape(first, (-1, 1)), places))
