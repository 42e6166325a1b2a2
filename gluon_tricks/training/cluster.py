"""Who trains: the devices of this process, and how gradients and counts travel between workers.

``Layout`` is arithmetic alone: which images of the global batch belong to which worker, micro-batch and device.
``Local`` is one process with one or several devices, whose gradients MXNet's KVStore sums. ``Horovod`` and
``ParameterServer`` are one of several such workers. Everywhere gradients are summed, never averaged: the loss of each
part is divided by the global batch already.

All workers have to make the same calls of ``sum``, ``sum_later`` and ``broadcast`` in the same order.
"""

import contextlib
import json
import os
import sys
import threading
import time
import traceback
from dataclasses import dataclass

import mxnet as mx
import numpy as np
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


LOST = 4  # exit code of a worker that has waited for the others in vain


def join(config):
    """This process's place among the workers, as ``--kvstore`` says. Blocks until all workers are there."""
    if config.kvstore == "horovod":
        return Horovod(config)
    if config.kvstore.startswith("dist"):
        return ParameterServer(config)
    return Local(config)


def devices_of(config):
    """The MXNet contexts that the flags ask for."""
    if config.num_gpus:
        return [_gpu(number, config) for number in range(config.num_gpus)]
    return [mx.cpu(i) for i in range(max(1, config.cpu_contexts))]


def _gpu(number, config):
    there = mx.context.num_gpus()
    if number >= there:
        raise UserError(
            "--num-gpus {}, but MXNet sees {} GPUs here; 'gluon-tricks doctor' says why".format(
                max(number + 1, config.num_gpus), there
            )
        )
    return mx.gpu(number)


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
        return gluon.Trainer(
            net.collect_params(), optimizer, settings, kvstore=self._kvstore, update_on_kvstore=False
        )

    def sum(self, array):
        """The sum over all workers of a numpy array (n,) of int64, float32 or float64, on every worker, same dtype."""
        return array

    def sum_later(self, array):
        """The same of an NDArray (n,) of float32, as an NDArray that is still being computed: nobody waits here."""
        return array

    def broadcast(self, net, trainer):
        """Give every device and worker rank 0's parameters. Their shapes have to be known.

        Left to itself, the trainer does so after the first backward pass, when BatchNorm's statistics differ already.
        """
        with self.waiting():
            if not trainer._kv_initialized:
                trainer._init_kvstore()
            trainer._init_params()
            mx.nd.waitall()  # or the first gradients may reach a server before the parameters have left it

    def waiting(self):
        """A context within which this worker may have to wait for the others: not for ever."""
        return contextlib.nullcontext()

    def close(self):
        """Wait until all workers come to their end, so that nobody loses another one who is still at work."""

    def leave(self, error):
        """Go, with an error, while the others may still be at work."""


class Horovod(Local):
    """One of several processes that ``horovodrun`` or ``mpirun`` started, with one device each."""

    def __init__(self, config):
        # Horovod reads these when it starts. The transport's own patience has to last as long as ours.
        seconds = config.stall_timeout
        os.environ.setdefault("HOROVOD_GLOO_TIMEOUT_SECONDS", str(seconds))
        os.environ.setdefault("HOROVOD_STALL_CHECK_TIME_SECONDS", str(max(1, seconds // 2)))
        os.environ.setdefault("HOROVOD_STALL_SHUTDOWN_TIME_SECONDS", str(seconds))
        try:
            import horovod.mxnet as hvd
        except ImportError as error:
            raise UserError(
                "--kvstore horovod: Horovod cannot be imported ({}); docs/install.md says how to build it".format(
                    error
                )
            ) from None
        if not any(
            name in os.environ
            for name in ("HOROVOD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_PROCID")
        ):
            raise UserError(
                "--kvstore horovod: start the workers with 'horovodrun -np N gluon-tricks train ...', see docs/distributed.md"
            )
        if config.cpu_contexts > 1:
            raise UserError(
                "--kvstore horovod: a worker has one device, so start more workers instead of --cpu-contexts"
            )
        hvd.init()
        self._hvd = hvd
        self.rank, self.world_size = hvd.rank(), hvd.size()
        self.devices = [_gpu(hvd.local_rank(), config) if config.num_gpus else mx.cpu()]
        self._compression = config.gradient_compression
        self._waiting = Patience(seconds, self.rank)
        self._later = 0

    def trainer(self, net, optimizer, settings):
        return HorovodTrainer(self._hvd, self._compression, net.collect_params(), optimizer, settings)

    def sum(self, array):
        name = "sum.{}.{}".format(array.dtype, array.size)
        with self.waiting():
            return self._hvd.allreduce(
                mx.nd.array(array, dtype=array.dtype), op=self._hvd.Sum, name=name
            ).asnumpy()

    def sum_later(self, array):
        # Few names, which Horovod remembers and so negotiates faster, but no name twice at once.
        self._later += 1
        return self._hvd.allreduce(array, op=self._hvd.Sum, name="later.{}".format(self._later % 8))

    def broadcast(self, net, trainer):
        with self.waiting():
            self._hvd.broadcast_parameters(net.collect_params(), root_rank=0)
            mx.nd.waitall()

    def waiting(self):
        return self._waiting

    def close(self):
        with self.waiting():
            mx.nd.waitall()
        self.sum(np.zeros(1, "int64"))

    def leave(self, error):
        if isinstance(error, mx.MXNetError):
            _go(
                "the other workers are lost, or one of them has an error: "
                + str(error).strip().splitlines()[-1],
                LOST,
            )


class HorovodTrainer(gluon.Trainer):
    """A Gluon trainer of one device whose gradients Horovod sums."""

    def __init__(self, hvd, compression, parameters, optimizer, settings):
        super().__init__(parameters, optimizer, settings, kvstore=None, update_on_kvstore=False)
        self._hvd, self._compression = hvd, compression

    def _allreduce_grads(self):
        hvd = self._hvd
        for index, parameter in enumerate(self._params):
            if parameter.grad_req == "null":
                continue
            gradient, about = (
                parameter.list_grad()[0],
                dict(op=hvd.Sum, name="gradient.{}".format(index), priority=-index),
            )
            if self._compression == "fp16" and gradient.dtype == np.float32:
                # Of the size of a worker's own mean gradient, so that dividing by the global batch costs no precision.
                small = hvd.allreduce((gradient * hvd.size()).astype("float16"), **about)
                gradient[:] = small.astype("float32") / hvd.size()
            else:
                hvd.allreduce_(gradient, **about)


class ParameterServer(Local):
    """One of several workers of MXNet's parameter server, as ``gluon-tricks launch`` starts them."""

    FIRST_KEY = 1 << 24  # the parameters' keys are their numbers; those of other sums start here

    def __init__(self, config):
        if os.environ.get("DMLC_ROLE") != "worker":
            raise UserError(
                "--kvstore {0}: start the workers with 'gluon-tricks launch --kvstore {0} -n N -s N -- train ...', "
                "see docs/distributed.md".format(config.kvstore)
            )
        super().__init__(config)
        self._waiting = Patience(config.stall_timeout, os.environ.get("DMLC_WORKER_ID", "?"))
        with self.waiting():
            self._kvstore = mx.kv.create(config.kvstore)
        self.rank, self.world_size = self._kvstore.rank, self._kvstore.num_workers
        self._waiting.rank = self.rank
        print("parameter server: worker {} of {}".format(self.rank, self.world_size), flush=True)
        self._keys = {}  # (dtype, size): its key

    def sum(self, array):
        # The servers add floating point numbers alone; float64 holds integers up to 2^53 exactly.
        with self.waiting():
            values = mx.nd.array(array, dtype="float32" if array.dtype == np.float32 else "float64")
            return self.sum_later(values).asnumpy().astype(array.dtype)

    def sum_later(self, array):
        about = np.dtype(array.dtype).name, array.size
        if about not in self._keys:
            self._keys[about] = self.FIRST_KEY + len(self._keys)
            with self.waiting():
                self._kvstore.init(self._keys[about], mx.nd.zeros(array.shape, dtype=array.dtype))
        total = array.zeros_like()
        self._kvstore.push(self._keys[about], array)
        self._kvstore.pull(self._keys[about], out=total)
        return total

    def waiting(self):
        return self._waiting

    def close(self):
        with self.waiting():
            mx.nd.waitall()
            self._kvstore._barrier()

    def leave(self, error):
        # The store's destructor waits for all workers, who may never come: leave without it.
        if not isinstance(error, UserError):
            traceback.print_exc()
        _go(error, error.exit_code if isinstance(error, UserError) else 1)


def _go(why, code):
    """End at once, without what MXNet and Python do at an end, which may wait for workers who never come."""
    print("gluon-tricks train: error: {}".format(why), file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(code)


class Patience:
    """A context in which this process may wait for the others, but ends itself when that takes ``seconds``.

    Neither MXNet's parameter server nor a peer that is stopped gives an error that could be caught.
    """

    def __init__(self, seconds, rank):
        self.seconds, self.rank = seconds, rank
        self._since = None
        threading.Thread(target=self._watch, daemon=True).start()

    def __enter__(self):
        self._since = time.monotonic()

    def __exit__(self, *error):
        self._since = None

    def _watch(self):
        while True:
            time.sleep(min(1.0, self.seconds / 10))
            since = self._since
            if since is not None and time.monotonic() - since > self.seconds:
                os.write(2, "gluon-tricks train: error: worker {} heard nothing from the others for --stall-timeout {} "
                         "seconds\n".format(self.rank, self.seconds).encode())  # fmt: skip
                os._exit(LOST)


def gather(cluster, array):
    """Every worker's numpy array (n,), as (world_size, n) on every worker; to the bit, since only zeros are added."""
    if not array.size:
        return np.zeros((cluster.world_size, 0), array.dtype)
    rows = np.zeros((cluster.world_size,) + array.shape, array.dtype)
    rows[cluster.rank] = array
    return cluster.sum(rows.ravel()).reshape(rows.shape)


def gather_json(cluster, value):
    """Every worker's ``value``, anything that JSON can hold, as a list on every worker."""
    text = np.frombuffer(json.dumps(value).encode(), "uint8").astype("int64")
    lengths = gather(cluster, np.array([text.size], "int64")).ravel()
    rows = gather(cluster, np.pad(text, (0, int(lengths.max()) - text.size)))
    return [json.loads(bytes(row[:length].astype("uint8"))) for row, length in zip(rows, lengths)]
