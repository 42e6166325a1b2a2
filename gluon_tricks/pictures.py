"""Writes matplotlib's figures to files."""

from typing import Any

from .files import replacing


def legend_label(name: str) -> str:
    """A name as the label of a legend, in which matplotlib would read dollar signs as a formula
    and, before 3.8, leave out names that begin with an underscore.
    """
    return " " * name.startswith("_") + name.replace("$", r"\$")


def write_png(figure: Any, path: str) -> None:
    """Write a ``matplotlib.figure.Figure`` as a PNG, whole or not at all; UserError if it cannot be
    written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    with replacing(path) as place:
        canvas.print_png(place)
