"""BatchNorm over the images on all devices of a process, for trainings with few images per device,
as in segmentation.
"""

from mxnet.gluon import nn
from mxnet.gluon.block import Block

from .batch_norm import batch_norms


class SyncBatchNorm(nn.BatchNorm):
    """Gluon's BatchNorm, computed by MXNet's operator that synchronises the devices.

    Only :func:`synchronise` creates it. Outside training it equals BatchNorm.
    """

    devices: int

    def hybrid_forward(self, F, x, gamma, beta, running_mean, running_var):
        options = {name: value for name, value in self._kwargs.items() if name != "axis"}
        statistics = running_mean, running_var
        # Layers with the same key are synchronised with each other.
        return F.contrib.SyncBatchNorm(
            x, gamma, beta, *statistics, name="fwd", ndev=self.devices, key=self.prefix, **options
        )


def synchronise(net: Block, devices: int) -> int:
    """Make all BatchNorms of a network that has not computed anything yet share their statistics
    over this many devices. Their parameters keep their names. Returns the number of BatchNorms.
    """
    found = [norm for norm in batch_norms(net) if type(norm) is nn.BatchNorm]
    for norm in found:
        norm.__class__, norm.devices = SyncBatchNorm, devices
    return len(found)
