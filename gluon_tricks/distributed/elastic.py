"""Horovod's elastic mode: workers are added and lost, and each time the run goes on from its last
checkpoint.

``horovodrun --min-np`` starts the workers that are missing and tells the others; of the steps
before, workers need to know nothing but the checkpoint. If workers are added, the run stops after a
whole step with a checkpoint and nothing is lost. If one dies, the steps since the last checkpoint
(``--save-interval``) are done again.
"""

import os

import mxnet as mx

from ..errors import UserError
from ..text import last_line
from .horovodrun import listen_on
from .workers import connect

HOSTS_CHANGED = 0  # a reason to stop, next to the signals' numbers, which start at 1


class HostsChanged(Exception):
    """Workers are added or removed, and the run has to go on with those that are there then."""


def is_driven():
    """Whether ``horovodrun`` started this process in its elastic mode."""
    return os.environ.get("HOROVOD_ELASTIC") == "1"


def train(config, session, new_stop):
    """Call ``session(config, workers, stop)`` again and again until one has trained to the end of
    the run; returns what that one returned.

    ``stop`` comes from ``new_stop()``. Its attribute ``asked`` becomes ``HOSTS_CHANGED`` when
    workers are added or removed; the session has to raise :class:`HostsChanged` then.
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
            reason = "workers are added or removed"
        except (mx.MXNetError, HorovodInternalError) as error:
            lost = workers.who_is_lost() or "a worker is lost"
            reason = f"{lost} ({last_line(error)})"
        print(
            f"gluon-tricks train: {reason}; going on from the last checkpoint with the workers "
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
