"""A picture of a classifier's predictions."""

import os
from typing import List, Tuple

import numpy as np

from ..pictures import write_png
from ..text import printable
from .prediction import Prediction

MOST_IMAGES = 100
COLUMNS = 5


def draw_sheet(shown: List[Tuple[Prediction, np.ndarray]], path: str) -> None:
    """Write a PNG of images (uint8 (H, W, 3)) with their likeliest class above them, in red if it
    is not the true one.
    """
    from matplotlib.figure import Figure

    columns = max(1, min(len(shown), COLUMNS))
    rows = max(1, -(-len(shown) // columns))
    figure = Figure(figsize=(2.2 * columns, 2.6 * rows))
    for place, (item, pixels) in enumerate(shown):
        axes = figure.add_subplot(rows, columns, place + 1)
        axes.imshow(pixels)
        axes.set_axis_off()
        wrong = item.true not in (None, item.top[0].number)
        # With parse_math, a dollar sign in a file's name would start a formula.
        color = "firebrick" if wrong else "black"
        axes.set_title(_title(item, wrong), fontsize=8, color=color, parse_math=False)
    figure.tight_layout()
    write_png(figure, path)


def _title(item, wrong):
    name, guess = printable(os.path.basename(str(item.name)))[:28], item.top[0]
    text = f"{name}\n{printable(guess.label)[:24]} {100 * guess.probability:.0f} %"
    return f"{text}\ntrue: {printable(item.true_label or item.true)[:24]}" if wrong else text
