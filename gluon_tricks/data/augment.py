"""The paper's augmentation (section 2.1): first sample its parameters, then apply them.

Sampling is vectorised over a batch and a pure function of (seed, epoch, record key). Applying has
two stages:

1. Geometry and hue give an 8-bit RGB image ``(size, size, 3)``.
2. Everything else (saturation, brightness, contrast, PCA noise, normalisation) is affine in RGB,
and so it
   is folded into one 3x4 matrix per image. On the host this gives float32 ``(3, size, size)``; on
   the device it is one operator for the whole batch (:func:`apply_on_device`). Between its steps
   nothing is rounded, nor cut off at 0 and 255.

The two forms of the colour step, with coefficients c uniform in [1 - j, 1 + j] and the grey value
g = 0.299 R + 0.587 G + 0.114 B of each pixel:

- ``paper``: hue x c_h (in HSV, modulo 360 degrees), then c_s x + (1 - c_s) g, then c_b x.
- ``gluoncv``: brightness and saturation as above and contrast c_c x + (1 - c_c) mean(g). Without
  cutting off, the three commute. ImageRecordIter does the same, but rounds and cuts to 8 bits after
  each, in random order.
"""

import math
from typing import NamedTuple, Optional

import numpy as np

from . import randomness
from .decode import Scratch, decode, decode_crop

GREY = np.array([0.299, 0.587, 0.114])
# Principal components of ImageNet's RGB values, 0 to 255 (Krizhevsky, Sutskever, Hinton 2012,
# section 4.1).
PCA_VALUES = np.array([55.46, 4.794, 1.148])
PCA_VECTORS = np.array(
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
)

LONGEST = 16  # times its width; longer images are cut before evaluation resizes them

CROP_TRIES = 10
# The columns of an image's uniform numbers, after four for each try of the crop; the noise has
# three pairs.
FLIP, HUE, SATURATION, BRIGHTNESS, CONTRAST, NOISE = range(4 * CROP_TRIES, 4 * CROP_TRIES + 6)
NUMBERS = NOISE + 6


class Parameters(NamedTuple):
    """What happens to each of ``n`` images."""

    # float32 (n, 3, 4): the affine part. (n, 3, 5) where contrast is scaled: a last column that is
    # multiplied by the image's mean grey and added to the offset
    matrices: np.ndarray
    # in training alone
    # float64 (n, CROP_TRIES, 4): uniform; area, aspect, y, x; see choose_crop
    crops: Optional[np.ndarray] = None
    flips: Optional[np.ndarray] = None  # bool (n,)
    hues: Optional[np.ndarray] = None  # float64 (n,): the coefficient; 1 leaves the hue alone


class TrainTransform(NamedTuple):
    """Random crop, flip, colour, PCA noise, normalisation; a step whose amount is zero is off."""

    size: int
    area: tuple
    aspect: tuple
    fallback: str  # what is cropped where no rectangle fits: square or window
    flip: float
    jitter: float
    form: str  # paper or gluoncv
    noise: float  # standard deviation of the PCA noise's coefficients
    mean: tuple
    std: tuple

    @classmethod
    def from_config(cls, config):
        return cls(
            config.input_size,
            config.crop_area,
            config.crop_aspect,
            config.crop_fallback,
            config.flip,
            config.color_jitter,
            config.color_form,
            config.pca_noise,
            config.rgb_mean,
            config.rgb_std,
        )

    def sample(self, seed, epoch, keys):
        """The :class:`Parameters` of the records with these keys (int64 array) in this epoch."""
        numbers = randomness.uniforms(randomness.AUGMENT, seed, epoch, keys, NUMBERS)
        coefficients = 1 + self.jitter * (2 * numbers[:, HUE : CONTRAST + 1] - 1)
        hue, saturation, brightness, contrast = coefficients.T
        if self.form == "paper":
            contrast = np.ones_like(contrast)
        else:
            hue = np.ones_like(hue)
        noise = self.noise * randomness.normals(numbers[:, NOISE:].reshape(-1, 3, 2))
        return Parameters(
            matrices=self._fold(saturation, brightness, contrast, noise),
            crops=numbers[:, :FLIP].reshape(-1, CROP_TRIES, 4),
            flips=numbers[:, FLIP] < self.flip,
            hues=hue,
        )

    def _fold(self, saturation, brightness, contrast, noise):
        """All affine steps of ``n`` images: :attr:`Parameters.matrices`."""
        scale = 1 / np.asarray(self.std)
        linear = saturation[:, None, None] * np.eye(3) + (1 - saturation)[:, None, None] * GREY
        linear = (brightness * contrast)[:, None, None] * linear
        offset = noise * PCA_VALUES @ PCA_VECTORS.T - np.asarray(self.mean)
        columns = [linear, offset[:, :, None]]
        if self.jitter and self.form == "gluoncv":
            columns.append(
                np.broadcast_to((brightness * (1 - contrast))[:, None, None], (len(contrast), 3, 1))
            )
        return (np.concatenate(columns, axis=2) * scale[:, None]).astype(np.float32)

    def image(self, payload, parameters, i, out=None, scratch=None):
        """First stage: crop, resize, flip and hue of an encoded image; uint8 RGB ``(size, size,
        3)``.

        Written into ``out`` where given. ValueError when the image is damaged.
        """
        scratch = scratch or Scratch()
        out = np.empty((self.size, self.size, 3), np.uint8) if out is None else out
        crop = decode_crop(
            payload, lambda height, width: self.crop(height, width, parameters.crops[i]), scratch
        )
        resize(crop, out, parameters.flips[i], scratch)
        if parameters.hues[i] != 1:
            scale_hue(out, parameters.hues[i], scratch)
        return out

    def crop(self, height, width, numbers):
        """:func:`choose_crop` of this transform."""
        return choose_crop(
            height,
            width,
            numbers,
            self.area,
            self.aspect,
            self.size if self.fallback == "window" else None,
        )

    def apply(self, payload, parameters, i=0):
        """Both stages: float32 ``(3, size, size)`` of the ``i``-th image."""
        return apply_on_host(self.image(payload, parameters, i), parameters.matrices[i])


class EvalTransform(NamedTuple):
    """Shorter edge to ``size / ratio`` (256), centre crop, normalisation (section 2.1); nothing is
    random.
    """

    size: int
    ratio: float
    mean: tuple
    std: tuple

    @classmethod
    def from_config(cls, config):
        return cls(config.input_size, config.crop_ratio, config.rgb_mean, config.rgb_std)

    def sample(self, seed, epoch, keys):
        """The :class:`Parameters`: the same matrix for every image."""
        scale = 1 / np.asarray(self.std)
        matrix = np.column_stack([np.diag(scale), -np.asarray(self.mean) * scale]).astype(
            np.float32
        )
        return Parameters(np.broadcast_to(matrix, (len(keys), 3, 4)))

    def image(self, payload, parameters, i, out=None, scratch=None):
        """As :meth:`TrainTransform.image`."""
        import cv2

        scratch = scratch or Scratch()
        out = np.empty((self.size, self.size, 3), np.uint8) if out is None else out
        picture = middle(decode(payload, scratch))
        height, width = resized_shape(
            picture.shape[0], picture.shape[1], shorter_edge(self.size, self.ratio)
        )
        resized = cv2.resize(
            picture, (width, height), dst=scratch.array("resized", (height, width, 3))
        )
        y, x = centre(height, self.size), centre(width, self.size)
        np.copyto(out, resized[y : y + self.size, x : x + self.size])
        return out

    apply = TrainTransform.apply


def choose_crop(height, width, numbers, area, aspect, window=None):
    """``(y, x, height, width)`` of the crop of an image, from uniform numbers ``(tries, 4)``.

    The area is uniform in its range and so is the logarithm of the aspect ratio (width / height): a
    crop is as often wide as tall, which is how ImageRecordIter's crops are distributed too. The
    first rectangle of the tries that lies in the image is taken; where none does (a very long
    image), the largest centred one whose aspect ratio is 1, or that of the range which is nearest
    to 1. With ``window``, the size of the network's input, it is ImageRecordIter's: a centred
    square of that size, or the largest in a smaller image.
    """
    for u_area, u_aspect, u_y, u_x in numbers.tolist():
        pixels = height * width * (area[0] + (area[1] - area[0]) * u_area)
        ratio = aspect[0] * (aspect[1] / aspect[0]) ** u_aspect
        h, w = max(1, round((pixels / ratio) ** 0.5)), max(1, round((pixels * ratio) ** 0.5))
        if h <= height and w <= width:
            return int(u_y * (height - h + 1)), int(u_x * (width - w + 1)), h, w
    if window:
        h = w = min(window, height, width)
    else:
        ratio = min(max(1, aspect[0]), aspect[1])
        h, w = min(height, max(1, round(width / ratio))), min(width, max(1, round(height * ratio)))
    return (height - h) // 2, (width - w) // 2, h, w


def shorter_edge(size, ratio):
    """The shorter edge before evaluation's centre crop, rounded up as in the authors' code.

    This, :func:`resized_shape` and :func:`centre` are the whole rule of evaluation's geometry.
    """
    return math.ceil(size / ratio)


def resized_shape(height, width, short):
    """``(height, width)`` with the shorter edge ``short`` and the longer one in proportion, rounded
    down.
    """
    if height <= width:
        return short, max(short, width * short // height)
    return max(short, height * short // width), short


def centre(length, size):
    """Where evaluation's crop of ``size`` pixels begins in an edge of ``length``: the smaller half
    is before it.
    """
    return (length - size) // 2


def middle(picture):
    """The image, or of one that is longer than LONGEST times its width the middle part that is not.

    The crop shows no more of it, and the whole, resized, could take gigabytes.
    """
    height, width = picture.shape[:2]
    y, x = (
        max(0, long - LONGEST * short) // 2 for long, short in ((height, width), (width, height))
    )
    return picture[y : height - y, x : width - x]


def resize(picture, out, flip, scratch):
    """Resize (bilinear) into ``out``, mirrored where ``flip``."""
    import cv2

    size = out.shape[1], out.shape[0]
    if flip:
        cv2.flip(cv2.resize(picture, size, dst=scratch.array("resized", out.shape)), 1, dst=out)
    else:
        cv2.resize(picture, size, dst=out)


def scale_hue(image, coefficient, scratch):
    """Multiply the hue (0 to 360 degrees) of an 8-bit RGB image in place; saturation and value of
    HSV stay.

    Not affine in RGB, so it cannot be in the matrix. In float32: 8-bit HSV knows just 180 or 256
    hues.
    """
    import cv2

    color = scratch.array("color", image.shape, np.float32)
    changed = scratch.array("changed", image.shape, np.float32)
    np.copyto(color, image)
    cv2.cvtColor(color, cv2.COLOR_RGB2HSV, dst=changed)
    cv2.transform(changed, np.diag([coefficient, 1, 1]).astype(np.float32), dst=color)
    cv2.cvtColor(color, cv2.COLOR_HSV2RGB, dst=changed)  # takes the hue modulo 360
    cv2.convertScaleAbs(changed, dst=image)  # rounds


def apply_on_host(image, matrix, out=None, scratch=None):
    """Second stage: uint8 ``(height, width, 3)`` and a matrix -> float32 ``(3, height, width)``.

    ``matrix``: float32 ``(3, 4)`` or ``(3, 5)``, of :attr:`Parameters.matrices`. Written into
    ``out`` where given.
    """
    import cv2

    scratch = scratch or Scratch()
    out = np.empty((3,) + image.shape[:2], np.float32) if out is None else out
    color = scratch.array("color", image.shape, np.float32)
    np.copyto(color, image)
    if matrix.shape[1] == 5:
        grey = cv2.transform(color, GREY[None], dst=out[0])  # which is written again below
        matrix, contrast = matrix[:, :4].copy(), matrix[:, 4]
        matrix[:, 3] += contrast * np.float32(cv2.mean(grey)[0])
    # by planes, so that no second image of all three is needed
    for weights, plane in zip(matrix, out):
        cv2.transform(color, weights[None], dst=plane)
    return out


def apply_on_device(images, matrices):
    """The second stage of a batch in one go, on the device of ``images``.

    ``images``: NDArray uint8 (n, height, width, 3); ``matrices``: NDArray float32 (n, 3, 4) or (n,
    3, 5) on the same device, of :attr:`Parameters.matrices`. Returns NDArray float32 (n, 3, height,
    width).
    """
    import mxnet as mx

    n, height, width, _ = images.shape
    pixels = images.astype("float32").reshape((n, height * width, 3))
    linear = mx.nd.slice_axis(matrices, axis=2, begin=0, end=3)
    offset = mx.nd.slice_axis(matrices, axis=2, begin=3, end=4)
    if matrices.shape[2] == 5:
        means = mx.nd.split(pixels.mean(axis=1), num_outputs=3, axis=1)  # of each colour, (n, 1)
        grey = sum(mean * weight for mean, weight in zip(means, GREY.tolist())).reshape((n, 1, 1))
        offset = offset + grey * mx.nd.slice_axis(matrices, axis=2, begin=4, end=5)
    colored = mx.nd.batch_dot(linear, pixels, transpose_b=True)
    return mx.nd.broadcast_add(colored, offset).reshape((n, 3, height, width))
