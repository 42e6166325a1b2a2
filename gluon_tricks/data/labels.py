"""Which labels of records are classes: one rule for loaders and ``gluon-tricks records verify``."""

from typing import Union

import numpy as np


def class_of(label: Union[float, np.ndarray], classes: int) -> float:
    """The class of a record's label, a number or an array of one; ValueError says why it is not one
    of ``classes``.
    """
    if isinstance(label, np.ndarray):
        if label.size != 1:
            raise ValueError(f"has {label.size} labels; classification needs one")
        label = float(label[0])
    if not (0 <= label < classes and label == int(label)):
        raise ValueError(none_of(label, classes))
    return label


def none_of(label: float, classes: int) -> str:
    """The message for a label that is not a class."""
    return f"label {label:g} is none of --classes {classes} (0 to {classes - 1})"
