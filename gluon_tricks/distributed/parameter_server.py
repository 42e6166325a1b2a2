"""Workers of MXNet's parameter server (ps-lite), as ``gluon-tricks launch`` starts them."""

import ctypes
import json
import os
import platform
import traceback

import mxnet as mx
import numpy as np
from mxnet import gluon
from mxnet.base import _LIB, KVStoreHandle, check_call

from ..errors import UserError
from . import guardian
from .local import Local, gather
from .server import ADD, BEAT, FIRST_SUM, STILL
from .watchdog import Watchdog, end

CONTROLLER, SET_MULTI_PRECISION = 0, 1  # kinds of commands that MXNet's servers know
SCHEDULER = 1  # its number among ps-lite's nodes


class ParameterServer(Local):
    """One of several workers whose gradients the servers sum, after every step, for all of them."""

    def __init__(self, config):
        if os.environ.get("DMLC_ROLE") != "worker":
            raise UserError(
                f"--kvstore {config.kvstore}: start the workers with 'gluon-tricks launch --kvstore {config.kvstore} -n N -s N -- train ...', "
                "see docs/distributed.md"
            )
        super().__init__(config)
        # Seconds between two signs of life that ps-lite's nodes and the scheduler give each other;
        # it gives none if unset.
        os.environ.setdefault("PS_HEARTBEAT_INTERVAL", "1")
        self._watchdog = Watchdog(config.stall_timeout, self._lost)
        self._guardian = guardian.start(2 * config.stall_timeout)  # the others say its name first
        with self.waiting():
            self._kvstore = mx.kv.create(config.kvstore)
        self.rank, self.world_size = self._kvstore.rank, self._kvstore.num_workers
        print(f"parameter server: worker {self.rank} of {self.world_size}", flush=True)
        self._guardian(f"worker {self.rank} on {platform.node()}")
        self._keys = {}  # of a sum: its key
        # MXNet's servers add float16 in float32 or not as a variable says that they do not
        # initialise. Now it says yes.
        self._command(SET_MULTI_PRECISION)

    def sum(self, array):
        if array.dtype == np.float32:
            with self.waiting():
                return self.sum_later(mx.nd.array(array)).asnumpy()
        # The servers know no integers and round float64. So the bytes of every worker travel, two
        # by two as a float32 that holds them exactly, and are added here, in the order of the
        # ranks.
        pairs = np.ascontiguousarray(array).view(np.uint16).astype(np.float32)
        return gather(self, pairs).astype(np.uint16).view(array.dtype).sum(axis=0)

    def sum_later(self, array):
        return self._push_and_pull(array, (np.dtype(array.dtype).name, array.size))

    def _push_and_pull(self, array, about, between=lambda: None):
        if about not in self._keys:
            self._keys[about] = FIRST_SUM + len(self._keys)
            with self.waiting():
                self._kvstore.init(self._keys[about], mx.nd.zeros(array.shape, dtype=array.dtype))
        total = array.zeros_like()
        self._kvstore.push(self._keys[about], array)
        between()
        self._kvstore.pull(self._keys[about], out=total)
        return total

    def waiting(self):
        return self._watchdog

    def watch(self, folder):
        self._watch(
            folder, [f"server-{number}" for number in range(int(os.environ["DMLC_NUM_SERVER"]))]
        )
        self._command(CONTROLLER, BEAT, os.path.abspath(folder), self._watchdog.period)

    def _command(self, kind, *words):
        """Give all servers a command, as rank 0, and wait until they have obeyed it."""
        if self.rank == 0:
            with self.waiting():
                self._kvstore._send_command_to_servers(kind, json.dumps(words))

    def _lost(self):
        """The scheduler, in a list, if this worker has not heard of it for a while."""
        if isinstance(self._kvstore, str):  # it is still being made
            return []
        scheduler = "the scheduler at {DMLC_PS_ROOT_URI}:{DMLC_PS_ROOT_PORT}".format_map(os.environ)
        silent, seconds = ctypes.c_int(), max(3, int(self._watchdog.seconds / 2))
        check_call(
            _LIB.MXKVStoreGetNumDeadNode(
                self._kvstore.handle, SCHEDULER, ctypes.byref(silent), seconds
            )
        )
        return [scheduler] if silent.value else []

    def meet(self):
        """Wait until all workers have come here, with nothing left that they have sent."""
        with self.waiting():
            mx.nd.waitall()
            self._kvstore._barrier()

    def close(self):
        self.meet()
        self._command(CONTROLLER, STILL)
        with self.waiting():  # the store's destructor waits for all workers
            store, nothing = self._kvstore, KVStoreHandle()
            check_call(_LIB.MXKVStoreFree(store.handle))
            store.handle = nothing
        self._watchdog.close()

    def leave(self, error):
        # The store's destructor waits for all workers, who may never come: leave without it.
        self._watchdog.close()
        if not isinstance(error, UserError):
            traceback.print_exc()
        end(error, error.exit_code if isinstance(error, UserError) else 1)


class AsynchronousParameterServer(ParameterServer):
    """One of several workers that wait for each other only where the log says what all have done.

    A step is a worker's own: it updates its copy of the parameters with the gradients of its own
    images, tells the servers how much that changed, and takes what they have by now. Learning rate,
    weight decay and momentum are therefore the optimizer's of the worker, as in every other launch,
    and the servers only add.
    """

    in_step = False

    def __init__(self, config):
        super().__init__(config)
        self._sums = {}  # how many there were of each kind
        self._command(CONTROLLER, ADD)
        self.meet()

    def trainer(self, net, optimizer, settings):
        return AsynchronousTrainer(self._kvstore, net.collect_params(), optimizer, settings)

    def sum_later(self, array):
        # Two keys in turn: nobody starts a key's next sum before all have come to the one between,
        # with this one's result.
        about = np.dtype(array.dtype).name, array.size
        self._sums[about] = self._sums.get(about, 0) + 1
        total = self._push_and_pull(array, about + (self._sums[about] % 2,), between=self.meet)
        total.wait_to_read()
        return total

    def publish(self, trainer):
        with self.waiting():
            trainer.publish()
            mx.nd.waitall()

    def settle(self, trainer):
        self.meet()
        with self.waiting():
            trainer.pull()
        self.meet()


class AsynchronousTrainer(gluon.Trainer):
    """A Gluon trainer that sums the gradients of its own devices, and shares its updates with other
    workers.
    """

    def __init__(self, store, parameters, optimizer, settings):
        super().__init__(parameters, optimizer, settings, kvstore="device", update_on_kvstore=False)
        self._store = store
        self._before = {}  # parameter's number: its value when it was pulled

    def publish(self):
        """Give the servers rank 0's parameters, and every worker what the servers have."""
        for index, parameter in self._shared():
            self._store.init(index, parameter.list_data()[0])
        self.pull()

    def update(self, batch_size, ignore_stale_grad=False):
        super().update(batch_size, ignore_stale_grad)
        for index, parameter in self._shared():
            self._store.push(index, parameter.list_data()[0] - self._before[index], priority=-index)
        self.pull()

    def pull(self):
        """Take the parameters that the servers have."""
        for index, parameter in self._shared():
            self._store.pull(index, out=parameter.list_data(), priority=-index)
            self._before[index] = parameter.list_data()[0].copy()

    def _shared(self):
        return [
            (index, parameter)
            for index, parameter in enumerate(self._params)
            if parameter.grad_req != "null"
        ]
