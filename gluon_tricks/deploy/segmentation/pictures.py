"""Writes a network's prediction for a picture: a mask in the colours of the classes, and the
picture overlaid with these colours, with a legend.
"""

from typing import List, NamedTuple

import numpy as np

from ...data.palette import colored, palette
from ...data.png import with_palette
from ...files import replacing
from ...pictures import write_png
from ...text import printable

DPI = 100
LEGEND = 230  # its width in pixels
LINE = 22  # the height of its lines in pixels


class Share(NamedTuple):
    """A class's share of a picture."""

    number: int
    label: str
    pixels: int
    share: float  # of all pixels, 0 to 1


def shares(mask: np.ndarray, labels: List[str]) -> List[Share]:
    """The classes that occur in a mask (H, W), the largest first."""
    counts = np.bincount(mask.ravel(), minlength=len(labels))
    order = np.argsort(-counts, kind="stable")
    return [
        Share(int(i), labels[i], int(counts[i]), float(counts[i] / mask.size))
        for i in order
        if counts[i]
    ]


def write_mask(mask: np.ndarray, path: str) -> None:
    """Write uint8 (H, W) as a PNG with a palette: the pixels are the classes, shown in their
    colours.
    """
    with replacing(path) as place, open(place, "wb") as file:
        file.write(with_palette(mask, palette()))


def overlaid(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3): an equal mix of the picture and the classes' colours, with white lines
    between classes.
    """
    mixed = ((picture.astype(np.uint16) + colored(mask)) // 2).astype(np.uint8)
    mixed[_edges(mask)] = 255
    return mixed


def _edges(mask):
    """bool (H, W): whether the pixel above or to the left is of another class."""
    edges = np.zeros(mask.shape, bool)
    edges[1:] |= mask[1:] != mask[:-1]
    edges[:, 1:] |= mask[:, 1:] != mask[:, :-1]
    return edges


def write_overlay(picture: np.ndarray, mask: np.ndarray, found: List[Share], path: str) -> None:
    """Write the :func:`overlaid` picture, pixel by pixel, with a legend to its right, as a PNG."""
    from matplotlib.figure import Figure

    height, width = mask.shape
    tall = max(height, 2 * LINE)
    # The extra half pixel is cut off; without it, rounding could cost a whole one.
    figure = Figure(figsize=((width + LEGEND + 0.5) / DPI, (tall + 0.5) / DPI), dpi=DPI)
    figure.figimage(overlaid(picture, mask), 0, tall - height)
    lines = tall // LINE
    shown = found if len(found) <= lines else found[: lines - 1]
    for place, share in enumerate(shown):
        _legend_line(figure, width, tall, place, share)
    if len(shown) < len(found):
        _text(
            figure,
            width + 8,
            tall - LINE * (len(shown) + 0.5),
            tall,
            f"and {len(found) - len(shown)} more classes",
        )
    write_png(figure, path)


def _legend_line(figure, width, tall, place, share):
    """Draw a square in the class's colour, its name and its share."""
    middle = int(tall - LINE * (place + 0.5))
    square = np.zeros((14, 14, 3), np.uint8) + palette()[share.number]
    square[[0, -1]] = square[:, [0, -1]] = 128  # a frame, for colours near white
    figure.figimage(square, width + 8, middle - 7)
    text = f"{printable(share.label)[:20]} {100 * share.share:.1f} %"
    _text(figure, width + 28, middle, tall, text)


def _text(figure, x, y, tall, text):
    # With parse_math, a dollar sign in a class's name would start a formula.
    whole = figure.get_figwidth() * DPI
    figure.text(x / whole, y / tall, text, fontsize=8.5, va="center", parse_math=False)
