"""Horovod's elastic mode: workers are added and lost, and each time the run resumes from its last
checkpoint.

``horovodrun --min-np`` starts missing workers and tells the others; all that a worker needs to know
of the steps before is the checkpoint. When workers are added, the run stops after a whole step with
a checkpoint, and nothing is lost. When a worker dies, the steps since the last checkpoint
(``--save-interval``) are done again.
"""

import os

import mxnet as mx

from ..errors import UserError
from ..text import last_line
from .horovodrun import listen_on
from .workers import connect

HOSTS_CHANGED = 0  # a reason to stop, like the numbers of signals, which start at 1


class HostsChanged(Exception):
    """Workers were added or removed, and the run has to continue with those that are there now."""


def is_driven():
    """Whether ``horovodrun`` started this process in its elastic mode."""
    return os.environ.get("HOROVOD_ELASTIC") == "1"


def train(config, session, new_stop):
    """Call ``session(config, workers, stop)`` until one trains to the end of the run, and return
    its result.

    ``stop`` comes from ``new_stop()``. Its attribute ``asked`` becomes ``HOSTS_CHANGED`` when
    workers are added or removed; the session then has to raise :class:`HostsChanged`.
    """
    if config.elastic == "none":
        raise UserError(
            "horovodrun --min-np: say what happens to the global batch when workers are added or "
            "lost, with --elastic keep-batch or scale-lr"
        )
    from horovod.common.elastic import notification_manager
    from horovod.common.exceptions import HorovodInternalError

    listener = HostsListener()
    listen_on(os.environ["HOROVOD_GLOO_IFACE"])
    while True:
        workers = connect(config)
        listener.stop = new_stop()
        notification_manager.init()
        notification_manager.register_listener(listener)
        try:
            return session(config, workers, listener.stop)
        except HostsChanged:
            reason = "workers were added or removed"
        except (mx.MXNetError, HorovodInternalError) as error:
            lost = workers.who_is_lost() or "a worker was lost"
            reason = f"{lost} ({last_line(error)})"
        print(
            f"gluon-tricks train: {reason}; resuming from the last checkpoint with the workers "
            "that are there",
            flush=True,
        )
        workers.disconnect()


class HostsListener:
    """Asks the running session to stop when ``horovodrun`` reports hosts added or removed."""

    stop = None

    def on_hosts_updated(self, timestamp, update):
        """Called by Horovod in a thread of its own."""
        if self.stop.asked is None:
            self.stop.asked = HOSTS_CHANGED
