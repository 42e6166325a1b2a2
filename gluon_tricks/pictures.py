"""Writes matplotlib's figures to files."""

from typing import Any

from .files import replacing


def write_png(figure: Any, path: str) -> None:
    """Write a ``matplotlib.figure.Figure`` as a PNG, whole or not at all; UserError if it cannot be
    written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    with replacing(path) as place:
        canvas.print_png(place)
