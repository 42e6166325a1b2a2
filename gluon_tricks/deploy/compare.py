"""Compares an exported format with its network, by running the format in a new process."""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np

from ..child_processes import end_with_parent, why_it_failed
from ..errors import UserError
from .manifest import FILES

# Largest difference allowed, relative to the largest output; a symbol's outputs have to be
# bit-identical.
TOLERANCES = {"symbol": 0.0, "onnx": 1e-4, "int8": 0.0, "safetensors": 0.0}
TIMEOUT = 1800  # seconds; two cores need far less for a ResNet-152 on 40 images


class ExportError(UserError):
    """An exported format does not compute what its network does."""

    exit_code = 3


def replay(folder, format, inputs):
    """The outputs (a list) for each of ``inputs``, from a new process without this package."""
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "replay.py")
    # In the export's folder, so that a killed export leaves nothing elsewhere.
    with tempfile.TemporaryDirectory(prefix=".compare-", dir=folder) as workplace, open(
        source
    ) as text:
        task = dict(
            format=format,
            files=[os.path.join(os.path.abspath(folder), name) for name in FILES[format]],
            inputs=os.path.join(workplace, "inputs.npz"),
            outputs=os.path.join(workplace, "outputs.npz"),
        )
        np.savez(task["inputs"], **{str(i): array for i, array in enumerate(inputs)})
        try:
            # In another folder, so that "" on sys.path does not lead to this package.
            done = subprocess.run(
                [sys.executable, "-c", text.read()],
                input=json.dumps(task),
                cwd=workplace,
                timeout=TIMEOUT,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                universal_newlines=True,
                preexec_fn=end_with_parent(),
            )
        except subprocess.TimeoutExpired:
            raise ExportError(
                f"running the {format} format in a new process took over {TIMEOUT} s"
            ) from None
        if done.returncode:
            raise ExportError(
                f"a new process cannot run the {format} format: {why_it_failed(done)}"
            )
        with np.load(task["outputs"], allow_pickle=False) as held:
            return [
                [
                    held[f"{i}-{j}"]
                    for j in range(sum(name.startswith(f"{i}-") for name in held.files))
                ]
                for i in range(len(inputs))
            ]


def check_shapes(outputs, references):
    """ExportError if two lists of arrays differ in their numbers or shapes."""
    if len(outputs) != len(references):
        raise ExportError(f"there are {len(outputs)} outputs instead of {len(references)}")
    for output, reference in zip(outputs, references):
        if output.shape != reference.shape:
            raise ExportError(f"an output has shape {output.shape} instead of {reference.shape}")


def difference(outputs, references):
    """The largest difference between two lists of arrays, and the largest one relative to the
    largest value of its array.

    A value that is not finite makes both infinite. Raises ExportError if their numbers or shapes
    differ.
    """
    check_shapes(outputs, references)
    largest = share = 0.0
    for output, reference in zip(outputs, references):
        if not (np.isfinite(output).all() and np.isfinite(reference).all()):
            return float("inf"), float("inf")
        scale = float(np.abs(reference).max()) or 1.0
        distance = float(np.abs(output.astype(np.float64) - reference).max())
        largest, share = max(largest, distance), max(share, distance / scale)
    return largest, share


def compare(folder, format, inputs, references, difference=difference):
    """Compare a new process's outputs with ``references`` (a list of arrays for each input); the
    result for the manifest. ``difference`` is a function like :func:`difference`.

    Raises ExportError if they differ by more than the format's tolerance.
    """
    return judge(format, inputs, replay(folder, format, inputs), references, difference)


def judge(format, inputs, outputs, references, difference=difference):
    """The result of :func:`compare` for ``outputs``, a list of arrays for each of ``inputs``."""
    outputs, references = sum(outputs, []), sum(references, [])
    check_shapes(outputs, references)
    largest, share = difference(outputs, references)
    if not share <= TOLERANCES[format]:
        raise ExportError(
            f"the {format} format differs from the network by {largest:.3g}, which is {share:.3g} "
            f"of the largest output; {TOLERANCES[format]:.3g} is allowed"
        )
    return dict(
        images=sum(len(array) for array in inputs),
        batches=[len(array) for array in inputs],
        largest_difference=largest,
        relative_difference=share,
        tolerance=TOLERANCES[format],
        equal_to_the_bit=largest == 0,
    )
