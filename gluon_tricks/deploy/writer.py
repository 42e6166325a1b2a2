"""Writes a network in the formats of an export, and compares each with the network."""

import os
from typing import List, NamedTuple, Optional

import mxnet as mx
import numpy as np

from .. import __version__, models
from ..errors import UserError
from ..text import last_line
from . import graph as graphs
from . import int8, onnx, tasks
from . import manifest as manifests
from .compare import ExportError, compare, difference, judge
from .convert import write_folder
from .fold import fold_batch_norm
from .manifest import FILES
from .opened import Opened
from .predictors import block_predictor

# relative to the largest output, as for ONNX: folding changes only the order of roundings
FOLD_TOLERANCE = 1e-4
CALIBRATION_BATCH = 32


class Options(NamedTuple):
    """Options of the exported graph."""

    preprocess: bool = False
    softmax: bool = False
    fold_bn: bool = False

    def chosen(self) -> List[str]:
        """The names of the options that are on."""
        return [name for name, on in self._asdict().items() if on]

    def describe_input(self, size: Optional[int]) -> dict:
        """The graph's input, for the manifest; None in its shape is the batch and, without
        ``size``, any height and width.
        """
        if self.preprocess:
            return dict(
                name=graphs.INPUT, dtype="uint8", layout="NHWC", shape=[None, size, size, 3]
            )
        return dict(name=graphs.INPUT, dtype="float32", layout="NCHW", shape=[None, 3, size, size])


class Calibration(NamedTuple):
    """The images from which INT8 derives the ranges of activations."""

    record: str
    mode: str = "naive"  # or "entropy"
    images: int = 256


class FormatWriter:
    """Writes a trained network into a folder, and compares each format with the network.

    ``real`` is a RecordIO file with images to compare on, in addition to random ones.
    """

    def __init__(self, model: Opened, folder: str, options: Options, real: str = ""):
        self.model, self.folder, self.options = model, folder, options
        assert model.trained, "an export has no network to write"
        self.task = tasks.TASKS[model.task]
        self.difference = self.task.difference or difference
        graph = graphs.trace(model.computed(model.trained.net))
        self.folded, folded, stayed = fold_batch_norm(graph)
        self.graph = self.folded if options.fold_bn else graph
        self.batch_norm = dict(folded=folded, stayed=stayed) if options.fold_bn else None
        assert self.task.examples, "the task has no exports"
        pixels = self.task.examples(model.preprocessing, real)
        self.normalised = [normalise(each, model.preprocessing) for each in pixels]
        as_floats = [array.asnumpy() for array in self.normalised]
        self.inputs = pixels if options.preprocess else as_floats
        self.references = [self._outputs(mx.nd.array(model.compute(each))) for each in as_floats]

    def write(self, format: str, calibration: Optional[Calibration] = None) -> dict:
        """Write one format and return its entry in the manifest; int8 needs ``calibration``.

        Raises ExportError if the format does not compute what the network does.
        """
        if format == "int8":
            entry = self._write_int8(calibration)
        else:
            writers = dict(
                symbol=self._write_symbol,
                onnx=self._write_onnx,
                safetensors=self._write_safetensors,
            )
            entry = writers[format]()
        return dict(files=FILES[format], **entry)

    def _write_symbol(self):
        graph = self._with_options(self.graph)
        here = self._run(graph)
        measure = self.difference if self.options.fold_bn else difference
        _, share = measure(sum(here, []), sum(self.references, []))
        if share > (FOLD_TOLERANCE if self.options.fold_bn else 0):
            raise ExportError(
                f"the graph differs from the network by {share:.3g} of the largest output"
            )
        paths = self._paths("symbol")
        graphs.save(graph, *paths)
        self._check_opens(graph, paths[0])
        comparison = compare(self.folder, "symbol", self.inputs, here)
        return dict(comparison=comparison, difference_to_network=share, batch_norm=self.batch_norm)

    def _check_opens(self, graph, path):
        """UserError if ``evaluate`` and ``predict`` would refuse the graph because of its
        memory.
        """
        size = self.model.preprocessing.input_size
        shape = (1, size, size, 3) if self.options.preprocess else (1, 3, size, size)
        graphs.check_shapes(graph, shape, path, allowance=self.task.allowance)

    def _write_onnx(self):
        path = self._paths("onnx")[0]
        about = dict(
            manifests.description(self.model, self.options),
            labels=self.model.labels,
            versions=dict(gluon_tricks=__version__),
        )
        onnx.convert(
            self._with_options(self.graph),
            path,
            self.inputs[0].shape[1:],
            self.inputs[0].dtype,
            about,
            self.task.any_size,
            self.task.outputs[0],
        )
        comparison = compare(self.folder, "onnx", self.inputs, self.references, self.difference)
        return dict(
            comparison=comparison,
            opset=onnx.OPSET,
            ir_version=onnx.IR_VERSION,
            batch_norm=self.batch_norm,
        )

    def _write_int8(self, calibration):
        preprocessing, record = self.model.preprocessing, calibration.record
        held = self.task.calibration_images(preprocessing, record, calibration.images)
        size = min(CALIBRATION_BATCH, len(held))
        held = held[: len(held) // size * size]
        batches = [mx.nd.array(held[place : place + size]) for place in range(0, len(held), size)]
        try:
            self.quantized = int8.quantize(self.folded, batches, calibration.mode)
            graph = self._with_options(self.quantized)
            here = self._run(graph)
        except mx.MXNetError as error:
            raise UserError(f"MXNet cannot run this network in INT8: {last_line(error)}") from error
        graphs.save(graph, *self._paths("int8"))
        comparison = compare(self.folder, "int8", self.inputs, here)
        about = dict(mode=calibration.mode, images=len(held), file=os.path.basename(record))
        return dict(
            comparison=comparison,
            calibration=about,
            operators=graphs.operators(self.quantized.symbol),
        )

    def _write_safetensors(self):
        """Only timm could run the file, so it is read back instead."""
        write_folder(self.model, self.folder)
        name, options = self.model.trained.net.made_as
        net = models.get_model(name, classes=self.model.classes, **options)
        models.load_parameters(net, self.folder, ctx=mx.cpu())
        net.hybridize(static_alloc=True, static_shape=True)
        here = [self._outputs(net(array)) for array in self.normalised]
        return dict(comparison=judge("safetensors", self.inputs, here, self.references))

    def int8_predictor(self):
        """The INT8 network as a predictor, to measure it."""
        return block_predictor(graphs.block(self.quantized), "the int8 format")

    def _paths(self, format):
        return [os.path.join(self.folder, name) for name in FILES[format]]

    def _with_options(self, graph):
        if self.options.preprocess:
            graph = graphs.with_preprocessing(graph, self.model.preprocessing)
        return graphs.with_softmax(graph) if self.options.softmax else graph

    def _outputs(self, logits):
        outputs = [logits, mx.nd.softmax(logits, axis=1)] if self.options.softmax else [logits]
        return [output.asnumpy() for output in outputs]

    def _run(self, graph):
        block = graphs.block(graph)
        rows = [block(mx.nd.array(array, dtype=array.dtype)) for array in self.inputs]
        return [
            [a.asnumpy() for a in (row if isinstance(row, (list, tuple)) else [row])]
            for row in rows
        ]


def normalise(pixels, preprocessing):
    """NDArray float32 (N, 3, H, W) from uint8 (N, H, W, 3), with the operators of a preprocessing
    graph.
    """
    planes = mx.nd.array(pixels, dtype="uint8").astype("float32").transpose((0, 3, 1, 2))
    mean, std = (
        mx.nd.array(np.reshape(values, (1, 3, 1, 1)), dtype="float32")
        for values in (preprocessing.rgb_mean, preprocessing.rgb_std)
    )
    return mx.nd.broadcast_div(mx.nd.broadcast_sub(planes, mean), std)
