"""Faster-RCNN (Ren et al. 2015) on the paper's networks, for detection (section 6.1), as GluonCV
builds it: the first three stages run on the image, the fourth on each region.

Parameters have the names of GluonCV's network, so files of its zoo load here. The differences:

- any number of images of one size at a time, in evaluation, too, and small images with fewer
  anchors than the requested proposals; missing ones are not detections, where GluonCV stops, or
  uses the network's output for an empty box;
- images without boxes are trained on: all their regions are background;
- :class:`Training` is a separate network with the same parameters, so that neither has to be
  hybridized again;
- the samples of a step follow from given random numbers, see :mod:`.box_sampling`;
- ``most`` detections are returned, the best of all classes. GluonCV ignores its ``post_nms``.
"""

from typing import Any, NamedTuple, Optional, Tuple

import mxnet as mx
from mxnet.gluon import nn
from mxnet.gluon.block import HybridBlock

from . import box_ops, box_sampling
from .box_sampling import Truth
from .resnet import ResNet, resnet
from .rpn import RPN, Anchors, Proposals, propose
from .rpn import STDS as OF_ANCHORS

BEFORE = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3")
FROZEN = BEFORE[:5]  # as in GluonCV's published training; in the other layers, only the norms
OF_REGIONS = (0.1, 0.1, 0.2, 0.2)  # the divisors of regions' offsets
SAMPLES_IN_BIN = 2  # per bin of a region, in height and in width


class Settings(NamedTuple):
    """The numbers of a Faster-RCNN; the defaults are those of GluonCV's on PASCAL VOC."""

    anchors: Anchors = Anchors()
    rpn_channels: int = 1024
    roi_size: int = 14  # bins of a region, in height and in width
    train: Proposals = Proposals(12000, 2000)
    test: Proposals = Proposals(6000, 300)
    # detections
    score: float = 0.01  # the lowest score of a detection
    overlap: float = 0.3  # IoU above which a class's lower-scoring detection is suppressed
    best_of_class: int = 400
    most: int = 100
    # the samples of a step
    rpn_sample: int = 256
    rpn_high: float = 0.7
    rpn_low: float = 0.3
    rpn_positive: float = 0.5
    sample: int = 128
    high: float = 0.5
    positive: float = 0.25


class Learned(NamedTuple):
    """The outputs of :class:`Training` for n images: the network's, and their targets.

    The weights are 1 for samples and else 0. Offsets of anchors and regions count where they are
    positive (label above 0).
    """

    rpn_scores: Any  # (n, k): logits of "here is an object"
    rpn_labels: Any  # (n, k): 1 for an object, 0 for background
    rpn_weights: Any  # (n, k)
    rpn_offsets: Any  # (n, k, 4)
    rpn_targets: Any  # (n, k, 4)
    logits: Any  # (n, sample, classes + 1), the background first
    labels: Any  # (n, sample)
    weights: Any  # (n, sample)
    offsets: Any  # (n, sample, 4): those of the labelled class
    targets: Any  # (n, sample, 4)


class FasterRCNN(HybridBlock):
    """Images, float (n, 3, H, W), to (classes (n, most, 1), scores (n, most, 1), boxes (n, most,
    4)) in descending order of score; class -1 means no detection.

    Parameters
    ----------
    backbone : ResNet
        A ResNet with ``features_only`` and frozen norms. Its layers become layers of this network.
    classes : int
        K, without the background.
    settings : Settings
        All the numbers.
    """

    head_layers = ("class_predictor", "box_predictor")  # those that depend on the number of classes
    no_classes = 1  # outputs of the first one for no class: the background
    computed = ("rpn.anchor_generator.anchors",)  # extra parameters in GluonCV's files
    backbone: ResNet

    def __init__(
        self,
        backbone: ResNet,
        classes: int,
        settings: Settings = Settings(),
        prefix: Optional[str] = None,
    ):
        super().__init__(prefix=prefix)
        self.classes, self.settings = classes, settings
        # The features, which share their parameters with this network, and into which a
        # classifier's file is loaded. They are not a child, since its name would be part of the
        # parameters' names.
        object.__setattr__(self, "backbone", backbone)
        self.features = nn.HybridSequential(prefix="")
        self.features.add(*(backbone._children[name] for name in BEFORE))
        self.top_features = nn.HybridSequential(prefix="")
        self.top_features.add(backbone._children["layer4"])
        channels = backbone.channels
        with self.name_scope():
            self.class_predictor = _dense(channels, classes + 1, 0.01)
            self.box_predictor = _dense(channels, 4 * classes, 0.001)
            self.rpn = RPN(channels // 2, settings.rpn_channels, settings.anchors)
        freeze(self)

    def hybrid_forward(self, F, images):
        features = self.features(images)
        settings = self.settings
        boxes, valid = propose(F, self.rpn(features), limits_of(F, images), settings.test)
        logits, offsets = self.judge(F, features, boxes, settings.test.after)
        scores = F.broadcast_mul(F.softmax(logits), valid.expand_dims(2))
        scores = F.slice_axis(scores, axis=2, begin=1, end=None).transpose((0, 2, 1))
        offsets = offsets.transpose((0, 2, 1, 3))  # (n, classes, regions, 4)
        boxes = box_ops.decode(F, offsets, boxes.expand_dims(1), OF_REGIONS)
        return self._detections(F, scores, boxes)

    def judge(self, F: Any, features: Any, boxes: Any, count: int) -> Tuple[Any, Any]:
        """(logits (n, count, classes + 1), offsets (n, count, classes, 4)) of regions (n, count,
        4).
        """
        # ROIAlign does not check a region's image number and corners. In files from elsewhere,
        # deploy/symbol_file.py requires exactly these operators for them.
        image = F.contrib.arange_like(features, axis=0).reshape((-1, 1, 1))
        first = F.slice_axis(boxes, axis=2, begin=0, end=1)
        image = F.broadcast_add(F.zeros_like(first), image).reshape((-1, 1))
        corners = box_ops.finite(F, boxes.reshape((-1, 4)))
        regions = F.BlockGrad(F.concat(image, corners, dim=1))
        size, stride = self.settings.roi_size, self.settings.anchors.stride
        pooled = F.contrib.ROIAlign(
            features, regions, (size, size), 1 / stride, sample_ratio=SAMPLES_IN_BIN
        )
        seen = F.contrib.AdaptiveAvgPooling2D(self.top_features(pooled), output_size=1)
        logits = self.class_predictor(seen).reshape((-1, count, self.classes + 1))
        return logits, self.box_predictor(seen).reshape((-1, count, self.classes, 4))

    def _detections(self, F, scores, boxes):
        """The result, from scores (n, classes, regions) and boxes (n, classes, regions, 4)."""
        settings = self.settings
        label = F.contrib.arange_like(scores, axis=1).reshape((1, -1, 1))
        label = F.broadcast_add(F.zeros_like(scores), label)
        likely = scores > settings.score
        label = F.where(likely, label, -F.ones_like(label))
        scores = F.where(likely, scores, F.zeros_like(scores))
        rows = F.concat(label.expand_dims(3), scores.expand_dims(3), boxes, dim=3)
        form = dict(id_index=0, score_index=1, coord_start=2)
        rows = F.contrib.box_nms(
            rows.reshape((-1, settings.test.after, 6)),
            overlap_thresh=settings.overlap,
            topk=settings.best_of_class,
            valid_thresh=0.0001,
            **form,
        )
        rows = rows.reshape((-1, self.classes * settings.test.after, 6))
        # a threshold above 1 suppresses nothing, but sorts all
        rows = F.contrib.box_nms(rows, overlap_thresh=2, topk=settings.most, **form)
        most = min(settings.most, self.classes * settings.test.after)
        rows = F.slice_axis(rows, axis=1, begin=0, end=most)
        return tuple(
            F.slice_axis(rows, axis=2, begin=begin, end=end)
            for begin, end in ((0, 1), (1, 2), (2, 6))
        )


class Rows(HybridBlock):
    """Images, float (n, 3, H, W), to the detections of a FasterRCNN as one array (n, most, 6):
    class, score, left, top, right, bottom.
    """

    def __init__(self, net: FasterRCNN):
        super().__init__(prefix=net.prefix + "rows_")
        self.net = net

    def hybrid_forward(self, F, images):
        return F.concat(*self.net(images), dim=2)


class Training(HybridBlock):
    """(Images, labels, numbers of anchors, numbers of regions) to the values of :class:`Learned`,
    with the parameters of a FasterRCNN.

    labels: float (n, 1 + m, 6), as in :mod:`gluon_tricks.data.box_rows`. Numbers are uniform in [0,
    1): for anchors (n, of_cell, rows, columns), with at least as many cells as the features have;
    for regions (n, train.after + m).
    """

    def __init__(self, net: FasterRCNN):
        super().__init__(prefix=net.prefix)
        if net.settings.sample > net.settings.train.after:
            raise ValueError("a step cannot sample more regions than the proposals leave")
        self.net = net

    def hybrid_forward(self, F, images, labels, anchor_numbers, region_numbers):
        net, settings = self.net, self.net.settings
        truth = truth_of(F, labels)
        features = net.features(images)
        found = scores, offsets, anchors = net.rpn(features)
        numbers = F.slice_like(anchor_numbers, features, axes=(2, 3))
        numbers = numbers.transpose((0, 2, 3, 1)).reshape((0, -1))
        anchors_drawn = self._draw_anchors(F, anchors, truth, numbers)
        proposed = propose(F, found, truth.limits, settings.train)
        boxes, drawn = self._draw_regions(F, *proposed, truth, region_numbers)
        logits, of_classes = net.judge(F, features, boxes, settings.sample)
        classes = box_ops.gather(F, truth.classes, drawn.match)
        return (
            scores,
            anchors_drawn.labels,
            anchors_drawn.weights,
            offsets,
            box_sampling.targets_of(F, anchors_drawn, anchors, truth, OF_ANCHORS),
            logits,
            F.where(drawn.labels, classes + 1, F.zeros_like(classes)),
            drawn.weights,
            _of_class(F, of_classes, classes),
            box_sampling.targets_of(F, drawn, boxes, truth, OF_REGIONS),
        )

    def _draw_anchors(self, F, anchors, truth, numbers):
        settings = self.net.settings
        sample = box_sampling.of_anchors(F, anchors, truth, settings.rpn_high, settings.rpn_low)
        positive = round(settings.rpn_sample * settings.rpn_positive)
        return box_sampling.draw_anchors(F, sample, numbers, settings.rpn_sample, positive)

    def _draw_regions(self, F, boxes, valid, truth, numbers):
        settings = self.net.settings
        boxes = F.concat(boxes, truth.corners, dim=1)  # the true boxes are regions, too
        valid = F.concat(valid, truth.classes >= 0, dim=1)
        sample = box_sampling.of_proposals(F, boxes, valid, truth, settings.high)
        positive = round(settings.sample * settings.positive)
        return box_sampling.draw_regions(F, sample, numbers, settings.sample, positive, boxes)


def faster_rcnn(
    name: str, classes: int = 20, settings: Settings = Settings(), **options: Any
) -> FasterRCNN:
    """The :class:`FasterRCNN` called ``name``, for instance ``faster_rcnn_resnet50_v1d``.

    options: those of the backbone.
    """
    options.setdefault("prefix", name + "_")
    norm_kwargs = {"use_global_stats": True, **options.pop("norm_kwargs", {})}
    backbone = resnet(
        name[len("faster_rcnn_") :], features_only=True, norm_kwargs=norm_kwargs, **options
    )
    return FasterRCNN(backbone, classes, settings, prefix=options["prefix"])


def freeze(net: FasterRCNN) -> None:
    """Freeze what GluonCV freezes: stem, first stage, and all norms, which always use their running
    statistics.
    """
    for layer in FROZEN:
        net.backbone._children[layer].collect_params().setattr("grad_req", "null")
    for name, parameter in net.collect_params().items():
        if name.endswith(("_gamma", "_beta")):
            parameter.grad_req = "null"


def limits_of(F: Any, images: Any) -> Any:
    """(1, 1, 4): width, height, width, height of the images."""
    columns, rows = (F.contrib.arange_like(images, axis=axis) for axis in (3, 2))
    width, height = (F.slice_axis(one, axis=0, begin=-1, end=None) + 1 for one in (columns, rows))
    return F.concat(width, height, width, height, dim=0).reshape((1, 1, 4))


def truth_of(F: Any, labels: Any) -> Truth:
    """The :class:`.box_sampling.Truth` in labels (n, 1 + m, 6)."""
    labels = F.BlockGrad(labels)
    size = F.reverse(
        labels.slice_axis(axis=1, begin=0, end=1).slice_axis(axis=2, begin=0, end=2), axis=2
    )
    boxes = F.slice_axis(labels, axis=1, begin=1, end=None)
    corners = F.slice_axis(boxes, axis=2, begin=0, end=4)
    classes = F.slice_axis(boxes, axis=2, begin=4, end=5).reshape((0, -1))
    return Truth(corners, classes, F.tile(size, reps=(1, 1, 2)))


def _of_class(F, offsets, classes):
    """(n, k, 4) of offsets (n, k, classes, 4): those of a region's class, or of any class if it has
    none.
    """
    index = F.broadcast_axis(F.maximum(classes, 0).expand_dims(2), axis=2, size=4)
    return F.pick(offsets, index, axis=2)


def _dense(inputs, outputs, deviation):
    return nn.Dense(outputs, in_units=inputs, weight_initializer=mx.init.Normal(deviation))
