"""How much of the training is done, for layers that change with it, such as DropBlock.

It is a parameter of the network, so that a compiled graph sees each new value; but not one that is
trained, nor one of a parameter file: a file fits the network with such layers and without them.
"""

import warnings
from typing import Any, List

import mxnet as mx
from mxnet.gluon.block import HybridBlock

# Rightly not used by a graph that is compiled outside of training.
warnings.filterwarnings("ignore", "Parameter progress is not used by any computation")


class Progress:
    """A number from 0, the first step, to 1, the end of the training, that layers share.

    Whoever trains sets it before each step (:func:`progress_of`); until then it is 1.
    """

    def __init__(self):
        self.parameter = mx.gluon.Parameter(
            "progress", grad_req="null", shape=(1,), init="ones", differentiable=False
        )

    def join(self, layer: HybridBlock) -> None:
        """Let the parameter be one of those that ``layer`` computes with."""
        layer.progress = self
        layer.params.update({self.parameter.name: self.parameter})

    def value(self, x: Any) -> Any:
        """float32 (1,): the number, as an array or a symbol like x."""
        if isinstance(x, mx.sym.Symbol):
            return self.parameter.var()
        return self.parameter.data(x.context)

    def set(self, step: int, total_steps: int) -> None:
        """Say that step number ``step``, from 0, of ``total_steps`` begins."""
        for value in self.parameter.list_data():
            value[:] = step / total_steps


def progress_of(net: HybridBlock) -> List[Progress]:
    """What layers of ``net`` have to be told before each step; [] if none changes."""
    found = {}

    def look(block):
        progress = getattr(block, "progress", None)
        if isinstance(progress, Progress):
            found[id(progress)] = progress

    net.apply(look)
    return list(found.values())
