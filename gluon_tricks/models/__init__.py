"""Networks by name: our ResNets (:mod:`.resnet`), Big-Little and Assemble-ResNets
(:mod:`.big_little`, :mod:`.assemble`), and every other classification network of GluonCV's zoo
(:mod:`.zoo`).
"""

# They register their networks; a new family is one more name here.
from . import resnet, big_little, assemble, zoo  # isort: skip
from .backbone import features
from .parameters import ParameterError, classes_in, load_parameters
from .registry import closest, get_model, input_size, load_pretrained, names, options_of, register

__all__ = [
    "ParameterError",
    "assemble",
    "big_little",
    "classes_in",
    "closest",
    "features",
    "get_model",
    "input_size",
    "load_parameters",
    "load_pretrained",
    "names",
    "options_of",
    "register",
    "resnet",
    "zoo",
]
