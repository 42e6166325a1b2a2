"""The progress of the training, for layers that depend on it, such as DropBlock.

It is a parameter of the network, so that a compiled graph sees each new value. It is not trained
and not saved, so a parameter file fits the network with and without such layers.
"""

import warnings
from typing import Any, List

import mxnet as mx
from mxnet.gluon.block import HybridBlock

# A graph compiled outside training correctly does not use it.
warnings.filterwarnings("ignore", "Parameter progress is not used by any computation")


class Progress:
    """A number that layers share, from 0 at the first step to 1 at the end of the training.

    The training loop sets it before each step (see :func:`progress_of`); until then it is 1.
    """

    def __init__(self):
        self.parameter = mx.gluon.Parameter(
            "progress", grad_req="null", shape=(1,), init="ones", differentiable=False
        )

    def join(self, layer: HybridBlock) -> None:
        """Make the parameter one of ``layer``'s."""
        layer.progress = self
        layer.params.update({self.parameter.name: self.parameter})

    def value(self, x: Any) -> Any:
        """float32 (1,): the number, as an array if x is one, or as a symbol."""
        if isinstance(x, mx.sym.Symbol):
            return self.parameter.var()
        return self.parameter.data(x.context)

    def set(self, step: int, total_steps: int) -> None:
        """Set it for step number ``step``, from 0, of ``total_steps``."""
        for value in self.parameter.list_data():
            value[:] = step / total_steps


def progress_of(net: HybridBlock) -> List[Progress]:
    """The Progress objects of ``net`` to be set before each step; [] if no layer has one."""
    found = {}

    def look(block):
        progress = getattr(block, "progress", None)
        if isinstance(progress, Progress):
            found[id(progress)] = progress

    net.apply(look)
    return list(found.values())
