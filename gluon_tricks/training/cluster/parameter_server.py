"""Workers of MXNet's parameter server (ps-lite), as ``gluon-tricks launch`` starts them."""

import os
import traceback

import mxnet as mx
import numpy as np
from mxnet import gluon

from ...errors import UserError
from ..server import ADD, FIRST_SUM
from . import Local
from .patience import Patience, end


class ParameterServer(Local):
    """One of several workers whose gradients the servers sum, after every step, for all of them."""

    def __init__(self, config):
        if os.environ.get("DMLC_ROLE") != "worker":
            raise UserError(
                "--kvstore {0}: start the workers with 'gluon-tricks launch --kvstore {0} -n N -s N -- train ...', "
                "see docs/distributed.md".format(config.kvstore)
            )
        super().__init__(config)
        self._waiting = Patience(config.stall_timeout)
        with self.waiting():
            self._kvstore = mx.kv.create(config.kvstore)
        self.rank, self.world_size = self._kvstore.rank, self._kvstore.num_workers
        print("parameter server: worker {} of {}".format(self.rank, self.world_size), flush=True)
        self._keys = {}  # of a sum: its key

    def sum(self, array):
        # The servers add floating point numbers alone; float64 holds integers up to 2^53 exactly.
        with self.waiting():
            values = mx.nd.array(array, dtype="float32" if array.dtype == np.float32 else "float64")
            return self.sum_later(values).asnumpy().astype(array.dtype)

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
        return self._waiting

    def meet(self):
        """Wait until all workers have come here, with nothing left that they have sent."""
        with self.waiting():
            mx.nd.waitall()
            self._kvstore._barrier()

    def close(self):
        self.meet()
        self._waiting.close()

    def leave(self, error):
        # The store's destructor waits for all workers, who may never come: leave without it.
        if not isinstance(error, UserError):
            traceback.print_exc()
        end(error, error.exit_code if isinstance(error, UserError) else 1)


class AsynchronousParameterServer(ParameterServer):
    """One of several workers that wait for each other only where the log says what all have done.

    A step is a worker's own: it updates its copy of the parameters with the gradients of its own images, tells the servers
    how much that changed, and takes what they have by now. Learning rate, weight decay and momentum are therefore the
    optimizer's of the worker, as in every other launch, and the servers only add.
    """

    in_step = False

    def __init__(self, config):
        super().__init__(config)
        self._sums = {}  # how many there were of each kind
        if self.rank == 0:
            self._kvstore._send_command_to_servers(0, ADD)
        self.meet()

    def trainer(self, net, optimizer, settings):
        return AsynchronousTrainer(self._kvstore, net.collect_params(), optimizer, settings)

    def sum_later(self, array):
        # Two keys in turn: nobody starts a key's next sum before all have come to the one between, with this one's result.
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
    """A Gluon trainer that sums the gradients of its own devices, and shares its updates with other workers."""

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
        return [(index, parameter) for index, parameter in enumerate(self._params) if parameter.grad_req != "null"]
