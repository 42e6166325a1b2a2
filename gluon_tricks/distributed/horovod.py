"""Workers that ``horovodrun`` or ``mpirun`` started, with one device each."""

import contextlib
import os
import platform

import mxnet as mx
import numpy as np
from mxnet import gluon

from ..errors import UserError
from . import guardian
from .local import Local, gpu
from .watchdog import LOST, Watchdog, end

ELASTIC_TIMEOUT = 600  # horovodrun's, in seconds
STARTED_BY = ("HOROVOD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_PROCID", "HOROVOD_ELASTIC")


class Horovod(Local):
    """One of several processes with one device each, whose gradients Horovod sums."""

    def __init__(self, config):
        # Horovod reads these when it starts. It has to wait longer than we do: its own way out may
        # crash ("double free").
        seconds = config.stall_timeout
        os.environ.setdefault("HOROVOD_GLOO_TIMEOUT_SECONDS", str(2 * seconds))
        os.environ.setdefault("HOROVOD_STALL_CHECK_TIME_SECONDS", str(seconds))
        os.environ.setdefault("HOROVOD_STALL_SHUTDOWN_TIME_SECONDS", str(2 * seconds))
        if not config.num_gpus:
            # Milliseconds between two rounds of talk among the workers. Horovod's 1 takes the cores
            # from those who compute.
            os.environ.setdefault("HOROVOD_CYCLE_TIME", "25")
        try:
            import horovod.mxnet as hvd
        except ImportError as error:
            raise UserError(
                f"--kvstore horovod: Horovod cannot be imported ({error}); docs/install.md says how to build it"
            ) from None
        if not any(name in os.environ for name in STARTED_BY):
            raise UserError(
                "--kvstore horovod: start the workers with 'horovodrun -np N gluon-tricks train ...', see docs/distributed.md"
            )
        if config.cpu_contexts > 1:
            raise UserError(
                "--kvstore horovod: a worker has one device, so start more workers instead of --cpu-contexts"
            )
        if os.environ.get("HOROVOD_ELASTIC"):
            # Others than a stopped worker go on when it is killed, or when Horovod has waited in
            # vain for one that is cut off.
            self._guardian = guardian.start(seconds)
            self._watchdog = Watchdog(3 * seconds, limit="three times --stall-timeout,")
            # horovodrun may have to wait for hosts first.
            limit = "HOROVOD_ELASTIC_TIMEOUT"
            start = Watchdog(
                int(os.environ.get(limit, ELASTIC_TIMEOUT)) + seconds,
                limit=limit + " and --stall-timeout,",
            )
        else:
            self._guardian = guardian.start(2 * seconds)  # the others say its name first
            self._watchdog = start = Watchdog(seconds)
            # so that whoever is stopped before all are there has a name
            if "HOROVOD_RANK" in os.environ:
                self.rank, self.world_size = (
                    int(os.environ["HOROVOD_RANK"]),
                    int(os.environ["HOROVOD_SIZE"]),
                )
                self.watch(os.path.join(config.save_dir, "workers"))
        with start:
            hvd.init()
        if start is not self._watchdog:
            start.close()
        self._hvd = hvd
        self.rank, self.world_size = hvd.rank(), hvd.size()
        self._guardian(f"worker {self.rank} on {platform.node()}")
        self.devices = [gpu(hvd.local_rank(), config) if config.num_gpus else mx.cpu()]
        self._compression = config.gradient_compression
        self._later = 0

    def trainer(self, net, optimizer, settings):
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
        # Few names, which Horovod remembers and so negotiates faster, but no name twice at once.
        self._later += 1
        return self._hvd.allreduce(array, op=self._hvd.Sum, name=f"later.{self._later % 8}")

    def broadcast(self, net, trainer):
        with self.waiting():
            self._hvd.broadcast_parameters(net.collect_params(), root_rank=0)
            mx.nd.waitall()

    def waiting(self):
        return self._watchdog

    def watch(self, folder):
        if self.world_size > 1:
            self._watch(folder)

    def close(self):
        with self.waiting():
            mx.nd.waitall()
            self.sum(np.zeros(1, "int64"))
            self._hvd.shutdown()
        self._watchdog.close()

    def reset(self):
        """Give up the connections that are left, so that :func:`gluon_tricks.distributed.local.join`
        can make new ones.
        """
        with self.waiting():
            with contextlib.suppress(mx.MXNetError):
                mx.nd.waitall()
            self._hvd.shutdown()
        self._watchdog.close()

    def who_is_lost(self):
        """In words, if an error came so late that the heartbeats show it, else None."""
        before = self._watchdog.halfway
        return before and self._watchdog.who_is_missing(before)

    def leave(self, error):
        if isinstance(error, mx.MXNetError):
            with self.waiting():  # so that the others' word for this worker is not that it is busy
                missing = self._watchdog.who_is_missing()
            reason = str(error).strip().splitlines()[-1]
            end(
                f"the other workers are lost, or one of them has an error: {missing}; {reason}",
                LOST,
            )
        self._watchdog.close()


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
                # Of the size of a worker's own mean gradient, so that dividing by the global batch
                # costs no precision.
                small = hvd.allreduce((gradient * hvd.size()).astype("float16"), **about)
                gradient[:] = small.astype("float32") / hvd.size()
            else:
                hvd.allreduce_(gradient, **about)
