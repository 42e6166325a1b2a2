"""INT8 through MXNet's quantisation: on the CPU, convolutions and dense layers compute on 8-bit
integers.

The thresholds that map activations to integers come from real images: ``naive`` takes the range of
the values, ``entropy`` the threshold at which their histogram loses the least information
(Kullback-Leibler divergence).
"""

import os

import mxnet as mx

from ..errors import UserError
from .graph import INPUT, Graph

MODES = ("naive", "entropy")


def quantize(graph, batches, mode="naive"):
    """The INT8 :class:`Graph` of a float32 graph.

    Parameters
    ----------
    graph : Graph
        Without preprocessing: its input is normalised float32 (N, 3, H, W).
    batches : list of NDArray
        Calibration images as the graph takes them, all of the same shape.
    mode : "naive" or "entropy"
    """
    from mxnet.contrib import quantization

    if mode not in MODES:
        raise UserError(f"--calibration-mode {mode}: has to be naive or entropy")
    # else it prints what it is doing
    os.environ.setdefault("MXNET_SUBGRAPH_VERBOSE", "0")
    arguments = {k[4:]: v for k, v in graph.params.items() if k.startswith("arg:")}
    auxiliary = {k[4:]: v for k, v in graph.params.items() if k.startswith("aux:")}
    symbol, arguments, auxiliary = quantization.quantize_model_mkldnn(
        graph.symbol,
        arguments,
        auxiliary,
        data_names=(INPUT,),
        label_names=None,
        ctx=mx.cpu(),
        calib_mode=mode,
        calib_data=Batches(batches),
        quantized_dtype="auto",
        quantize_mode="full",
    )
    params = {"arg:" + name: array for name, array in arguments.items()}
    params.update({"aux:" + name: array for name, array in auxiliary.items()})
    return Graph(symbol, params)


class Batches(mx.io.DataIter):
    """Arrays in memory as the iterator that MXNet's calibration expects."""

    def __init__(self, arrays):
        super().__init__(arrays[0].shape[0])
        self._arrays = arrays
        self.provide_data = [mx.io.DataDesc(INPUT, arrays[0].shape)]
        self.provide_label = []
        self.reset()

    def reset(self):
        self._rest = iter(self._arrays)

    def next(self):
        return mx.io.DataBatch([next(self._rest)], pad=0)
