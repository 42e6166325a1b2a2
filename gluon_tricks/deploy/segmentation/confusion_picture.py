"""A picture of a confusion matrix: the classes as which the pixels of each class were predicted."""

from typing import List

import numpy as np

from ...pictures import write_png
from ...text import printable

NUMBERED = 16  # up to this many classes, each share is written into its square
NAMED = 60  # up to this many classes, each has its name at the edge


def draw(matrix: np.ndarray, names: List[str], path: str) -> None:
    """Write a PNG: each row in percent of the class's pixels; UserError if it cannot be written."""
    from matplotlib.figure import Figure

    classes = len(names)
    shares = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = min(16, 3 + 0.42 * classes if classes <= NUMBERED else 5 + 0.17 * classes)
    figure = Figure(figsize=(side + 1, side), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    drawn = axes.imshow(shares, vmin=0, vmax=100, cmap="Blues")
    axes.set_xlabel("predicted")
    axes.set_ylabel("in the mask")
    axes.set_title("% of the pixels of each class", fontsize=9, loc="left")
    _name(axes, names)
    if classes <= NUMBERED:
        _write_shares(axes, shares, matrix.sum(axis=1))
    figure.colorbar(drawn, ax=axes, shrink=0.8)
    write_png(figure, path)


def _name(axes, names):
    if len(names) > NAMED:
        return
    # With parse_math, a dollar sign in a class's name would start a formula.
    shown, size = [printable(name)[:24] for name in names], 8 if len(names) <= 30 else 6
    places = range(len(names))
    axes.set_xticks(places, shown, rotation=90, fontsize=size, parse_math=False)
    axes.set_yticks(places, shown, fontsize=size, parse_math=False)


def _write_shares(axes, shares, pixels):
    for row, column in np.ndindex(shares.shape):
        share = shares[row, column]
        if pixels[row] and share >= 0.05:
            color = "white" if share > 55 else "black"
            axes.text(
                column, row, f"{share:.1f}", ha="center", va="center", fontsize=7, color=color
            )
