"""BatchNorm with the statistics of the images on all devices of a process, for networks whose
devices have few images each, as in segmentation.
"""

from mxnet.gluon import nn
from mxnet.gluon.block import Block

from .batch_norm import batch_norms


class SyncBatchNorm(nn.BatchNorm):
    """Gluon's BatchNorm by MXNet's operator that waits for the other devices.

    Only :func:`synchronise` makes one. Outside of training it is the same.
    """

    devices: int

    def hybrid_forward(self, F, x, gamma, beta, running_mean, running_var):
        options = {name: value for name, value in self._kwargs.items() if name != "axis"}
        statistics = running_mean, running_var
        # The layers of a name meet each other.
        return F.contrib.SyncBatchNorm(
            x, gamma, beta, *statistics, name="fwd", ndev=self.devices, key=self.prefix, **options
        )


def synchronise(net: Block, devices: int) -> int:
    """Make all BatchNorms of a network, which has computed nothing yet, share their statistics over
    so many devices. Their parameters keep their names. Returns how many there are.
    """
    found = [norm for norm in batch_norms(net) if type(norm) is nn.BatchNorm]
    for norm in found:
        norm.__class__, norm.devices = SyncBatchNorm, devices
    return len(found)
