"""Image classification: one class for each image; cross entropy, top-1 and top-5.

A task defines its targets, its loss and its figures. The training loop, the log, the checkpoints
and the reports know nothing else about it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, Optional, Sequence

import numpy as np

from ..tricks.binary_cross_entropy import binary_cross_entropy
from ..tricks.compiled import compiled
from ..tricks.label_smoothing import cross_entropy, smooth
from .figure import Figure

if TYPE_CHECKING:  # reports need only the figures' names, and MXNet takes a second to import
    from mxnet.nd import NDArray


class Classification:
    """The task of a run.

    Parameters
    ----------
    classes : int
        K.
    smoothing : float
        epsilon of label smoothing (section 5.2); 0: one-hot targets.
    form : str
        ``paper`` or ``gluoncv``, see :func:`gluon_tricks.tricks.label_smoothing.smooth`.
    loss : str
        ``cross-entropy``, or ``bce`` for :mod:`gluon_tricks.tricks.binary_cross_entropy`.
    threshold : float
        With ``bce``: targets above it become 1 and the others 0; 0: they stay as they are.
    """

    figures = (
        Figure("loss", "loss", digits=4, higher_is_better=False),
        Figure("top1", "top-1", "%"),
        Figure("top5", "top-5", "%"),
    )
    # What a report adds to its captions of the training loss and of the validation figures.
    about_figures = (
        " (label smoothing, mixup and distillation add to it)",
        "; under mixup the training top-1 asks for the class with the larger share",
    )
    best = "top1"  # the figure that decides the best checkpoint
    sums = ("loss", "top1", "top5")  # what :meth:`count` returns, in this order; the loss is first
    counts = ("top1", "top5")  # those of them that are whole numbers

    def __init__(
        self,
        classes: int,
        smoothing: float = 0.0,
        form: str = "paper",
        loss: str = "cross-entropy",
        threshold: float = 0.0,
    ):
        self.classes, self._smoothing, self._form = classes, smoothing, form
        self._loss, self._threshold = loss, threshold

    @classmethod
    def from_config(cls, config):
        """The task that the flags of a run ask for."""
        smoothing, form = config.label_smoothing, config.smoothing_form
        return cls(config.classes, smoothing, form, config.loss, config.bce_target_threshold)

    def targets(self, labels: NDArray) -> NDArray:
        """Distributions (n, K), float32, to train on; labels (n,) are classes."""
        return smooth(labels, self.classes, self._smoothing, self._form)

    def losses(self, logits: NDArray, targets: NDArray) -> NDArray:
        """The loss (n,), float32, of logits (n, K) and target distributions (n, K)."""
        if self._loss == "bce":
            return binary_cross_entropy(logits, targets, self._threshold)
        return cross_entropy(logits, targets)

    def validation_losses(self, logits: NDArray, labels: NDArray) -> NDArray:
        """The cross entropy (n,) with the true classes alone, which validation reports for any
        training loss.
        """
        return cross_entropy(logits, smooth(labels, self.classes, 0))

    def labels(self, targets: NDArray) -> NDArray:
        """The classes (n,) that count as right in training: the larger one of a mixed target."""
        return targets.argmax(axis=1)

    def count(
        self, logits: NDArray, labels: NDArray, losses: NDArray, valid: Optional[int] = None
    ) -> NDArray:
        """What a batch adds to the named :attr:`sums`, computed on its device.

        Parameters
        ----------
        logits : NDArray (n, K)
        labels : NDArray (n,)
            True classes.
        losses : NDArray (n,)
        valid : int
            Only the first ``valid`` images are counted; default n.

        Returns
        -------
        NDArray (3,), float32
            The sum of the losses, and the numbers of images right at top-1 and at top-5. Of equal
            logits, the one with the smaller class index comes first; logits that are not finite are
            never right.
        """
        return _sums(logits, labels, losses, valid)

    @staticmethod
    def count_each(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """The :attr:`sums` of each image, float64 (3, n), by the rule of :meth:`count`.

        In numpy, for networks that run outside MXNet. ``logits`` (n, K) have to be finite;
        ``labels`` are int (n,).
        """
        logits = np.asarray(logits, np.float64)
        own = logits[np.arange(len(labels)), labels][:, None]
        tied = (logits == own) & (np.arange(logits.shape[1]) < labels[:, None])
        rank = ((logits > own) | tied).sum(axis=1)
        top = logits.max(axis=1, keepdims=True)
        losses = np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0] - own[:, 0]
        return np.stack([losses, rank < 1, rank < 5])

    @staticmethod
    def summary(sums: Sequence[float], images: int) -> Dict[str, float]:
        """The figures from the :attr:`sums` over ``images`` images, and the number of images."""
        loss, top1, top5 = sums
        count = max(1, images)
        return dict(
            loss=loss / count, top1=100 * top1 / count, top5=100 * top5 / count, images=images
        )


@compiled
def _sums(logits, labels, losses, valid):
    """:meth:`Classification.count`."""
    from mxnet import sym

    logits, labels = logits.astype("float32"), labels.astype("float32")
    own = logits.pick(labels).expand_dims(1)
    classes = sym.contrib.arange_like(logits, axis=1).expand_dims(0)
    is_earlier = sym.broadcast_lesser(classes, labels.expand_dims(1))
    tied = sym.broadcast_equal(logits, own) * is_earlier
    rank = (sym.broadcast_greater(logits, own) + tied).sum(axis=1)
    finite = (logits.abs() < np.inf).min(axis=1)
    rows = sym.stack(losses, (rank < 1) * finite, (rank < 5) * finite)
    return rows.slice_axis(axis=1, begin=0, end=valid).sum(axis=1)
