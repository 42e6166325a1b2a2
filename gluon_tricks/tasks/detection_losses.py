"""The four losses of Faster-RCNN, as in GluonCV's published training.

They ask whether an anchor is an object (sigmoid cross-entropy) and where that is, and which class a
region is (softmax cross-entropy) and where that is. Each is a sum over an image's sampled anchors
or regions, divided by their number, positive and negative ones together. GluonCV takes both over
all images of a device; with one image on a device this is the same.
"""

from typing import Any

import mxnet as mx

from ..models.faster_rcnn import Learned

RPN_BEND, BOX_BEND = 1 / 9, 1.0  # where a Huber loss becomes linear


def losses(learned: Learned, F: Any = mx.nd) -> Any:
    """float32 (n, 4): the losses of the anchors' objects and boxes, and of the regions' classes and
    boxes.
    """
    rpn = sigmoid_cross_entropy(F, learned.rpn_scores, learned.rpn_labels)
    rpn_box = huber(F, learned.rpn_offsets - learned.rpn_targets, RPN_BEND)
    classes = F.log_softmax(learned.logits.astype("float32"))
    of_class = -F.pick(classes, learned.labels, axis=2)
    box = huber(F, learned.offsets - learned.targets, BOX_BEND)
    of_anchors, of_regions = learned.rpn_weights, learned.weights
    parts = (
        (rpn * of_anchors, of_anchors),
        (rpn_box * (learned.rpn_labels > 0) * of_anchors, of_anchors),
        (of_class * of_regions, of_regions),
        (box * (learned.labels > 0) * of_regions, of_regions),
    )
    return F.stack(
        *(loss.sum(axis=1) / F.maximum(counted.sum(axis=1), 1) for loss, counted in parts), axis=1
    )


def sigmoid_cross_entropy(F: Any, scores: Any, labels: Any) -> Any:
    """The loss (n, k) of logits (n, k) and labels (n, k), 0 or 1."""
    scores = scores.astype("float32")
    return F.relu(scores) - scores * labels + F.log1p(F.exp(-scores.abs()))


def huber(F: Any, differences: Any, bend: float) -> Any:
    """The loss (n, k) of differences (n, k, 4), summed over the last axis: quadratic up to
    ``bend``, then linear with slope 1.
    """
    size = differences.astype("float32").abs()
    return F.where(size > bend, size - 0.5 * bend, size.square() * (0.5 / bend)).sum(axis=2)
