"""What matplotlib draws, as a file."""

from typing import Any

from .files import replacing


def write_png(figure: Any, path: str) -> None:
    """Write a ``matplotlib.figure.Figure`` as a PNG, whole or not at all; UserError if that is not
    possible.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    with replacing(path) as place:
        canvas.print_png(place)
