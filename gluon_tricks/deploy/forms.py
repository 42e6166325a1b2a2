"""The forms of an export: each is written into a folder and compared with the network it came from."""

import os
from typing import NamedTuple

import mxnet as mx
import numpy as np

from . import graph as graphs
from . import images, int8, onnx
from .classifier import block_predictor
from .compare import ExportError, compare, difference
from .fold import fold_batch_norm
from .manifest import FILES

FOLD_TOLERANCE = 1e-4  # of the largest output, as for ONNX: folding changes the order of the roundings alone
REAL_IMAGES = 8  # compared beside the random ones, where there is a file of images


class Options(NamedTuple):
    """What the exported graph has beside the network."""

    preprocess: bool = False
    softmax: bool = False
    fold_bn: bool = False


class Forms:
    """The network of a classifier, the inputs that its forms are compared on, and what it makes of them."""

    def __init__(self, model, folder, options, real=""):
        self.model, self.folder, self.options = model, folder, options
        self.graph = graphs.trace(model.net)
        self.folding = None
        pixels = [images.random_pixels(count, model.input_size, seed=count) for count in (3, 1)]
        if real:
            held = images.sample(model, real, REAL_IMAGES)
            pixels.append(images.pixels_of(held, model.rgb_mean, model.rgb_std))
        normalised = [normalise(p, model.rgb_mean, model.rgb_std) for p in pixels]
        self.inputs = pixels if options.preprocess else [array.asnumpy() for array in normalised]
        self.references = [self._dressed_outputs(model.net(array)) for array in normalised]
        if options.fold_bn:
            self.graph = self.folded()

    def folded(self):
        """The graph without the BatchNorms that follow a convolution."""
        if self.folding is None:
            folded, count, stayed = fold_batch_norm(self.graph)
            self.folding = dict(folded=count, stayed=stayed)
            return folded
        return self.graph

    def write(self, format, **calibration):
        """Write one form and return its entry in the manifest; ExportError where it computes something else."""
        return getattr(self, "_write_" + format)(**calibration)

    def _write_symbol(self):
        graph = self._dressed(self.graph)
        here = self._run(graph)
        change = difference([a for row in here for a in row], [a for row in self.references for a in row])
        if change[1] > (FOLD_TOLERANCE if self.options.fold_bn else 0):
            raise ExportError(
                "the graph differs from the network by {:.3g} of the largest output".format(change[1])
            )
        graphs.save(graph, *self._paths("symbol"))
        return dict(
            files=FILES["symbol"], comparison=compare(self.folder, "symbol", self.inputs, here),
            difference_to_network=change[1], batch_norm=self.folding,
        )  # fmt: skip

    def _write_onnx(self):
        path = self._paths("onnx")[0]
        onnx.convert(self._dressed(self.graph), path, self.inputs[0].shape[1:], self.inputs[0].dtype)
        return dict(
            files=FILES["onnx"], opset=onnx.OPSET, ir_version=onnx.IR_VERSION, batch_norm=self.folding,
            comparison=compare(self.folder, "onnx", self.inputs, self.references),
        )  # fmt: skip

    def _write_int8(self, record, mode, count):
        held = images.sample(self.model, record, count)
        size = min(32, len(held))
        held = held[: len(held) // size * size]
        batches = [mx.nd.array(held[place : place + size]) for place in range(0, len(held), size)]
        self.quantized = int8.quantize(self.folded(), batches, mode)
        graph = self._dressed(self.quantized)
        graphs.save(graph, *self._paths("int8"))
        operators = graphs.operators(self.quantized.symbol)
        return dict(
            files=FILES["int8"], comparison=compare(self.folder, "int8", self.inputs, self._run(graph)),
            calibration=dict(mode=mode, images=len(held), file=os.path.basename(record)),
            int8_operators=sum(n for name, n in operators.items() if name.startswith(("_sg_mkldnn", "_contrib_quantized"))),
            float_operators=sorted(name for name in operators if not name.startswith(("_sg_mkldnn", "_contrib_"))),
        )  # fmt: skip

    def int8_predictor(self):
        """``predict`` of the INT8 network, for measuring it."""
        return block_predictor(graphs.block(self.quantized), "the int8 form")

    def _paths(self, format):
        return [os.path.join(self.folder, name) for name in FILES[format]]

    def _dressed(self, graph):
        if self.options.preprocess:
            graph = graphs.with_preprocessing(graph, self.model.rgb_mean, self.model.rgb_std)
        return graphs.with_softmax(graph) if self.options.softmax else graph

    def _dressed_outputs(self, logits):
        outputs = [logits, mx.nd.softmax(logits, axis=-1)] if self.options.softmax else [logits]
        return [output.asnumpy() for output in outputs]

    def _run(self, graph):
        block = graphs.block(graph)
        rows = [block(mx.nd.array(array, dtype=array.dtype)) for array in self.inputs]
        return [[a.asnumpy() for a in (row if isinstance(row, (list, tuple)) else [row])] for row in rows]


def normalise(pixels, mean, std):
    """NDArray float32 (N, 3, H, W) of uint8 (N, H, W, 3), by the operators that a preprocessing graph has."""
    planes = mx.nd.array(pixels, dtype="uint8").astype("float32").transpose((0, 3, 1, 2))
    mean, std = (mx.nd.array(np.reshape(values, (1, 3, 1, 1)), dtype="float32") for values in (mean, std))
    return mx.nd.broadcast_div(mx.nd.broadcast_sub(planes, mean), std)
