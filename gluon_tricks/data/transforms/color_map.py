"""All affine colour operations of an image as one 3x4 matrix, applied on the host or the device.

Between the operations nothing is rounded or clipped. Scaling the contrast adds a
fifth column: it is multiplied by the image's mean grey value and added to the offset.
"""

from typing import Any, Optional

import numpy as np

from ..decode import Scratch

GREY = np.array([0.299, 0.587, 0.114])  # of a pixel's R, G, B


class ColorMap:
    """The colours x of each of ``n`` images become gain linear x + offset + grey m, with m the
    image's mean grey value.

    ``linear`` keeps grey values, GREY linear = GREY, so contrast knows the mean after it.
    """

    def __init__(self, n: int) -> None:
        self.gain = np.ones(n)
        self.linear = np.broadcast_to(np.eye(3), (n, 3, 3))
        self.offset = np.zeros((n, 3))
        self.grey: Optional[np.ndarray] = None  # (n,)

    def scale(self, by: np.ndarray) -> None:
        """x -> by x, with ``by`` float (n,)."""
        self.gain = self.gain * by
        self.offset = self.offset * by[:, None]
        if self.grey is not None:
            self.grey = self.grey * by

    def saturate(self, by: np.ndarray) -> None:
        """x -> by x + (1 - by) g, with g the grey value of each pixel."""
        matrix = by[:, None, None] * np.eye(3) + (1 - by)[:, None, None] * GREY
        self.linear = matrix @ self.linear
        self.offset = (matrix @ self.offset[:, :, None])[:, :, 0]

    def contrast(self, by: np.ndarray) -> None:
        """x -> by x + (1 - by) m, with m the image's mean grey value."""
        grey = 0 if self.grey is None else self.grey
        self.grey = grey + self.gain * (1 - by)
        self.gain = self.gain * by
        mean = self.offset @ GREY
        self.offset = by[:, None] * self.offset + ((1 - by) * mean)[:, None]

    def matrices(self, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
        """float32 (n, 3, 4), or (n, 3, 5) with contrast: the map, then (x - mean) / std."""
        columns = [self.gain[:, None, None] * self.linear, (self.offset - mean)[:, :, None]]
        if self.grey is not None:
            columns.append(np.broadcast_to(self.grey[:, None, None], (len(self.grey), 3, 1)))
        return (np.concatenate(columns, axis=2) * (1 / std)[:, None]).astype(np.float32)


def apply_on_host(
    image: np.ndarray,
    matrix: np.ndarray,
    out: Optional[np.ndarray] = None,
    scratch: Optional[Scratch] = None,
) -> np.ndarray:
    """uint8 ``(height, width, 3)`` and a matrix -> float32 ``(3, height, width)``.

    ``matrix``: float32 ``(3, 4)`` or ``(3, 5)``, of :meth:`ColorMap.matrices`. The result is
    written into ``out`` if it is given.
    """
    import cv2

    scratch = scratch or Scratch()
    out = np.empty((3,) + image.shape[:2], np.float32) if out is None else out
    color = scratch.array("color", image.shape, np.float32)
    np.copyto(color, image)
    if matrix.shape[1] == 5:
        grey = cv2.transform(color, GREY[None], dst=out[0])  # overwritten below
        matrix, contrast = matrix[:, :4].copy(), matrix[:, 4]
        matrix[:, 3] += contrast * np.float32(cv2.mean(grey)[0])
    # plane by plane, which needs no second image of three planes
    for weights, plane in zip(matrix, out):
        cv2.transform(color, weights[None], dst=plane)
    return out


def apply_on_device(images: Any, matrices: Any) -> Any:
    """:func:`apply_on_host` of a whole batch at once, on the device of ``images``.

    ``images``: NDArray uint8 (n, height, width, 3); ``matrices``: NDArray float32 (n, 3, 4) or (n,
    3, 5) on the same device. Returns NDArray float32 (n, 3, height, width).
    """
    import mxnet as mx

    n, height, width, _ = images.shape
    pixels = mx.nd.cast(images, dtype="float32").reshape((n, height * width, 3))
    linear = mx.nd.slice_axis(matrices, axis=2, begin=0, end=3)
    offset = mx.nd.slice_axis(matrices, axis=2, begin=3, end=4)
    if matrices.shape[2] == 5:
        means = mx.nd.split(pixels.mean(axis=1), num_outputs=3, axis=1)  # of each colour, (n, 1)
        grey = sum(mean * weight for mean, weight in zip(means, GREY.tolist())).reshape((n, 1, 1))
        offset = offset + grey * mx.nd.slice_axis(matrices, axis=2, begin=4, end=5)
    colored = mx.nd.batch_dot(linear, pixels, transpose_b=True)
    return mx.nd.broadcast_add(colored, offset).reshape((n, 3, height, width))
