"""Runs a network on a picture of any size, in windows, at several scales and mirrored, within
bounded memory.

The result is computed in bands of rows, each with at most MOST_SCORES scores. A window gives the
probabilities of its pixels. The probabilities of overlapping windows, of all scales, and of a
window and its mirror image are averaged, each resized bilinearly to the pixels of the picture whose
centres it covers. The bands do not change the result; a window in two bands is computed twice.
"""

from __future__ import annotations

from typing import Callable, Iterator, List, NamedTuple, Tuple

import numpy as np

from ...data.decode import MOST_PIXELS
from ...errors import UserError

# Normalised images, float32 (N, 3, H, W), to logits, float32 (N, K, H, W).
Predict = Callable[[np.ndarray], np.ndarray]

MOST_SCORES = 1 << 28  # float32 values of all pixels of a band and all classes: 1 GiB


class Views(NamedTuple):
    """The ways in which a picture is given to the network."""

    scales: Tuple[float, ...] = (1.0,)
    mirror: bool = False  # also mirrored
    long_side: int = 0  # of the picture at scale 1; 0: its original one
    window: int = 1024  # the greatest height and width at once

    def scaled(self, height: int, width: int, scale: float) -> Tuple[int, int]:
        """``(height, width)`` of a picture at one of the scales."""
        factor = scale * (self.long_side or max(height, width)) / max(height, width)
        return max(1, int(height * factor + 0.5)), max(1, int(width * factor + 0.5))

    def is_one(self, height: int, width: int) -> bool:
        """Whether the only view of a picture is the picture itself."""
        shown = [self.scaled(height, width, scale) for scale in self.scales]
        return shown == [(height, width)] and not self.mirror and max(height, width) <= self.window


class Span(NamedTuple):
    """A window along one axis, and the pixels of the picture whose centres lie in it."""

    begin: int  # in the scaled picture
    end: int
    first: int  # in the picture
    last: int


class Sampling(NamedTuple):
    """How the pixels of a picture, along one axis, are interpolated from those of a window."""

    low: np.ndarray
    high: np.ndarray
    share: np.ndarray  # of high; float32


def starts(length: int, window: int) -> List[int]:
    """The starts of windows that cover ``length`` pixels: one every two thirds of a window, and the
    last one ends at the last pixel.
    """
    if length <= window:
        return [0]
    stride = max(1, window * 2 // 3)
    count = -(-(length - window) // stride) + 1
    return [min(number * stride, length - window) for number in range(count)]


def spans(length: int, scaled: int, window: int) -> List[Span]:
    """The windows along an axis of ``length`` pixels that is resized to ``scaled`` pixels."""

    def first_from(place):  # pixel i has its centre at (i + 0.5) * scaled / length
        return max(0, -(-(2 * place * length - scaled) // (2 * scaled)))

    found = []
    for begin in starts(scaled, window):
        end = min(begin + window, scaled)
        found.append(Span(begin, end, first_from(begin), min(length, first_from(end))))
    return found


def weights(length: int, windows: List[Span]) -> np.ndarray:
    """float32 (length,): 1 / the number of windows in which a pixel lies."""
    count = np.zeros(length, np.float32)
    for span in windows:
        count[span.first : span.last] += 1
    return 1 / count


def sampling(span: Span, first: int, last: int, length: int, scaled: int) -> Sampling:
    """The sampling of the picture's pixels from ``first`` to ``last`` in a window that covers
    them.
    """
    centres = (np.arange(first, last) + 0.5) * (scaled / length) - 0.5 - span.begin
    places = np.clip(centres, 0, span.end - span.begin - 1)
    low = places.astype(np.int64)
    high = np.minimum(low + 1, span.end - span.begin - 1)
    return Sampling(low, high, (places - low).astype(np.float32))


def interpolate(plane: np.ndarray, down: Sampling, across: Sampling) -> np.ndarray:
    """The sampled pixels of a plane (h, w)."""
    plane = _along(plane, down, 0, down.share[:, None])
    return _along(plane, across, 1, across.share)


def _along(plane, places, axis, share):
    found = plane.take(places.low, axis=axis)
    if share.any():
        found += (plane.take(places.high, axis=axis) - found) * share
    return found


def probabilities(predict: Predict, image: np.ndarray, mirror: bool) -> np.ndarray:
    """float32 (K, h, w) of a normalised image (3, h, w); with ``mirror``, the mean of it and its
    mirror image.
    """
    shown = np.stack([image, image[:, :, ::-1]]) if mirror else image[None]
    scores = softmax(predict(np.ascontiguousarray(shown)))
    return (scores[0] + scores[1, :, :, ::-1]) / 2 if mirror else scores[0]


def softmax(logits: np.ndarray) -> np.ndarray:
    """The softmax over the second axis of float32 logits (N, K, h, w), in place."""
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)
    return logits


def bands(height: int, width: int, classes: int) -> Iterator[Tuple[int, int]]:
    """Yield ``(first, last)``, the rows of each band in which a picture's result is computed."""
    rows = max(1, min(height, MOST_SCORES // (width * classes)))
    count = -(-height // rows)
    for number in range(count):
        yield number * height // count, (number + 1) * height // count


def segment(
    predict: Predict,
    normalise: Callable[[np.ndarray], np.ndarray],
    picture: np.ndarray,
    views: Views,
    classes: int,
) -> np.ndarray:
    """The class of each pixel of a picture.

    Parameters
    ----------
    predict : function of normalised images
    normalise : function
        From pixels, uint8 (h, w, 3), to an image, float32 (3, h, w).
    picture : numpy.ndarray
        uint8 (H, W, 3).
    views : Views
    classes : int
        K, at most 255.

    Returns
    -------
    numpy.ndarray
        uint8 (H, W); at equal scores the smaller class.
    """
    height, width = picture.shape[:2]
    if views.is_one(height, width):  # nothing to average
        return predict(normalise(picture)[None])[0].argmax(axis=0).astype(np.uint8)
    pictures = [resized(picture, views.scaled(height, width, scale)) for scale in views.scales]
    found = np.empty((height, width), np.uint8)
    for rows in bands(height, width, classes):
        scores = np.zeros((classes, rows[1] - rows[0], width), np.float32)
        for scaled in pictures:
            _add(scores, rows, (height, width), scaled, views, normalise, predict)
        found[rows[0] : rows[1]] = scores.argmax(axis=0)
    return found


def _add(scores, rows, shape, picture, views, normalise, predict):
    """Add the probabilities of one scale to the ``scores`` of a band of rows."""
    (height, width), (scaled_height, scaled_width) = shape, picture.shape[:2]
    down = spans(height, scaled_height, views.window)
    across = spans(width, scaled_width, views.window)
    row_weights, column_weights = weights(height, down), weights(width, across)
    for y in down:
        first, last = max(y.first, rows[0]), min(y.last, rows[1])
        for x in across:
            if first >= last or x.first >= x.last:
                continue
            part = normalise(picture[y.begin : y.end, x.begin : x.end])
            part = probabilities(predict, part, views.mirror)
            vertical = sampling(y, first, last, height, scaled_height)
            horizontal = sampling(x, x.first, x.last, width, scaled_width)
            weight = row_weights[first:last, None] * column_weights[x.first : x.last]
            target = scores[:, first - rows[0] : last - rows[0], x.first : x.last]
            for plane, sums in zip(part, target):  # one at a time, to save memory
                sums += interpolate(plane, vertical, horizontal) * weight


def resized(picture: np.ndarray, shape: Tuple[int, int]) -> np.ndarray:
    """uint8 (H, W, 3), resized bilinearly as in training; UserError if it would be too large."""
    import cv2

    if picture.shape[:2] == shape:
        return picture
    if shape[0] * shape[1] > MOST_PIXELS:
        raise UserError(
            f"--scales or --long-side: a picture would be scaled to {shape[1]} x {shape[0]} "
            f"pixels, but at most {MOST_PIXELS:,} are possible"
        )
    return cv2.resize(picture, shape[::-1], interpolation=cv2.INTER_LINEAR)
