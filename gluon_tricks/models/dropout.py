"""Dropout whose random numbers follow mx.random.seed on GPUs, too.

Gluon uses cuDNN's there, which has a state that no seed sets, so a resumed run would drop other
values.
"""

from mxnet.gluon import nn


class Dropout(nn.Dropout):
    """Gluon's Dropout, computed by MXNet's own operator."""

    def hybrid_forward(self, F, x):
        if self._rate <= 0:
            return F.identity(x)
        return F.Dropout(x, p=self._rate, axes=self._axes, name="fwd", cudnn_off=True)


def follow_seed(net):
    """Turn each of Gluon's Dropouts in ``net`` into one of ours, with the same place and name."""

    def replace(block):
        if type(block) is nn.Dropout:
            block.__class__ = Dropout

    net.apply(replace)
