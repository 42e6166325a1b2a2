"""A server, or the scheduler, of MXNet's parameter server: ``python -m
gluon_tricks.distributed.server``, with ``DMLC_ROLE`` set.

The server that ``import mxnet`` starts would unpickle the optimizer that a worker sends, and pickle
can run any code. This one only adds, and knows two commands.
"""

import ctypes
import json
import os

from ..threads import set_threads

# Commands, each a JSON list of its name and its arguments.
START_HEARTBEAT = "start heartbeat"  # (folder, seconds between two beats)
STOP_HEARTBEAT = "stop heartbeat"


def main():
    """Serve until the workers have ended."""
    role = os.environ.pop("DMLC_ROLE")  # with it, the import would never return
    set_threads()
    import mxnet as mx
    from mxnet.base import _LIB, check_call

    os.environ["DMLC_ROLE"] = role
    from .watchdog import Heartbeat

    store = mx.kv.create("dist")
    heartbeats = []

    def run_command(kind, body, _):
        name, *arguments = json.loads(body)
        if name == START_HEARTBEAT:
            folder, period = arguments
            heartbeats.append(Heartbeat(folder, f"server-{store.rank}", period))
        elif name == STOP_HEARTBEAT:
            while heartbeats:
                heartbeats.pop().stop()

    controller = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(run_command)
    check_call(_LIB.MXKVStoreRunServer(store.handle, controller, None))


if __name__ == "__main__":
    main()
