"""Runs an exported model as its users do, in a separate process without this package.

:mod:`.compare` passes the text of this file to ``python -c``, and what to run as JSON on standard
input. So nothing here may import from gluon_tricks; the last check ensures that nothing did.
"""

import json
import sys

import numpy as np


def run_symbol(files, inputs):
    """The outputs for each input, with ``SymbolBlock.imports``."""
    from mxnet import gluon, nd

    net = gluon.SymbolBlock.imports(files[0], ["data"], files[1])
    results = []
    for array in inputs:
        outputs = net(nd.array(array, dtype=array.dtype))
        results.append(
            [output.asnumpy() for output in (outputs if isinstance(outputs, list) else [outputs])]
        )
    return results


def run_onnx(files, inputs):
    """The outputs for each input, with onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(files[0], options, providers=["CPUExecutionProvider"])
    return [session.run(None, {"data": array}) for array in inputs]


def main():
    """Read {format, files, inputs, outputs} and write the outputs."""
    task = json.load(sys.stdin)
    with np.load(task["inputs"], allow_pickle=False) as held:
        inputs = [held[str(i)] for i in range(len(held.files))]
    results = (run_onnx if task["format"] == "onnx" else run_symbol)(task["files"], inputs)
    np.savez(
        task["outputs"],
        **{f"{i}-{j}": a for i, row in enumerate(results) for j, a in enumerate(row)},
    )
    if any(name.split(".")[0] == "gluon_tricks" for name in sys.modules):
        sys.exit("gluon_tricks was imported, so this was not an independent run")


main()
