"""Counts of what a network gets right: exact integers, gathered on the device and read when they
are finished.
"""

import collections
from dataclasses import dataclass

import mxnet as mx
import numpy as np

from ..errors import UserError


def statistics(logits, labels, losses, valid=None):
    """What a batch adds to the counts, computed on its device: NDArray (3,) float32.

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
    NDArray (3,): sum of the losses, images right at top-1, images right at top-5. Of equal logits
    the one with the smaller class index comes first, and logits that are not finite are never
    right.
    """
    logits, labels = logits.astype("float32"), labels.astype("float32")
    own = logits.pick(labels).expand_dims(1)
    earlier = mx.nd.arange(logits.shape[1], ctx=logits.context).expand_dims(0)
    ahead = mx.nd.broadcast_greater(logits, own) + mx.nd.broadcast_equal(
        logits, own
    ) * mx.nd.broadcast_lesser(earlier, labels.expand_dims(1))
    rank = ahead.sum(axis=1)
    finite = (logits.abs() < np.inf).min(axis=1)
    rows = mx.nd.stack(losses, (rank < 1) * finite, (rank < 5) * finite)
    return (rows if valid is None else rows[:, :valid]).sum(axis=1)


@dataclass
class Tally:
    """Sums over images; ``loss`` is a sum here and a mean in :meth:`summary`."""

    loss: float = 0.0
    top1: int = 0
    top5: int = 0
    images: int = 0

    @classmethod
    def of_worker(cls, tallies, layout):
        """A worker's share of the tallies of a checkpoint, dicts of which there is one for each
        worker that there was.

        Where there are more or fewer workers now, all is rank 0's.
        """
        if len(tallies) == layout.workers:
            return cls(**tallies[layout.rank])
        if layout.rank:
            return cls()
        return cls(**{name: sum(tally[name] for tally in tallies) for name in tallies[0]})

    def add(self, statistics, images):
        """Add a numpy array of :func:`statistics` over ``images`` images."""
        self.loss += float(statistics[0])
        self.top1 += int(statistics[1])
        self.top5 += int(statistics[2])
        self.images += images

    def total(self, cluster):
        """The tally of all workers together."""
        loss = cluster.sum(np.array([self.loss], "float64"))
        counts = cluster.sum(np.array([self.top1, self.top5, self.images], "int64"))
        return Tally(float(loss[0]), *(int(count) for count in counts))

    def summary(self):
        """Mean loss, top-1 and top-5 in percent, and the number of images, for the log."""
        images = max(1, self.images)
        return dict(
            loss=self.loss / images,
            top1=100 * self.top1 / images,
            top5=100 * self.top5 / images,
            images=self.images,
        )


class Pending:
    """A queue of arrays still being computed, read a few steps later when they are finished, so
    that nobody waits.

    It also keeps the loop from running ahead of the devices without bound.
    """

    def __init__(self, receive, lag=2):
        self._receive = receive
        self._lag = lag
        self._queue = collections.deque()

    def push(self, arrays, *about):
        """Queue the NDArrays of a step; ``receive(numpy arrays, *about)`` is called for those
        ``lag`` steps older.
        """
        self._queue.append((arrays, about))
        self.drain(self._lag)

    def drain(self, keep=0):
        """Receive all but the ``keep`` youngest."""
        while len(self._queue) > keep:
            arrays, about = self._queue.popleft()
            self._receive([array.asnumpy() for array in arrays], *about)


def evaluate(net, batches, cluster, losses, dtype="float32", expected=None):
    """The :class:`Tally` of ``net`` over all workers' ``batches``, every image counted once.

    ``batches`` yields :class:`gluon_tricks.data.loader.Batch`; ``losses(logits, labels)`` gives the
    losses (n,). Raises
    :class:`UserError` where the images counted by all workers are not ``expected``, the images in
    the file.
    """
    tally, devices = Tally(), cluster.devices

    def receive(arrays, images):
        for array, count in zip(arrays, images):
            tally.add(array, count)

    pending = Pending(receive)
    for batch in batches:
        arrays, images = [], []
        share = -(-batch.images.shape[0] // len(devices))
        for number, device in enumerate(devices):
            start = number * share
            valid = min(batch.valid, start + share) - start
            if valid <= 0:
                break
            inputs = batch.images[start : start + share].as_in_context(device)
            labels = batch.labels[start : start + share].as_in_context(device)
            logits = net(inputs.astype(dtype, copy=False))
            arrays.append(statistics(logits, labels, losses(logits, labels), valid))
            images.append(valid)
        pending.push(arrays, images)
    pending.drain()
    total = tally.total(cluster)
    if expected is not None and total.images != expected:
        raise UserError(f"validation counted {total.images} images, but the file has {expected}")
    return total
