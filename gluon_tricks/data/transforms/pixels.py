"""The operations of AutoAugment and its successors that leave pixels in place.

Each is equal to Pillow's, to the pixel, where Pillow has it: ImageOps' posterize, solarize,
invert, autocontrast and equalize, ImageEnhance's Color, Contrast, Brightness and Sharpness. Those
of ImageEnhance are d + f (x - d) with a factor f and a degenerate image d, computed in float32,
clipped to 0 and 255 and then rounded down, as Pillow does.

All take ``(picture, argument, out, scratch)``: uint8 RGB (height, width, 3), a number, memory for
the result, which may be the picture's own, and a :class:`..decode.Scratch`.
"""

from typing import Any, Callable

import numpy as np

from ..decode import Scratch

VALUES = np.arange(256)
# of Pillow's grey value of a pixel, which is rounded; exact in float32, as 255 x 2^16 < 2^24
GREY = np.array([[19595, 38470, 7471, 32768]], np.float32) / 65536
SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13
MAPPING = Callable[[np.ndarray, float, np.ndarray, Scratch], None]

# ---- the same table for all colours


def posterize_table(bits: float) -> np.ndarray:
    """Only the highest ``bits`` of each value stay; 0 bits are black, which Pillow refuses."""
    return VALUES & ~((1 << (8 - int(bits))) - 1)


def solarize_table(threshold: float) -> np.ndarray:
    """Invert the values from ``threshold`` on."""
    return np.where(VALUES < threshold, VALUES, 255 - VALUES)


def solarize_add_table(amount: float) -> np.ndarray:
    """Add ``amount`` to the values below 128."""
    return np.where(VALUES < 128, VALUES + int(amount), VALUES)


def invert_table(argument: float) -> np.ndarray:
    return 255 - VALUES


def brightness_table(factor: float) -> np.ndarray:
    return blended_with(0, factor)


def blended_with(degenerate: int, factor: float) -> np.ndarray:
    """d + f (x - d) of every value x, for a degenerate image of one grey value d."""
    return np.float32(degenerate) + np.float32(factor) * (VALUES - degenerate).astype(np.float32)


def by_table(table_of: Callable[[float], np.ndarray]) -> MAPPING:
    """The operation that looks each value up in the table of its argument."""

    def operation(picture, argument, out, scratch):
        look_up(picture, table_of(argument), out)

    return operation


def look_up(picture: np.ndarray, table: np.ndarray, out: np.ndarray) -> None:
    """``table``: (256,), or (256, 3) with a column for each colour; its values are clipped to 0 and
    255 and rounded down.
    """
    import cv2

    table = np.clip(table, 0, 255).astype(np.uint8)
    cv2.LUT(picture, table.reshape(1, 256, -1), dst=out)


# ---- tables that follow from the image


def autocontrast(picture: np.ndarray, argument: float, out: np.ndarray, scratch: Scratch) -> None:
    """(x - min) 255 / (max - min) in each colour."""
    look_up(picture, np.stack([stretched(counts) for counts in histograms(picture)], 1), out)


def stretched(counts: np.ndarray) -> np.ndarray:
    """The table of :func:`autocontrast` for a colour with this histogram."""
    lowest, *_, highest = np.flatnonzero(counts)[[0, 0, -1]].tolist()
    if lowest == highest:
        return VALUES
    scale = 255.0 / (highest - lowest)
    return VALUES * scale + -lowest * scale


def equalize(picture: np.ndarray, argument: float, out: np.ndarray, scratch: Scratch) -> None:
    """Make the values of each colour about equally frequent."""
    look_up(picture, np.stack([equalized(counts) for counts in histograms(picture)], 1), out)


def equalized(counts: np.ndarray) -> np.ndarray:
    """The table of :func:`equalize` for a colour with this histogram."""
    step = (counts.sum() - counts[np.flatnonzero(counts)[-1]]) // 255
    if step == 0:
        return VALUES
    return (counts.cumsum() - counts + step // 2) // step


def histograms(picture: np.ndarray) -> np.ndarray:
    """How often each value occurs, int64 (3, 256)."""
    import cv2

    counts = [cv2.calcHist([picture], [color], None, [256], [0, 256]) for color in range(3)]
    return np.stack(counts).reshape(3, 256).astype(np.int64)


def contrast(picture: np.ndarray, factor: float, out: np.ndarray, scratch: Scratch) -> None:
    """Blend with the mean of the image's grey values."""
    import cv2

    grey = grey_of(picture, scratch, colors=1)
    mean = cv2.sumElems(grey)[0] / grey.size
    look_up(picture, blended_with(int(mean + 0.5), factor), out)


def tpu_contrast(picture: np.ndarray, factor: float, out: np.ndarray, scratch: Scratch) -> None:
    """Contrast as in the TPU code: what it takes for the mean is the number of pixels / 256, which
    is 196 for all images of 224 x 224.
    """
    height, width = picture.shape[:2]
    look_up(picture, blended_with(min(255, height * width // 256), factor), out)


# ---- blending two images


def color(picture: np.ndarray, factor: float, out: np.ndarray, scratch: Scratch) -> None:
    """Blend with the grey image."""
    blend(grey_of(picture, scratch, colors=3), picture, factor, out, scratch)


def grey_of(picture: np.ndarray, scratch: Scratch, colors: int) -> np.ndarray:
    """The grey values, rounded as Pillow does: float32 (height, width, ``colors`` the same)."""
    import cv2

    converted = scratch.array("color", picture.shape, np.float32)
    np.copyto(converted, picture)
    grey = scratch.array("grey", (*picture.shape[:2], colors), np.float32)
    cv2.transform(converted, np.repeat(GREY, colors, axis=0), dst=grey)
    return np.floor(grey, out=grey)


def sharpness(picture: np.ndarray, factor: float, out: np.ndarray, scratch: Scratch) -> None:
    """Blend with the smoothed image; Pillow's filter leaves the pixels at the border alone."""
    import cv2

    # no sum of integers / 13 is half way between two integers, so all roundings agree
    smooth = scratch.array("smooth", picture.shape)
    cv2.filter2D(picture, -1, SMOOTH, dst=smooth)
    for edge in (np.s_[:1], np.s_[-1:], np.s_[:, :1], np.s_[:, -1:]):
        smooth[edge] = picture[edge]
    blend(smooth, picture, factor, out, scratch)


def blend(
    degenerate: np.ndarray, picture: np.ndarray, factor: float, out: np.ndarray, scratch: Scratch
) -> None:
    """d + f (x - d), clipped and rounded down."""
    import cv2

    # two separate steps, as a fused one would round differently
    mixed = scratch.array("mixed", picture.shape, np.float32)
    cv2.subtract(picture, degenerate, dst=mixed, dtype=cv2.CV_32F)
    mixed *= np.float32(factor)
    cv2.add(mixed, degenerate, dst=mixed, dtype=cv2.CV_32F)
    np.clip(mixed, 0, 255, out=mixed)
    np.copyto(out, mixed, casting="unsafe")


NO_ARGUMENT = ("autocontrast", "equalize", "invert")
PIXEL_OPERATIONS: Any = dict(
    posterize=by_table(posterize_table),
    solarize=by_table(solarize_table),
    solarize_add=by_table(solarize_add_table),
    invert=by_table(invert_table),
    autocontrast=autocontrast,
    equalize=equalize,
    color=color,
    contrast=contrast,
    tpu_contrast=tpu_contrast,
    brightness=by_table(brightness_table),
    sharpness=sharpness,
)
