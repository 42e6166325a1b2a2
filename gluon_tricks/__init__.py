"""Bag of Tricks for Image Classification with CNNs (arXiv 1812.01187) on MXNet and GluonCV."""

from typing import Any

__version__ = "0.1.0"

# The functions import MXNet only when they are called, because it reads OMP_NUM_THREADS when it is
# imported.


def get_model(name: str, **kwargs: Any) -> Any:
    """The network called ``name``; see :func:`gluon_tricks.models.get_model`."""
    from .models import get_model as build

    return build(name, **kwargs)


def open_model(path: str, **kwargs: Any) -> Any:
    """A trained classifier from a run, a checkpoint, a parameter file, an export or an ONNX file;
    see :func:`gluon_tricks.deploy.opening.open_model`.
    """
    from .deploy.opening import open_model as open_

    return open_(path, **kwargs)
