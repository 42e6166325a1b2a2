"""Sets momentum and epsilon of a network's BatchNorms, in networks of any origin.

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
    """Set these values in all BatchNorms of a network that has not computed anything yet; 0 keeps a
    norm's own. Returns the number of BatchNorms.
    """
    found = batch_norms(net)
    for norm in found:
        if momentum:
            norm._kwargs["momentum"] = momentum
        if epsilon:
            norm._kwargs["eps"] = epsilon
    return len(found)
