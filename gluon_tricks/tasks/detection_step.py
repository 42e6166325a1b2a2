"""What a step of a detector computes, and what it finds in images: with the parts of the images'
squares that the images take.
"""

from typing import Any, Iterable, Iterator, Sequence, Tuple

import mxnet as mx
import numpy as np

from ..data.box_rows import extent_of
from ..models.faster_rcnn import FasterRCNN, Training
from .detection_figures import found_in
from .detection_numbers import numbers_of
from .matching import Found


class Forward:
    """The values of :class:`gluon_tricks.models.faster_rcnn.Learned`, as a list, of images (n, 3,
    S, S), their labels (n, 1 + m, 6), the number of the step and the records' keys, int64 (n,).
    """

    def __init__(self, net: FasterRCNN, seed: int, hybrid: bool) -> None:
        self._settings, self._seed = net.settings, seed
        self._training = Training(net)
        self._training.hybridize(hybrid)

    def __call__(self, images: Any, labels: Any, step: int, keys: Sequence[int]) -> Any:
        anchors, most = self._settings.anchors, labels.shape[1] - 1
        cells = -(-images.shape[2] // anchors.stride)
        numbers = numbers_of(
            self._seed,
            step,
            keys,
            (anchors.of_cell, cells, cells),
            self._settings.train.after + most,
        )
        placed = [mx.nd.from_numpy(each).as_in_context(images.context) for each in numbers]
        return self._training(cut(images, extent_of(labels.asnumpy())), labels, *placed)


def cut(images: Any, extent: Tuple[int, int]) -> Any:
    """The upper left part, of this height and width, of images (n, 3, S, S)."""
    height, width = extent
    return images.slice_axis(axis=2, begin=0, end=height).slice_axis(axis=3, begin=0, end=width)


def detections(
    net: FasterRCNN, batches: Iterable[Any], devices: Sequence[Any]
) -> Iterator[Tuple[Found, np.ndarray]]:
    """What ``net`` finds in each image of the ``batches``, of :class:`gluon_tricks.data.loader
    .Batch`, at the scale of its record, and the image's label.

    An image is seen alone, so that the others of its batch, and how many devices and workers there
    are, make no difference.
    """
    for batch in batches:
        labels = batch.labels.asnumpy()[: batch.valid]
        outputs = []
        for i in range(batch.valid):
            image = cut(batch.images[i : i + 1], extent_of(labels[i : i + 1]))
            outputs.append(net(image.as_in_context(devices[i % len(devices)])))
        for output, label in zip(outputs, labels):
            yield found_in([each[0].asnumpy() for each in output], label), label
