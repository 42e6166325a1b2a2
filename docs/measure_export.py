"""Prints docs/export.md's table of the networks that convert, and how closely.

    python docs/measure_export.py [NETWORK ...]

Networks have random weights; their BatchNorms have the statistics of random images, random scales
and random shifts, so that folding and converting have something to get wrong. Every figure is the
largest difference of the logits of 4 random images from those of the hybridized network in Gluon,
as a share of the largest logit. For INT8 the table shows whether the quantised graph runs and how
many of its operators compute on integers; its accuracy means something only for trained networks.
"""

import os
import sys
import tempfile

os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count()))
os.environ.setdefault("MXNET_SUBGRAPH_VERBOSE", "0")

import mxnet as mx
import numpy as np

from gluon_tricks import models
from gluon_tricks.bench.infer import random_network
from gluon_tricks.deploy import compare, int8, onnx
from gluon_tricks.deploy import graph as graphs
from gluon_tricks.deploy.fold import fold_batch_norm
from gluon_tricks.errors import UserError

NETWORKS = """
    resnet50_v1 resnet50_v1b resnet50_v1c resnet50_v1d resnet152_v1d resnet50_v2 se_resnet50_v1
    resnext50_32x4d se_resnext50_32x4d senet_154 resnest50 mobilenet1.0 mobilenetv2_1.0
    mobilenetv3_large inceptionv3 googlenet densenet121 densenet201 squeezenet1.1 vgg16_bn
    alexnet xception shufflenet_v1 darknet53 dla34 hrnet_w18_c nasnet_4_1056
""".split()
COLUMNS = (
    "network",
    "input",
    "symbol",
    "folded (BatchNorms)",
    "ONNX",
    "ONNX, folded",
    "INT8 operators",
)


INTEGER_OPERATORS = ("_sg_mkldnn", "_contrib_quantized")


def measure(name):
    """A row of the table."""
    size = models.input_size(name)
    net, images = random_network(name, size)
    net.hybridize()  # without it, a few networks already differ in the last bits
    inputs, expected = images.asnumpy(), net(images).asnumpy()
    row = [name, str(size)]
    try:
        graph = graphs.trace(net)
    except UserError as error:
        return row + [str(error)] + ["-"] * 4
    with tempfile.TemporaryDirectory() as folder:
        graphs.save(
            graph,
            os.path.join(folder, "model-symbol.json"),
            os.path.join(folder, "model-0000.params"),
        )
        symbol = compare.difference(compare.replay(folder, "symbol", [inputs])[0], [expected])[1]
        row.append("equal to the bit" if symbol == 0 else f"{symbol:.1e}")
        folded, count, stayed = fold_batch_norm(graph)
        share = compare.difference([graphs.block(folded)(images).asnumpy()], [expected])[1]
        row.append(f"{share:.1e} ({count} of {count + stayed})")
        for variant in (graph, folded):
            try:
                onnx.convert(variant, os.path.join(folder, "model.onnx"), (3, size, size))
                share = compare.difference(compare.replay(folder, "onnx", [inputs])[0], [expected])[
                    1
                ]
                row.append(f"{share:.1e}")
            except UserError as error:
                row.append(str(error).split(": ")[-1])
    try:
        quantized = int8.quantize(folded, [images])
        finite = np.isfinite(graphs.block(quantized)(images).asnumpy()).all()
        counts = graphs.operators(quantized.symbol)
        whole = sum(
            count for operator, count in counts.items() if operator.startswith(INTEGER_OPERATORS)
        )
        row.append(f"{whole} of {sum(counts.values())}" if finite else "no: not finite")
    except (UserError, mx.MXNetError) as error:
        row.append("no: " + str(error).strip().splitlines()[-1][:80])
    return row


def main():
    print("| {} |\n{}|".format(" | ".join(COLUMNS), "|---" * len(COLUMNS)))
    for name in sys.argv[1:] or NETWORKS:
        try:
            row = measure(name)
        except Exception as error:  # a network that fails gets a row, too
            row = [
                name,
                "",
                f"{type(error).__name__}: {str(error).strip().splitlines()[-1][:90]}",
                "",
                "",
                "",
                "",
            ]
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
