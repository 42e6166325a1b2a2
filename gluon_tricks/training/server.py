"""A server, or the scheduler, of MXNet's parameter server: ``python -m gluon_tricks.training.server``, with ``DMLC_ROLE`` set.

A server that ``import mxnet`` makes would unpickle the optimizer that a worker sends, and pickle can run any code. This one
only adds, and knows one command.
"""

import ctypes
import os

ADD = "add"  # the command of dist_async, before anything is sent: add what comes to what is there, at once
# The parameters' keys are their numbers; those of sums over the workers start here. ps-lite chooses a key's server by its
# product with 9973, in 32 bits: a product that does not fit crashes the worker.
FIRST_SUM = 1 << 16


def main():
    """Serve until the workers are through."""
    role = os.environ.pop("DMLC_ROLE")  # or the import would never come back
    import mxnet as mx
    from mxnet.base import _LIB, check_call

    os.environ["DMLC_ROLE"] = role
    store = mx.kv.create("dist")

    def obey(number, body, _):
        if number == 0 and body == ADD.encode():
            store._set_updater(adder(int(os.environ["DMLC_NUM_WORKER"])))

    controller = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(obey)
    check_call(_LIB.MXKVStoreRunServer(store.handle, controller, None))


def adder(workers):
    """``update(key, received, stored)``: parameters grow by what comes; a sum starts again with every ``workers``-th value."""
    received_so_far = {}

    def update(key, received, stored):
        if key >= FIRST_SUM:
            count = received_so_far[key] = received_so_far.get(key, 0) + 1
            if (count - 1) % workers == 0:
                stored[:] = received
                return
        stored += received

    return update


if __name__ == "__main__":
    main()
