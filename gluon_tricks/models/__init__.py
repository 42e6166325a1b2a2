"""Networks by name: our ResNets (:mod:`.resnet`), and every other classification network of
GluonCV's zoo (:mod:`.zoo`).
"""

# resnet and zoo register their networks; a new family is one more name here.
from . import resnet, zoo
from .backbone import features
from .parameters import ParameterError, classes_in, load_parameters
from .registry import closest, get_model, input_size, load_pretrained, names, options_of, register

__all__ = [
    "ParameterError",
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
