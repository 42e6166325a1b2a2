"""What a network says of a picture, as files: a mask with the colours of the classes, and the
picture under these colours with a legend.
"""

from typing import List, NamedTuple

import numpy as np

from ...data.palette import colored, palette
from ...data.png import with_palette
from ...files import replacing
from ...pictures import write_png
from ...text import printable

DPI = 100
LEGEND = 230  # pixels of its width
LINE = 22  # pixels of the height of one of its lines


class Share(NamedTuple):
    """A class's part of a picture."""

    number: int
    label: str
    pixels: int
    share: float  # of all pixels, 0 to 1


def shares(mask: np.ndarray, labels: List[str]) -> List[Share]:
    """The classes that a mask (H, W) has, the largest first."""
    counts = np.bincount(mask.ravel(), minlength=len(labels))
    order = np.argsort(-counts, kind="stable")
    return [
        Share(int(i), labels[i], int(counts[i]), float(counts[i] / mask.size))
        for i in order
        if counts[i]
    ]


def write_mask(mask: np.ndarray, path: str) -> None:
    """Write uint8 (H, W) as a PNG: the pixels are the classes, shown in their colours."""
    with replacing(path) as place, open(place, "wb") as file:
        file.write(with_palette(mask, palette()))


def overlaid(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3): half of the picture, half of the classes' colours, and a white line where a
    class ends.
    """
    mixed = ((picture.astype(np.uint16) + colored(mask)) // 2).astype(np.uint8)
    mixed[_edges(mask)] = 255
    return mixed


def _edges(mask):
    """bool (H, W): is the pixel below or to the right of another class?"""
    edges = np.zeros(mask.shape, bool)
    edges[1:] |= mask[1:] != mask[:-1]
    edges[:, 1:] |= mask[:, 1:] != mask[:, :-1]
    return edges


def write_overlay(picture: np.ndarray, mask: np.ndarray, found: List[Share], path: str) -> None:
    """Write the picture, pixel by pixel :func:`overlaid`, with a legend to its right as a PNG."""
    from matplotlib.figure import Figure

    height, width = mask.shape
    tall = max(height, 2 * LINE)
    # Half a pixel more, which is cut off, so that no rounding takes a whole one.
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
    """A square of the class's colour, its name and its share."""
    middle = int(tall - LINE * (place + 0.5))
    square = np.zeros((14, 14, 3), np.uint8) + palette()[share.number]
    square[[0, -1]] = square[:, [0, -1]] = 128  # a frame, for colours that are white or nearly so
    figure.figimage(square, width + 8, middle - 7)
    text = f"{printable(share.label)[:20]} {100 * share.share:.1f} %"
    _text(figure, width + 28, middle, tall, text)


def _text(figure, x, y, tall, text):
    # Without parse_math a dollar in a class's name would be read as a formula.
    whole = figure.get_figwidth() * DPI
    figure.text(x / whole, y / tall, text, fontsize=8.5, va="center", parse_math=False)
