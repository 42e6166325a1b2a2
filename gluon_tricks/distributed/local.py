"""A process that trains alone, and the methods that every worker offers to the training loop.

Gradients are summed over devices and workers, never averaged: the loss of each part is already
divided by the global batch. All workers have to call ``sum``, ``sum_later`` and ``broadcast`` in
the same order.
"""

import contextlib

import mxnet as mx
from mxnet import gluon


class Local:
    """One process, whose gradients MXNet's KVStore sums over ``devices``, a list of MXNet contexts.

    A :class:`.horovod.Horovod` or :class:`.parameter_server.ParameterServer` is one of several
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

        The devices make the update and not the KVStore: only then can a step be skipped and the
        optimizer's state be saved without pickle.
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
        """The same sum of an NDArray (n,) of float32, as an NDArray that is still being computed.
        This call does not wait.
        """
        return array

    def broadcast(self, net, trainer):
        """Copy rank 0's parameters to every device and worker. Their shapes have to be known.

        Left to itself, the trainer would do so after the first backward pass, when BatchNorm's
        statistics already differ.
        """
        with self.waiting():
            if not trainer._kv_initialized:
                trainer._init_kvstore()
            trainer._init_params()
            # Otherwise the first gradients may reach a server before the parameters have left it.
            mx.nd.waitall()

    def wait_all(self):
        """Wait, but not for ever, until everything that was started is computed."""
        with self.waiting():
            mx.nd.waitall()

    def waiting(self):
        """A context in which this worker may wait for the others, but not for ever."""
        return contextlib.nullcontext()

    def watch(self, folder):
        """Start the heartbeats, files in ``folder`` by which the workers see who is alive. All of
        them have to share the folder.
        """

    def close(self):
        """End together: wait until all workers call this, so that none leaves while another still
        needs it.
        """

    def abort(self, error):
        """End because of an error, while the others may still be training."""
