"""Who trains: the devices of this process, and how gradients and counts travel between workers.

``Local`` is one process with one or several devices, whose gradients MXNet's KVStore sums.
``Horovod`` and ``ParameterServer`` are one of several such workers. Everywhere gradients are
summed, never averaged: the loss of each part is divided by the global batch already. ``Layout``
says whose the images are.

All workers have to make the same calls of ``sum``, ``sum_later``, ``broadcast``, ``publish`` and
``settle`` in the same order.
"""

import contextlib
import json

import mxnet as mx
import numpy as np
from mxnet import gluon

from ..errors import UserError
from .layout import Layout, layout_of

__all__ = [
    "Layout",
    "Local",
    "devices_of",
    "gather",
    "gather_json",
    "gather_parts",
    "join",
    "layout_of",
]


def join(config):
    """This process's place among the workers, as ``--kvstore`` says. Blocks until all workers are
    there.
    """
    if config.kvstore == "horovod":
        from .horovod import Horovod

        return Horovod(config)
    if config.kvstore.startswith("dist"):
        from .parameter_server import AsynchronousParameterServer, ParameterServer

        return (AsynchronousParameterServer if config.kvstore == "dist_async" else ParameterServer)(
            config
        )
    return Local(config)


def devices_of(config):
    """The MXNet contexts that the flags ask for."""
    if config.num_gpus:
        return [gpu(number, config) for number in range(config.num_gpus)]
    return [mx.cpu(i) for i in range(max(1, config.cpu_contexts))]


def gpu(number, config):
    """The GPU of that number; :class:`UserError` where there is none."""
    there = mx.context.num_gpus()
    if number >= there:
        raise UserError(
            f"--num-gpus {max(number + 1, config.num_gpus)}, but MXNet sees {there} GPUs here; 'gluon-tricks doctor' says why"
        )
    return mx.gpu(number)


class Local:
    """One process. ``devices`` are its MXNet contexts; rank, world_size and the sums are those of
    one worker.
    """

    rank = 0
    world_size = 1
    in_step = True  # whether all workers are at the same step and have the same parameters

    def __init__(self, config):
        self.devices = devices_of(config)
        self._kvstore = config.kvstore

    def trainer(self, net, optimizer, settings):
        """A Gluon trainer whose ``allreduce_grads`` sums the gradients over all devices and
        workers.

        The update is the devices' own, not the KVStore's: only so can a step be skipped and the
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
        worker, same dtype.
        """
        return array

    def sum_later(self, array):
        """The same of an NDArray (n,) of float32, as an NDArray that is still being computed:
        nobody waits here.
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

    def publish(self, trainer):
        """Let the first step start: the parameters are those of the checkpoint, if there is one."""

    def settle(self, trainer):
        """Wait for all that is under way; afterwards the parameters are the same on every worker."""
        with self.waiting():
            mx.nd.waitall()

    def waiting(self):
        """A context within which this worker may have to wait for the others: not for ever."""
        return contextlib.nullcontext()

    def watch(self, folder):
        """Let the workers know of each other's life through files in ``folder``, which all of them
        share.
        """

    def _watch(self, folder, servers=()):
        workers = [f"worker-{rank}" for rank in range(self.world_size)]
        own = workers.pop(self.rank)
        self.waiting().watch(folder, own, workers + list(servers))

    def close(self):
        """Wait until all workers come to their end, so that nobody loses another one who is still
        at work.
        """

    def leave(self, error):
        """Go, with an error, while the others may still be at work."""


def gather(cluster, array):
    """Every worker's numpy array (n,), as (world_size, n) on every worker; to the bit, since only
    zeros are added.
    """
    if not array.size:
        return np.zeros((cluster.world_size, 0), array.dtype)
    rows = np.zeros((cluster.world_size,) + array.shape, array.dtype)
    rows[cluster.rank] = array
    return cluster.sum(rows.ravel()).reshape(rows.shape)


def gather_parts(cluster, layout, own):
    """(parts, n) of every worker's numpy array (parts of this worker, n), of which workers may have
    different numbers.
    """
    most = -(-layout.parts // layout.workers)
    rows = gather(cluster, np.pad(own, ((0, most - len(own)), (0, 0))).ravel())
    rows = rows.reshape((layout.workers, most, own.shape[1]))
    return np.concatenate([row[: len(layout.parts_of(rank))] for rank, row in enumerate(rows)])


def gather_json(cluster, value):
    """Every worker's ``value``, anything that JSON can hold, as a list on every worker."""
    text = np.frombuffer(json.dumps(value).encode(), "uint8").astype("float32")
    lengths = gather(cluster, np.array([text.size], "int64")).ravel()
    rows = gather(cluster, np.pad(text, (0, int(lengths.max()) - text.size)))
    return [json.loads(bytes(row[:length].astype("uint8"))) for row, length in zip(rows, lengths)]
