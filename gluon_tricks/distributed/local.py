"""One process that trains alone, and what every worker of a run offers to the training loop.

Gradients are summed over devices and workers, never averaged: the loss of each part is divided by
the global batch already. All workers have to call ``sum``, ``sum_later`` and ``broadcast`` in the
same order.
"""

import contextlib

import mxnet as mx
from mxnet import gluon


class Local:
    """One process, whose gradients MXNet's KVStore sums over ``devices``, a list of MXNet contexts.

    :class:`.horovod.Horovod` and :class:`.parameter_server.ParameterServer` are one of several such
    workers.
    """

    rank = 0
    world_size = 1

    def __init__(self, devices, kvstore):
        self.devices = devices
        self._kvstore = kvstore

    def trainer(self, net, optimizer, settings=None):
        """A Gluon trainer whose ``allreduce_grads`` sums the gradients over all devices and
        workers. ``optimizer`` is MXNet's, or its name with ``settings``.

        The update is made on the devices and not in the KVStore: only so can a step be skipped and
        the optimizer's state be saved without pickle.
        """
        return gluon.Trainer(
            net.collect_params(),
            optimizer,
            settings,
            kvstore=self._kvstore,
            update_on_kvstore=False,
        )

    def sum(self, array):
        """The sum over all workers of a numpy array (n,) of int64, float32 or float64, on every
        worker, with the same dtype.
        """
        return array

    def sum_later(self, array):
        """The same of an NDArray (n,) of float32, as an NDArray that is still being computed; this
        call does not wait.
        """
        return array

    def broadcast(self, net, trainer):
        """Give every device and worker rank 0's parameters. Their shapes have to be known.

        Left to itself, the trainer does so after the first backward pass, when BatchNorm's
        statistics differ already.
        """
        with self.waiting():
            if not trainer._kv_initialized:
                trainer._init_kvstore()
            trainer._init_params()
            # or the first gradients may reach a server before the parameters have left it
            mx.nd.waitall()

    def wait_all(self):
        """Wait until everything that was started is computed, but not for ever."""
        with self.waiting():
            mx.nd.waitall()

    def waiting(self):
        """A context in which this worker may have to wait for the others, but not for ever."""
        return contextlib.nullcontext()

    def watch(self, folder):
        """From now on let the workers see by their heartbeats, files in ``folder``, which of them
        are alive. All of them have to share the folder.
        """

    def close(self):
        """End together: wait until all workers call this, so that nobody loses one that it still
        needs.
        """

    def abort(self, error):
        """End because of an error, while the others may still be training."""
