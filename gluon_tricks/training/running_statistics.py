"""BatchNorm's running statistics: every part of the global batch has its own, on whichever device
it is computed.

A device that computes several parts of a step loads the statistics of each part before it and
stores them after it. So they are the same with a device for each part, with ``--accumulate``, and
after ``--elastic keep-batch`` has lost a worker.
"""

import contextlib

import mxnet as mx
import numpy as np

from ..distributed.gathering import gather_parts
from ..tricks.compiled import casts


class RunningStatistics:
    """The statistics of this worker's parts, for a network on its ``devices``."""

    def __init__(self, net, layout, devices):
        self.net, self._layout, self._devices = net, layout, devices
        # {part: its arrays, on the device that computes it}; empty if each device has one part
        self._kept = {}
        self._restore, self._keep = {}, {}  # {part: a function that copies its arrays}
        if layout.accumulate > 1:
            for micro in range(layout.accumulate):
                for number, part in layout.micro_batch(micro):
                    own = self._of(number)
                    self._kept[part] = kept = [array.copy() for array in own]
                    self._restore[part], self._keep[part] = casts(kept, own), casts(own, kept)

    def restore_parts(self, micro):
        """Load the statistics of the parts that the devices are about to compute."""
        self._copy(micro, self._restore)

    def keep_parts(self, micro):
        """Store the statistics of the parts that the devices have computed."""
        self._copy(micro, self._keep)

    def arrays(self):
        """For each part of this worker, the list of NDArrays that training changes."""
        if self._kept:
            return [self._kept[part] for part in self._layout.own_parts]
        return [self._of(number) for number in range(len(self._devices))]

    def get(self):
        """numpy float32 (parts of this worker, n). What changes them has to be finished."""
        return np.stack([flat(arrays) for arrays in self.arrays()])

    def put(self, values):
        """Set the statistics of the parts in ``values``, {part: numpy (n,)}, and no others."""
        for micro in range(self._layout.accumulate):
            for number, part in self._layout.micro_batch(micro):
                if part in values:
                    put_flat(self._kept.get(part) or self._of(number), values[part])

    def _copy(self, micro, copies):
        for _, part in self._layout.micro_batch(micro) if copies else ():
            copies[part]()

    def _of(self, number):
        return arrays_of(self.net, self._devices[number])


@contextlib.contextmanager
def averaged(running, net, workers, layout):
    """A context in which every device has the mean of all parts' statistics. Yields those of each
    part, (parts, n). Operators that change them have to be finished on all workers.
    """
    own = running.get()
    every = gather_parts(workers, layout, own)
    if len(every) > 1:
        for device in workers.devices:
            put_statistics(net, device, mean_statistics(every))
    yield every
    if len(every) > 1:
        running.put(dict(zip(layout.own_parts, own)))
    mx.nd.waitall()


def arrays_of(net, device):
    """BatchNorm's statistics on one device, that is, all that training changes without a gradient:
    a list of NDArrays.
    """
    return [parameter.data(device) for _, parameter in _averaged(net)]


def flat(arrays):
    """The values of a list of NDArrays as numpy float32 (n,)."""
    return np.concatenate([array.asnumpy().ravel() for array in arrays] or [np.zeros(0)]).astype(
        "float32"
    )


def put_flat(arrays, values):
    """The reverse of :func:`flat`."""
    start = 0
    for array in arrays:
        array[:] = values[start : start + array.size].reshape(array.shape)
        start += array.size


def mean_statistics(every):
    """The mean (n,) of the parts' statistics (parts, n), float32. It is computed in float64, in
    which the mean of equal numbers is that number.
    """
    return every.mean(axis=0, dtype="float64").astype("float32")


def put_statistics(net, device, values):
    """Set BatchNorm's statistics on one device to the values (n,)."""
    put_flat(arrays_of(net, device), values)


def _averaged(net):
    return sorted(
        (name, p)
        for name, p in net._collect_params_with_prefix().items()
        if p.grad_req == "null" and not is_frozen(p)
    )


def is_frozen(parameter):
    """Whether a parameter that could have a gradient was taken out of the training."""
    is_weight = parameter._differentiable and not isinstance(parameter, mx.gluon.Constant)
    return is_weight and parameter.grad_req == "null"
