"""What a training step of a detector computes, and the detections in images. Both cut the padding
off the square in which an image lies.
"""

from typing import Any, Iterable, Iterator, Sequence, Tuple

import numpy as np
from mxnet.gluon.block import HybridBlock

from ..data.box_rows import extent_of, most_boxes
from ..models.faster_rcnn import FasterRCNN, Learned, Training
from ..tricks.compiled import AT_ONCE, to_device
from .detection_figures import found_in
from .detection_losses import losses
from .detection_numbers import numbers_of
from .matching import Found


class Losses(HybridBlock):
    """The four losses (n, 4) of :mod:`.detection_losses`, from the inputs of :class:`Training`."""

    def __init__(self, net: FasterRCNN) -> None:
        super().__init__(prefix=net.prefix)
        self._training = Training(net)

    def hybrid_forward(self, F, *inputs):
        return losses(Learned(*self._training(*inputs)), F)


class Forward:
    """A function from images (n, 3, S, S), their labels (n, 1 + m, 6), the step's number and the
    records' keys, int64 (n,), to the four losses, float32 (n, 4).
    """

    def __init__(self, net: FasterRCNN, seed: int, hybrid: bool) -> None:
        self._settings, self._seed = net.settings, seed
        self._losses = Losses(net)
        self._losses.hybridize(hybrid, **AT_ONCE)

    def __call__(self, images: Any, labels: Any, step: int, keys: Sequence[int]) -> Any:
        anchors, after = self._settings.anchors, self._settings.train.after
        known = labels.asnumpy()
        cells = -(-images.shape[2] // anchors.stride)
        of_anchors, of_regions = numbers_of(
            self._seed, step, keys, (anchors.of_cell, cells, cells), after + labels.shape[1] - 1
        )
        # Every row of the labels costs an IoU with each anchor, so rows without a box are cut off.
        boxes = max(1, most_boxes(known))
        numbers = of_anchors, np.ascontiguousarray(of_regions[:, : after + boxes])
        placed = [to_device(each, images.context) for each in numbers]
        labels = labels.slice_axis(axis=1, begin=0, end=1 + boxes)
        return self._losses(cut(images, extent_of(known)), labels, *placed)


def cut(images: Any, extent: Tuple[int, int]) -> Any:
    """The upper left part of images (n, 3, S, S), of this height and width."""
    height, width = extent
    return images.slice_axis(axis=2, begin=0, end=height).slice_axis(axis=3, begin=0, end=width)


def detections(
    net: FasterRCNN, batches: Iterable[Any], devices: Sequence[Any]
) -> Iterator[Tuple[Found, np.ndarray]]:
    """(what ``net`` finds in an image, at the scale of its record; the image's label) for each
    image of the ``batches``, which are :class:`gluon_tricks.data.loader.Batch`.

    The network sees one image at a time, so the other images of a batch and the numbers of devices
    and workers make no difference.
    """
    for batch in batches:
        labels = batch.labels.asnumpy()[: batch.valid]
        outputs = []
        for i in range(batch.valid):
            image = cut(batch.images[i : i + 1], extent_of(labels[i : i + 1]))
            outputs.append(net(image.as_in_context(devices[i % len(devices)])))
        for output, label in zip(outputs, labels):
            yield found_in([each[0].asnumpy() for each in output], label), label
