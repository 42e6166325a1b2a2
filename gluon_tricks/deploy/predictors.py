"""``predict`` of a classifier: normalised images to logits, whatever computes them."""

import numpy as np

from ..errors import UserError
from .images import pixels_of


def block_predictor(net, path, pixels=None):
    """``predict`` of a Gluon block; ``pixels`` is (mean, std) where the block itself normalises."""
    import mxnet as mx

    def predict(images):
        images = _checked(images, path)
        inputs = (
            mx.nd.array(images, dtype="float32")
            if pixels is None
            else mx.nd.array(pixels_of(images, *pixels), dtype="uint8")
        )
        try:
            outputs = net(inputs)
            return (outputs[0] if isinstance(outputs, (list, tuple)) else outputs).asnumpy()
        except (mx.MXNetError, ValueError) as error:
            raise UserError(
                "{}: cannot compute images of shape {}: {}".format(path, images.shape, _reason(error))
            ) from error

    return predict


def session_predictor(path, pixels=None, session=None):
    """``predict`` of an ONNX file in onnxruntime."""
    from . import onnx

    session = session or onnx.session(path)
    name = session.get_inputs()[0].name

    def predict(images):
        images = _checked(images, path)
        inputs = np.ascontiguousarray(images, np.float32) if pixels is None else pixels_of(images, *pixels)
        try:
            return session.run(None, {name: inputs})[0]
        except Exception as error:  # onnxruntime's exceptions have no common base of their own
            raise UserError(
                "{}: cannot compute images of shape {}: {}".format(path, images.shape, _reason(error))
            ) from error

    return predict


def _checked(images, path):
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[1] != 3 or images.dtype != np.float32:
        raise UserError(
            "{}: takes float32 images (N, 3, H, W), not {} {}".format(
                path, images.dtype, "x".join(map(str, images.shape))
            )
        )
    return images


def _reason(error):
    lines = [line for line in str(error).strip().splitlines() if "rror" in line] or [str(error)]
    return lines[-1].strip()[:300]
