"""Semantic segmentation (section 6.2): a class for each pixel; cross entropy, pixel accuracy, mean
intersection over union (mIoU).

The loss is the mean cross entropy over the labelled pixels, plus ``aux_weight`` times that of the
auxiliary head. The figures are those of GluonCV's SegmentationMetric and of ADE20K's own code: the
mean IoU is over all classes, and a class that occurs neither in the masks nor among the predictions
counts as 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence

import numpy as np

from ..tricks.compiled import compiled
from .figure import Figure

if TYPE_CHECKING:  # as in classification.py
    from mxnet.nd import NDArray

NONE = 255  # the value of a mask's pixel that belongs to no class


class Segmentation:
    """The task of a run.

    Masks are uint8 (n, H, W), classes or 255. A network's outputs are logits (n, K, H, W), or in
    training a list of them and of the auxiliary head's.

    Parameters
    ----------
    classes : int
        K.
    aux_weight : float
        The weight of the auxiliary head's loss.
    pixel_mean : str
        ``paper``: the mean over the labelled pixels of a part of the batch. ``gluoncv``: this mean
        divided by the part's images, because the authors' loss is already such a mean
        (SoftmaxOutput with ``normalization="valid"``, which ignores the incoming gradient) and
        their step divides it by the batch again.
    """

    figures = (
        Figure("loss", "loss", digits=4, higher_is_better=False),
        Figure("miou", "mIoU", "%"),
        Figure("accuracy", "pixel accuracy", "%"),
    )
    about_figures = (
        " (that of the auxiliary head adds to it)",
        ". mIoU is the mean over all classes, of which one that occurs nowhere counts as 0. "
        "Validation measures the centre crop of each image: 'gluon-tricks evaluate' gives the "
        "figures of whole images",
    )
    best = "miou"
    # The kinds of sums. An instance has the loss and, of the labelled pixels, the number of each
    # kind and class, such as "predicted 7".
    sums: Sequence[str] = ("loss", "intersection", "predicted", "labelled")
    counts = ("intersection", "predicted", "labelled")

    def __init__(self, classes: int, aux_weight: float = 0.5, pixel_mean: str = "paper"):
        self._classes, self._aux_weight, self._pixel_mean = classes, aux_weight, pixel_mean
        pixels = [f"{kind} {number}" for kind in self.counts for number in range(classes)]
        self.sums = ("loss", *pixels)

    @classmethod
    def from_config(cls, config: Any) -> Segmentation:
        """The task that the flags of a run ask for."""
        return cls(config.classes, config.aux_weight, config.pixel_mean)

    def targets(self, labels: NDArray) -> NDArray:
        """The masks themselves."""
        return labels

    def labels(self, targets: NDArray) -> NDArray:
        """The masks themselves."""
        return targets

    def losses(self, outputs: Any, targets: NDArray) -> NDArray:
        """The loss (n,), float32, of each image: its pixels' share, so that the mean over images is
        the mean over labelled pixels.
        """
        logits, *auxiliary = _list(outputs)
        losses = summed_cross_entropy(logits, targets)
        for others in auxiliary:
            losses = losses + self._aux_weight * summed_cross_entropy(others, targets)
        return losses * self._share(targets)

    def validation_losses(self, outputs: Any, labels: NDArray) -> NDArray:
        """The same losses without the auxiliary head."""
        return summed_cross_entropy(_list(outputs)[0], labels) * self._share(labels)

    def _share(self, masks):
        """The weight of a pixel's loss in :meth:`losses`, (1,)."""
        images = masks.shape[0] if self._pixel_mean == "paper" else 1
        return images / labelled_pixels(masks)

    def count(
        self, outputs: Any, labels: NDArray, losses: NDArray, valid: Optional[int] = None
    ) -> NDArray:
        """What a batch adds to the named :attr:`sums`, computed on its device.

        Parameters
        ----------
        outputs : NDArray (n, K, H, W), or a list that begins with it
        labels : NDArray uint8 (n, H, W)
        losses : NDArray (n,)
        valid : int
            Only the first ``valid`` images are counted; default n.

        Returns
        -------
        NDArray (1 + 3 K,), float32
            The sum of the pixels' losses, and for each class the numbers of its pixels that were
            found, that were predicted, and that are in the masks. Of equal logits, the smaller
            class is predicted; of logits that are not finite, none. Counts are exact up to 2^24
            pixels.
        """
        import mxnet as mx

        share = self._share(labels)
        logits, labels, losses = (
            each.slice_axis(axis=0, begin=0, end=valid)
            for each in (_list(outputs)[0], labels, losses)
        )
        areas = _areas(logits, labels, self._classes)
        return mx.nd.concat(losses.sum().reshape((1,)) / share, areas, dim=0)

    @staticmethod
    def summary(sums: Sequence[float], images: int) -> Dict[str, float]:
        """The figures from the :attr:`sums` over ``images`` images, and the number of images."""
        found, predicted, labelled = np.reshape(sums[1:], (3, -1))
        pixels = max(1.0, labelled.sum())
        iou = intersection_over_union(found, predicted, labelled)
        return dict(
            loss=sums[0] / pixels,
            miou=100 * float(iou.mean()),
            accuracy=100 * float(found.sum() / pixels),
            images=images,
        )


def intersection_over_union(
    found: np.ndarray, predicted: np.ndarray, labelled: np.ndarray
) -> np.ndarray:
    """The IoU of each class's pixels, float64 (K,), in [0, 1]; 0 for one that occurs nowhere."""
    union = predicted + labelled - found
    return found / np.maximum(union, 1)


def _list(outputs: Any) -> List[NDArray]:
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


@compiled
def summed_cross_entropy(logits, masks):
    """The cross entropy of each image, float32 (n,), summed over its labelled pixels."""
    masks = masks.astype("float32")
    labelled = masks != NONE
    own = logits.astype("float32").log_softmax(axis=1).pick(masks * labelled, axis=1)
    return -(own * labelled).sum(axis=(1, 2))


@compiled
def labelled_pixels(masks):
    """The number of labelled pixels, at least 1: (1,)."""
    from mxnet import sym

    return sym.maximum((masks.astype("float32") != NONE).sum().reshape((1,)), 1)


def _areas(logits, masks, classes):
    """The pixels of each class that were found, that were predicted, and that are in the masks:
    float32 (3 K,).
    """
    import mxnet as mx

    # A histogram cannot be part of a graph, because it has no gradient.
    found = [
        mx.nd.histogram(values, bins=classes, range=(0.5, classes + 0.5))[0]
        for values in _numbered(logits, masks)
    ]
    return mx.nd.cast(mx.nd.concat(*found, dim=0), dtype="float32")


@compiled
def _numbered(logits, masks):
    """For each pixel, the class that was found, that was predicted, and that is in the mask, each
    (n, H, W): its number plus 1, or 0 if nothing counts.
    """
    logits, masks = logits.astype("float32"), masks.astype("float32")
    labelled = masks != NONE
    finite = logits.sum(axis=1).abs() < np.inf
    predicted = (logits.argmax(axis=1) + 1) * labelled * finite
    truth = (masks + 1) * labelled
    return truth * (predicted == truth), predicted, truth
