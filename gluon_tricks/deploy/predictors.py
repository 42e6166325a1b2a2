"""Functions from normalised images to logits, for every runtime.

Each takes float32 (N, 3, H, W). If the network normalises its input itself, the pixels are
recovered from the normalised images, so that all classifiers take the same input.
"""

from typing import Any, Callable, Optional, Tuple

import numpy as np

from ..errors import UserError
from ..text import printable
from .preprocessing import Preprocessing

Predictor = Callable[[np.ndarray], np.ndarray]
# Above 0 in float32, so that a probability rounded to 0 has a logarithm, too.
SMALLEST_PROBABILITY = 1e-45


def block_predictor(
    net: Any,
    path: str,
    inside: Optional[Preprocessing] = None,
    device: Any = None,
    check: Callable[[Tuple[int, ...]], None] = lambda shape: None,
) -> Predictor:
    """The function of a Gluon block, which was read from ``path``.

    inside: the preprocessing, if it is part of the block, which then takes pixels. device: the
    context to compute on, one of the parameters' contexts; default: the CPU. check: called with the
    shape of the inputs before each computation.
    """
    import mxnet as mx

    def predict(images):
        images = _checked(images, path)
        if inside is None:
            inputs = mx.nd.array(images, dtype="float32", ctx=device)
        else:
            inputs = mx.nd.array(inside.pixels(images), dtype="uint8", ctx=device)
        check(inputs.shape)
        try:
            outputs = net(inputs)
            return (outputs[0] if isinstance(outputs, (list, tuple)) else outputs).asnumpy()
        except (mx.MXNetError, ValueError) as error:
            raise _cannot_compute(path, images, _without_stack_trace(error)) from error

    return predict


def session_predictor(
    session: Any, path: str, inside: Optional[Preprocessing] = None, probabilities: bool = False
) -> Predictor:
    """The function of an onnxruntime session of the file ``path``. A session with a fixed batch
    size gets batches of that size.

    inside: as in :func:`block_predictor`.
    probabilities: the outputs are a softmax already; their logarithms are logits that give the same
    softmax.
    """
    name, batch = session.get_inputs()[0].name, session.get_inputs()[0].shape[0]
    size = batch if isinstance(batch, int) and batch > 0 else None

    def run(inputs):
        outputs = session.run(None, {name: inputs})[0]
        if not isinstance(outputs, np.ndarray) or outputs.shape[:1] != inputs.shape[:1]:
            shape = getattr(outputs, "shape", type(outputs).__name__)
            raise ValueError(f"it gives {shape} for {len(inputs)} images")
        return outputs

    def predict(images):
        images = _checked(images, path)
        inputs = np.ascontiguousarray(images) if inside is None else inside.pixels(images)
        try:
            outputs = run(inputs) if size is None else _in_batches(run, inputs, size)
        except Exception as error:  # onnxruntime's exceptions have no common base class
            raise _cannot_compute(path, images, " ".join(str(error).split())) from error
        if not probabilities:
            return outputs
        return np.log(np.maximum(outputs.astype(np.float64), SMALLEST_PROBABILITY))

    return predict


def _in_batches(run, inputs, size):
    """The outputs of ``run`` in batches of ``size`` inputs; the last batch is padded with its last
    input.
    """
    outputs = []
    for place in range(0, len(inputs), size):
        batch = inputs[place : place + size]
        missing = size - len(batch)
        filled = np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)])
        outputs.append(run(filled)[: len(batch)])
    return np.concatenate(outputs)


def _checked(images, path):
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[1] != 3 or images.dtype != np.float32:
        shape = "x".join(map(str, images.shape))
        raise UserError(f"{path}: takes float32 images (N, 3, H, W), not {images.dtype} {shape}")
    return images


def _cannot_compute(path, images, reason):
    return UserError(
        f"{printable(path)}: cannot compute images of shape {images.shape}: {printable(reason)}"
    )


def _without_stack_trace(error):
    """The line of MXNet's message that states the error."""
    lines = [line for line in str(error).strip().splitlines() if "rror" in line] or [str(error)]
    return lines[-1].strip()[:300]
