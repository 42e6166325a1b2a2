"""Horovod's elastic mode: workers come and go, and each time the run goes on from its last
checkpoint.

``horovodrun --min-np`` starts what is missing and says who is there; the checkpoint is all that the
workers need to know of the steps before. Where workers are added, the run stops after a whole step
with a checkpoint and nothing is lost; where one dies, the steps since the last checkpoint
(``--save-interval``) are done again.
"""

import os

import mxnet as mx

from ..errors import UserError
from ..training.stopping import HOSTS_CHANGED, HostsChanged, Stop
from .horovodrun import listen_on
from .local import join


def is_driven():
    """Whether ``horovodrun`` started this process in its elastic mode."""
    return os.environ.get("HOROVOD_ELASTIC") == "1"


def train(config, session):
    """``session(config, cluster, stop)``, one after the other until one has come to the end of the
    run.
    """
    if config.elastic == "none":
        raise UserError(
            "horovodrun --min-np: say what is to become of the global batch, with --elastic keep-batch or scale-lr"
        )
    from horovod.common.elastic import notification_manager
    from horovod.common.exceptions import HorovodInternalError

    hosts = Hosts()
    listen_on(os.environ["HOROVOD_GLOO_IFACE"])
    while True:
        cluster = join(config)
        hosts.stop = Stop()
        notification_manager.init()
        notification_manager.register_listener(hosts)
        try:
            return session(config, cluster, hosts.stop)
        except HostsChanged:
            what = "workers are to come or go"
        except (mx.MXNetError, HorovodInternalError) as error:
            lost, reason = (
                cluster.who_is_lost() or "a worker is lost",
                str(error).strip().splitlines()[-1],
            )
            what = f"{lost} ({reason})"
        print(
            f"gluon-tricks train: {what}; going on with those that are there, from the last checkpoint",
            flush=True,
        )
        cluster.reset()


class Hosts:
    """Hears from ``horovodrun`` of hosts that are there or no longer, and asks the running session
    to stop.
    """

    stop = None

    def on_hosts_updated(self, timestamp, update):
        """Called by Horovod in a thread of its own."""
        if self.stop.asked is None:
            self.stop.asked = HOSTS_CHANGED
