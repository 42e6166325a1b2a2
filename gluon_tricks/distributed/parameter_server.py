"""Workers of MXNet's parameter server (ps-lite), as ``gluon-tricks launch`` starts them."""

import ctypes
import json
import os
import platform
import traceback

import mxnet as mx
import numpy as np
from mxnet.base import _LIB, KVStoreHandle, check_call

from ..errors import UserError
from . import guardian
from .gathering import gather
from .local import Local
from .server import START_HEARTBEAT, STOP_HEARTBEAT
from .watchdog import Watchdog, end, other_workers

CONTROLLER, SET_MULTI_PRECISION = 0, 1  # the kinds of commands that MXNet's servers know
SCHEDULER = 1  # its number among ps-lite's nodes
# Parameters have their numbers as keys; the keys of sums over the workers start here. ps-lite
# chooses a key's server by 9973 times the key, in 32 bits: an overflow crashes the worker.
FIRST_SUM = 1 << 16


class ParameterServer(Local):
    """One of several workers whose gradients the servers sum after every step.

    ``kvstore`` is "dist_sync" or "dist_device_sync", and ``stall_timeout`` is in seconds.
    """

    def __init__(self, devices, kvstore, stall_timeout):
        if os.environ.get("DMLC_ROLE") != "worker":
            raise UserError(
                f"--kvstore {kvstore}: start the workers with 'gluon-tricks launch "
                f"--kvstore {kvstore} -n N -s N -- train ...', see docs/distributed.md"
            )
        super().__init__(devices, kvstore)
        # Seconds between the heartbeats of ps-lite's nodes and the scheduler; unset, there are
        # none.
        os.environ.setdefault("PS_HEARTBEAT_INTERVAL", "1")
        self._watchdog = Watchdog(stall_timeout, self._lost)
        # By then, the other workers have named a stopped one.
        self._guardian = guardian.start(2 * stall_timeout)
        with self.waiting():
            self._kvstore = mx.kv.create(kvstore)
        self.rank, self.world_size = self._kvstore.rank, self._kvstore.num_workers
        print(f"parameter server: worker {self.rank} of {self.world_size}", flush=True)
        self._guardian(f"worker {self.rank} on {platform.node()}")
        self._keys = {}  # of the sums, by dtype and size
        # An uninitialised variable of MXNet's servers decides whether they add float16 in float32.
        # This sets it to true.
        self._command(SET_MULTI_PRECISION)

    def sum(self, array):
        if array.dtype == np.float32:
            with self.waiting():
                return self.sum_later(mx.nd.array(array)).asnumpy()
        # The servers know no integers and round float64. So every worker sends its bytes, each two
        # as a float32 that holds them exactly, and the values are added here in the order of the
        # ranks.
        pairs = np.ascontiguousarray(array).view(np.uint16).astype(np.float32)
        return gather(self, pairs).astype(np.uint16).view(array.dtype).sum(axis=0)

    def sum_later(self, array):
        about = np.dtype(array.dtype).name, array.size
        if about not in self._keys:
            self._keys[about] = FIRST_SUM + len(self._keys)
            with self.waiting():
                self._kvstore.init(self._keys[about], mx.nd.zeros(array.shape, dtype=array.dtype))
        total = array.zeros_like()
        self._kvstore.push(self._keys[about], array)
        self._kvstore.pull(self._keys[about], out=total)
        return total

    def waiting(self):
        return self._watchdog

    def watch(self, folder):
        servers = [f"server-{number}" for number in range(int(os.environ["DMLC_NUM_SERVER"]))]
        others = other_workers(self.rank, self.world_size) + servers
        self._watchdog.watch(folder, f"worker-{self.rank}", others)
        self._command(CONTROLLER, START_HEARTBEAT, os.path.abspath(folder), self._watchdog.period)

    def _command(self, kind, *arguments):
        """On rank 0, send all servers a command and wait until they have carried it out."""
        if self.rank == 0:
            with self.waiting():
                self._kvstore._send_command_to_servers(kind, json.dumps(arguments))

    def _lost(self):
        """[the scheduler], if this worker has not heard from it for a while; else []."""
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

    def close(self):
        with self.waiting():
            mx.nd.waitall()
            self._kvstore._barrier()
        self._command(CONTROLLER, STOP_HEARTBEAT)
        with self.waiting():  # the store's destructor waits for all workers
            store, nothing = self._kvstore, KVStoreHandle()
            check_call(_LIB.MXKVStoreFree(store.handle))
            store.handle = nothing
        self._watchdog.close()

    def abort(self, error):
        # The store's destructor waits for all workers, who may never come: end without it.
        self._watchdog.close()
        if not isinstance(error, UserError):
            traceback.print_exc()
        end(error, error.exit_code if isinstance(error, UserError) else 1)
