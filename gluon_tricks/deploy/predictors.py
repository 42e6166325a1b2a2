"""``predict`` of a classifier: normalised images to logits, whatever computes them."""

import numpy as np

from ..errors import UserError
from ..text import printable
from .images import pixels_of

SMALLEST = 1e-45  # above 0 in float32: a probability that was rounded to 0 has a logarithm, too


def block_predictor(net, path, pixels=None, device=None):
    """``predict`` of a Gluon block; ``pixels`` is (mean, std) where the block itself normalises.

    device: the context of the block's parameters that is computed on; default: the CPU.
    """
    import mxnet as mx

    def predict(images):
        images = _checked(images, path)
        inputs = (
            mx.nd.array(images, dtype="float32", ctx=device)
            if pixels is None
            else mx.nd.array(pixels_of(images, *pixels), dtype="uint8", ctx=device)
        )
        try:
            outputs = net(inputs)
            return (outputs[0] if isinstance(outputs, (list, tuple)) else outputs).asnumpy()
        except (mx.MXNetError, ValueError) as error:
            raise _cannot(path, images, _reason(error)) from error

    return predict


def session_predictor(session, path, pixels=None, probabilities=False):
    """``predict`` of an onnxruntime session on the file ``path``, in batches of the size that it
    has, if it has one.

    ``probabilities``: the outputs are a softmax already; their logarithms are logits that give the
    same again.
    """
    name, batch = session.get_inputs()[0].name, session.get_inputs()[0].shape[0]
    size = batch if isinstance(batch, int) and batch > 0 else None

    def run(inputs):
        outputs = session.run(None, {name: inputs})[0]
        if not isinstance(outputs, np.ndarray) or outputs.shape[:1] != inputs.shape[:1]:
            raise ValueError(
                f"it gives {getattr(outputs, 'shape', type(outputs).__name__)} for {len(inputs)} images"
            )
        return outputs

    def predict(images):
        images = _checked(images, path)
        inputs = (
            np.ascontiguousarray(images, np.float32)
            if pixels is None
            else pixels_of(images, *pixels)
        )
        try:
            outputs = run(inputs) if size is None else _in_batches(run, inputs, size)
        except Exception as error:  # onnxruntime's exceptions have no common base of their own
            raise _cannot(path, images, " ".join(str(error).split())) from error
        if not probabilities:
            return outputs
        return np.log(np.maximum(outputs.astype(np.float64), SMALLEST))

    return predict


def _in_batches(run, inputs, size):
    """What ``run`` gives for each ``size`` inputs; the last batch is filled up with its last input."""
    outputs = []
    for place in range(0, len(inputs), size):
        part = inputs[place : place + size]
        missing = size - len(part)
        filled = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)]) if missing else part
        outputs.append(run(filled)[: len(part)])
    return np.concatenate(outputs)


def _checked(images, path):
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[1] != 3 or images.dtype != np.float32:
        raise UserError(
            "{}: takes float32 images (N, 3, H, W), not {} {}".format(
                path, images.dtype, "x".join(map(str, images.shape))
            )
        )
    return images


def _cannot(path, images, reason):
    return UserError(
        f"{printable(path)}: cannot compute images of shape {images.shape}: {printable(reason)}"
    )


def _reason(error):
    """MXNet's own words, without its stack trace."""
    lines = [line for line in str(error).strip().splitlines() if "rror" in line] or [str(error)]
    return lines[-1].strip()[:300]
