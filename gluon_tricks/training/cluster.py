"""Who trains: the devices of this process, and how gradients and counts travel between workers.

``Layout`` is arithmetic alone: which images of the global batch belong to which worker, micro-batch and device.
``Local`` is one process with one or several devices, whose gradients MXNet's KVStore sums.
"""

from dataclasses import dataclass

import mxnet as mx
from mxnet import gluon

from ..errors import UserError


@dataclass(frozen=True)
class Layout:
    """How the images of a step, the global batch, are shared out.

    The global batch is a row of parts of ``batch_size`` images, one for each forward and backward pass: worker after
    worker, within it micro-batch after micro-batch, within that device after device. BatchNorm and mixup's pairs live
    inside one part, so that launches with the same parts compute the same.
    """

    batch_size: int
    devices: int = 1
    accumulate: int = 1
    workers: int = 1
    rank: int = 0

    @property
    def parts(self):
        """Parts in the global batch."""
        return self.workers * self.accumulate * self.devices

    @property
    def global_batch(self):
        """Images in a step."""
        return self.batch_size * self.parts

    @property
    def worker_batch(self):
        """Images of a step that this worker reads."""
        return self.global_batch // self.workers

    @property
    def first(self):
        """Position in the global batch of the first image of this worker."""
        return self.rank * self.worker_batch

    def part(self, micro, device):
        """The number of the part that ``device`` computes in micro-batch ``micro``."""
        return (self.rank * self.accumulate + micro) * self.devices + device

    def split(self, batch, micro, device):
        """The images of that part, of an array with this worker's images."""
        start = (micro * self.devices + device) * self.batch_size
        return batch[start : start + self.batch_size]


def devices_of(config):
    """The MXNet contexts that the flags ask for."""
    if config.num_gpus:
        there = mx.context.num_gpus()
        if config.num_gpus > there:
            raise UserError(
                "--num-gpus {}, but MXNet sees {} GPUs here; 'gluon-tricks doctor' says why".format(config.num_gpus, there)
            )
        return [mx.gpu(i) for i in range(config.num_gpus)]
    return [mx.cpu(i) for i in range(max(1, config.cpu_contexts))]


class Local:
    """One process. ``devices`` are its MXNet contexts; rank, world_size and the sums are those of one worker."""

    rank = 0
    world_size = 1

    def __init__(self, config):
        self.devices = devices_of(config)
        self._kvstore = config.kvstore

    def trainer(self, net, optimizer, settings):
        """A Gluon trainer whose ``allreduce_grads`` sums the gradients over all devices and workers.

        The update is the devices' own, not the KVStore's: only so can a step be skipped and the optimizer's state
        be saved without pickle.
        """
        return gluon.Trainer(net.collect_params(), optimizer, settings, kvstore=self._kvstore, update_on_kvstore=False)

    def sum(self, array):
        """The sum over all workers of a numpy array, on every worker."""
        return array

    def broadcast(self, net):
        """Give every worker rank 0's parameters."""

    def close(self):
        """Leave the other workers in peace."""
