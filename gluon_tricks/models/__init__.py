"""Networks by name: our ResNets (:mod:`.resnet`), Big-Little and Assemble-ResNets
(:mod:`.big_little`, :mod:`.assemble`), MobileNet with additions (:mod:`.mobilenet`), and every
other classification network of GluonCV's zoo (:mod:`.zoo`).
"""

# A family registers its networks when it is imported, so a new one is one more line here. "as"
# tells ruff that the import is intended, although nothing below uses it.
from . import assemble as assemble
from . import big_little as big_little
from . import detectors as detectors
from . import fcn as fcn
from . import mobilenet as mobilenet
from . import resnet as resnet
from . import zoo as zoo
from .backbone import features
from .parameters import ParameterError, classes_in, load_parameters
from .registry import (
    arguments_of,
    closest,
    get_model,
    input_size,
    load_pretrained,
    names,
    options_of,
    published_file,
    register,
    synchronised,
)

__all__ = [
    "ParameterError",
    "arguments_of",
    "classes_in",
    "closest",
    "features",
    "get_model",
    "input_size",
    "load_parameters",
    "load_pretrained",
    "names",
    "options_of",
    "published_file",
    "register",
    "synchronised",
]
