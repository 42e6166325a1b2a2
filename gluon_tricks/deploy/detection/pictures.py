"""Draws a detector's objects into the picture."""

from typing import List

import numpy as np

from ...data.palette import palette
from ...pictures import write_png
from ...tasks.matching import Found
from ...text import printable

DPI = 100


def write_boxes(picture: np.ndarray, found: Found, labels: List[str], path: str) -> None:
    """Write the picture, uint8 (H, W, 3), with each box in its class's colour, its label and its
    score, as a PNG of the same size.
    """
    from matplotlib.figure import Figure

    height, width = picture.shape[:2]
    # The extra half pixel is cut off; without it, rounding could cost a whole one.
    figure = Figure(figsize=((width + 0.5) / DPI, (height + 0.5) / DPI), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(picture, extent=(0, width, height, 0), aspect="auto")
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    for corners, number, score in zip(found.corners, found.classes, found.scores):
        _draw(axes, corners, f"{printable(labels[number])[:20]} {score:.2f}", number)
    write_png(figure, path)


def _draw(axes, corners, text, number):
    from matplotlib.patches import Rectangle

    left, top, right, bottom = corners
    color = palette()[1 + number % 255] / 255  # the first one is black
    size = dict(linewidth=1.6, edgecolor=color, facecolor="none")
    axes.add_patch(Rectangle((left, top), right - left + 1, bottom - top + 1, **size))
    # With parse_math, a dollar sign in a class's name would start a formula.
    style = dict(fontsize=7, va="top", parse_math=False, color="white", clip_on=True)
    box = dict(facecolor=color, edgecolor="none", pad=1, alpha=0.75)
    axes.text(left + 2, top + 2, text, bbox=box, **style)
