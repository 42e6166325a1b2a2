"""Workers that ``horovodrun`` or ``mpirun`` started, with one device each."""

import contextlib
import os
import platform

import mxnet as mx
import numpy as np
from mxnet import gluon

from ..errors import UserError
from ..text import last_line
from . import guardian
from .devices import gpu
from .local import Local
from .watchdog import LOST, Watchdog, end, other_workers

ELASTIC_TIMEOUT = 600  # horovodrun's, in seconds
STARTED_BY = ("HOROVOD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_PROCID", "HOROVOD_ELASTIC")


class Horovod(Local):
    """One of several processes with one device each, whose gradients Horovod sums.

    ``num_gpus`` above 0 means the GPU with this worker's number on its host. ``stall_timeout`` is
    in seconds, ``compression`` is "none" or "fp16", and ``folder`` is for the heartbeats.
    """

    def __init__(self, num_gpus, stall_timeout, compression, folder):
        _set_environment(stall_timeout, on_cpu=not num_gpus)
        self._hvd = hvd = _import_horovod()
        if os.environ.get("HOROVOD_ELASTIC"):
            self._start_elastic(stall_timeout)
        else:
            self._start(stall_timeout, folder)
        self.rank, self.world_size = hvd.rank(), hvd.size()
        self._guardian(f"worker {self.rank} on {platform.node()}")
        self.devices = [gpu(hvd.local_rank(), num_gpus) if num_gpus else mx.cpu()]
        self._compression = compression
        self._sums = 0  # how often sum_later was called

    def _start(self, seconds, folder):
        # By then, the other workers have named a stopped one.
        self._guardian = guardian.start(2 * seconds)
        self._watchdog = Watchdog(seconds)
        # A worker that is stopped before all are there can then be named.
        if "HOROVOD_RANK" in os.environ:
            self.rank = int(os.environ["HOROVOD_RANK"])
            self.world_size = int(os.environ["HOROVOD_SIZE"])
            self.watch(folder)
        with self._watchdog:
            self._hvd.init()

    def _start_elastic(self, seconds):
        # The others continue when a stopped worker is killed, or when Horovod gives up on one that
        # is cut off.
        self._guardian = guardian.start(seconds)
        self._watchdog = Watchdog(3 * seconds, limit="three times --stall-timeout,")
        # horovodrun may have to wait for hosts first.
        limit = "HOROVOD_ELASTIC_TIMEOUT"
        start = Watchdog(
            int(os.environ.get(limit, ELASTIC_TIMEOUT)) + seconds,
            limit=limit + " and --stall-timeout,",
        )
        with start:
            self._hvd.init()
        start.close()

    def trainer(self, net, optimizer, settings=None):
        return HorovodTrainer(
            self._hvd, self._compression, net.collect_params(), optimizer, settings
        )

    def sum(self, array):
        name = f"sum.{array.dtype}.{array.size}"
        with self.waiting():
            return self._hvd.allreduce(
                mx.nd.array(array, dtype=array.dtype), op=self._hvd.Sum, name=name
            ).asnumpy()

    def sum_later(self, array):
        # Few names, because Horovod negotiates a known name faster; but no name twice at once.
        self._sums += 1
        return self._hvd.allreduce(array, op=self._hvd.Sum, name=f"later.{self._sums % 8}")

    def broadcast(self, net, trainer):
        with self.waiting():
            self._hvd.broadcast_parameters(net.collect_params(), root_rank=0)
            mx.nd.waitall()

    def waiting(self):
        return self._watchdog

    def watch(self, folder):
        if self.world_size > 1:
            others = other_workers(self.rank, self.world_size)
            self._watchdog.watch(folder, f"worker-{self.rank}", others)

    def close(self):
        with self.waiting():
            mx.nd.waitall()
            self.sum(np.zeros(1, "int64"))
            self._hvd.shutdown()
        self._watchdog.close()

    def disconnect(self):
        """Close all connections, so that :func:`.workers.connect` can make new ones."""
        with self.waiting():
            with contextlib.suppress(mx.MXNetError):
                mx.nd.waitall()
            self._hvd.shutdown()
        self._watchdog.close()

    def who_is_lost(self):
        """A sentence that names the lost workers, if the error came late enough for their
        heartbeats to show it; else None.
        """
        before = self._watchdog.halfway
        return before and self._watchdog.who_is_missing(before)

    def abort(self, error):
        if isinstance(error, mx.MXNetError):
            with self.waiting():  # else the others would call this worker busy
                missing = self._watchdog.who_is_missing()
            end(
                "the other workers are lost, or one of them has an error: "
                f"{missing}; {last_line(error)}",
                LOST,
            )
        self._watchdog.close()


def _set_environment(stall_timeout, on_cpu):
    """Set what Horovod reads when it starts, unless the user has set it."""
    # Horovod has to wait longer than we do: when it gives up, it may crash ("double free").
    os.environ.setdefault("HOROVOD_GLOO_TIMEOUT_SECONDS", str(2 * stall_timeout))
    os.environ.setdefault("HOROVOD_STALL_CHECK_TIME_SECONDS", str(stall_timeout))
    os.environ.setdefault("HOROVOD_STALL_SHUTDOWN_TIME_SECONDS", str(2 * stall_timeout))
    if on_cpu:
        # Milliseconds between two rounds of messages among the workers. With Horovod's default of
        # 1, the messages take the cores from the training.
        os.environ.setdefault("HOROVOD_CYCLE_TIME", "25")


def _import_horovod():
    """``horovod.mxnet``; :class:`UserError` if it is missing or did not start this process."""
    try:
        import horovod.mxnet as hvd
    except ImportError as error:
        raise UserError(
            f"--kvstore horovod: Horovod cannot be imported ({error}); docs/install.md says how to "
            "build it"
        ) from None
    if not any(name in os.environ for name in STARTED_BY):
        raise UserError(
            "--kvstore horovod: start the workers with 'horovodrun -np N gluon-tricks train ...', "
            "see docs/distributed.md"
        )
    return hvd


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
            gradient = parameter.list_grad()[0]
            about = dict(op=hvd.Sum, name=f"gradient.{index}", priority=-index)
            if self._compression == "fp16" and gradient.dtype == np.float32:
                # Scaled to the size of this worker's own mean gradient, so that the division by the
                # global batch costs no precision.
                small = hvd.allreduce((gradient * hvd.size()).astype("float16"), **about)
                gradient[:] = small.astype("float32") / hvd.size()
            else:
                hvd.allreduce_(gradient, **about)
