"""Dropout whose random numbers follow from mx.random.seed on a GPU too.

cuDNN's, which Gluon uses there, has a state of its own that no seed sets: a resumed run would drop
other values.
"""

from mxnet.gluon import nn


class Dropout(nn.Dropout):
    """Gluon's Dropout by MXNet's own operator."""

    def hybrid_forward(self, F, x):
        if self._rate <= 0:
            return F.identity(x)
        return F.Dropout(x, p=self._rate, axes=self._axes, name="fwd", cudnn_off=True)


def follow_seed(net):
    """Make each of Gluon's Dropouts in ``net`` one of ours; it keeps its place and its name."""

    def replace(block):
        if type(block) is nn.Dropout:
            block.__class__ = Dropout

    net.apply(replace)
