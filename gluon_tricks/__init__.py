"""Bag of Tricks for Image Classification with CNNs (arXiv 1812.01187) on MXNet and GluonCV."""

__version__ = "0.1.0"


def get_model(name, **kwargs):
    """The network called ``name``; see :func:`gluon_tricks.models.get_model`."""
    # Imported here because MXNet reads OMP_NUM_THREADS once, when it is first imported.
    from .models import get_model as build

    return build(name, **kwargs)
