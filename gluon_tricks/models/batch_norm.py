"""Momentum and epsilon of a network's BatchNorms, whoever has built them.

y = gamma (x - mean) / sqrt(variance + epsilon) + beta, and after each batch the running statistics
are momentum x old + (1 - momentum) x new. (PyTorch counts the other way: its 0.1 is 0.9 here, as in
TensorFlow.)
"""

from typing import List

from mxnet.gluon import nn
from mxnet.gluon.block import Block


def batch_norms(net: Block) -> List[Block]:
    """The BatchNorms in a network, SyncBatchNorm and other kinds included."""
    found = [net] if isinstance(net, nn.BatchNorm) else []
    return found + [norm for child in net._children.values() for norm in batch_norms(child)]


def set_batch_norms(net: Block, momentum: float = 0.0, epsilon: float = 0.0) -> int:
    """Give all BatchNorms of a network, which has computed nothing yet, these values; 0 leaves
    theirs. Returns how many there are.
    """
    found = batch_norms(net)
    for norm in found:
        if momentum:
            norm._kwargs["momentum"] = momentum
        if epsilon:
            norm._kwargs["eps"] = epsilon
    return len(found)
