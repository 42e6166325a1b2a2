"""A server, or the scheduler, of MXNet's parameter server: ``python -m
gluon_tricks.distributed.server``, with ``DMLC_ROLE`` set.

A server that ``import mxnet`` makes would unpickle the optimizer that a worker sends, and pickle
can run any code. This one only adds, and knows three commands.
"""

import ctypes
import json
import os

# Commands, each a JSON list of its name and what it needs.
ADD = "add"  # of dist_async, before anything is sent: add what comes to what is there, at once
BEAT = "beat"  # (folder, period): have a heartbeat in this folder
STILL = "still"  # have none any more
# The parameters' keys are their numbers; those of sums over the workers start here. ps-lite chooses
# a key's server by its product with 9973, in 32 bits: a product that does not fit crashes the
# worker.
FIRST_SUM = 1 << 16


def main():
    """Serve until the workers are through."""
    role = os.environ.pop("DMLC_ROLE")  # or the import would never come back
    import mxnet as mx
    from mxnet.base import _LIB, check_call

    os.environ["DMLC_ROLE"] = role
    from .watchdog import Heartbeat

    store = mx.kv.create("dist")
    heartbeats = []

    def obey(number, body, _):
        name, *about = json.loads(body)
        if name == ADD:
            store._set_updater(adder(int(os.environ["DMLC_NUM_WORKER"])))
        elif name == BEAT:
            folder, period = about
            heartbeats.append(Heartbeat(folder, f"server-{store.rank}", period))
        elif name == STILL:
            while heartbeats:
                heartbeats.pop().stop()

    controller = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(obey)
    check_call(_LIB.MXKVStoreRunServer(store.handle, controller, None))


def adder(workers):
    """``update(key, received, stored)``: parameters grow by what comes; a sum starts again with
    every ``workers``-th value.
    """
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
