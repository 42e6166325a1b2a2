"""Weights of timm's and torchvision's networks, which are accepted wherever a parameter file is: a
safetensors file, or a folder in the layout of timm's hub (:mod:`.hub_folder`).

A PyTorch file is a pickle, which can run any program when it is loaded, so it is refused.
"""

import os
from typing import Any, Dict, NamedTuple, Optional

import mxnet as mx
import numpy as np

from ..errors import UserError
from ..text import printable
from . import hub_folder, safetensors_file
from .counterparts import lookup, translation
from .counterparts.table import Counterpart, Identity

PICKLES = (".pth", ".pt", ".bin", ".ckpt", ".pkl", ".pth.tar")
# Options that change the names of parameters. With other options, such as dilation, a network
# starts from the weights of the plain one.
NAMING = ("attention", "use_gn", "batch_norm")
ARCHITECTURE = "architecture"  # in the metadata of the files written here


def is_foreign(path: str) -> bool:
    """Whether this module reads the path, even if it is damaged.

    Raises UserError for a PyTorch file, with the way to convert it to a safetensors file.
    """
    if path.endswith(PICKLES):
        raise UserError(
            f"{printable(path)}: PyTorch's files are pickles, which are not read. Convert it with "
            "PyTorch and safetensors: import torch, safetensors.torch as s; "
            "s.save_file(torch.load('FILE', map_location='cpu', weights_only=True), "
            "'FILE.safetensors')"
        )
    return path.endswith(safetensors_file.ENDING) or hub_folder.is_hub_folder(path)


def file_of(path: str) -> str:
    """The file with the weights; for a folder in the layout of timm's hub, the one in it."""
    inside = os.path.join(path, hub_folder.WEIGHTS)
    return inside if hub_folder.is_hub_folder(path) else path


def describe(path: str) -> Optional[hub_folder.Description]:
    """The contents of the ``config.json`` in the folder, or next to the file; None if there is
    none.
    """
    folder = path if os.path.isdir(path) else os.path.dirname(os.path.abspath(path))
    if hub_folder.is_hub_folder(folder) and os.path.samefile(file_of(folder), file_of(path)):
        return hub_folder.read(folder)
    return None


def identity_in(path: str) -> Optional[Identity]:
    """The network named in the folder or file; None if there is no name.

    Raises UserError for a network that this package lacks, with the reason.
    """
    architecture = _architecture_in(path)
    return lookup.identity_of(architecture) if architecture else None


def _architecture_in(path):
    about = describe(path)
    if about:
        return about.architecture
    return _checked(safetensors_file.metadata, file_of(path)).get(ARCHITECTURE)


def _checked(read_file, file):
    """The result of a function of :mod:`.safetensors_file`; UserError says what is wrong with the
    file.
    """
    try:
        return read_file(file)
    except OSError as error:
        raise UserError(f"{printable(file)}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UserError(
            f"{printable(file)}: damaged, incomplete or not a safetensors file: {printable(error)}"
        ) from None


def read(net: Any, path: str) -> Dict[str, mx.nd.NDArray]:
    """The arrays for a network of :func:`.registry.get_model`, by our names.

    Raises UserError if the file is damaged, is of another network, or has missing or extra arrays.
    """
    if not hasattr(net, "made_as"):
        raise UserError(f"{printable(path)}: only networks from get_model take such a file")
    model, options = net.made_as
    wanted = Identity.of(model, {name: options[name] for name in NAMING if name in options})
    said = _architecture_in(path)
    if said and said.split(".", 1)[0] not in [one.architecture for one in lookup.of(wanted)]:
        raise UserError(f"{printable(path)}: is of {printable(said)}, not of {wanted}")
    parameters = net._collect_params_with_prefix()
    arrays = _checked(safetensors_file.read, file_of(path))
    if getattr(net, "features_only", False):
        head = net.head_name + "."  # the same name there
        arrays = {name: array for name, array in arrays.items() if not name.startswith(head)}
    ours = translation.to_ours(wanted, parameters, arrays, path)
    return {name: mx.nd.array(array, dtype=array.dtype) for name, array in ours.items()}


class Foreign(NamedTuple):
    """Arrays by the names of timm or torchvision, and the network's counterpart there."""

    counterpart: Counterpart
    arrays: Dict[str, np.ndarray]

    def write(self, path: str) -> None:
        """Write the safetensors file."""
        about = {
            "format": "pt",  # required by other programs
            ARCHITECTURE: self.counterpart.architecture,
            "library": self.counterpart.library,
        }
        safetensors_file.write(path, self.arrays, about)


def theirs(net: Any, library: Optional[str] = None) -> Foreign:
    """A network's arrays by the names of a library (default: timm, or else torchvision).

    Raises UserError if the library has no network that computes the same.
    """
    if not hasattr(net, "made_as"):
        raise UserError("only networks from get_model have counterparts")
    counterpart = lookup.find(Identity.of(*net.made_as), library)
    parameters = net._collect_params_with_prefix()
    ours = {name: held.data(held.list_ctx()[0]).asnumpy() for name, held in parameters.items()}
    return Foreign(counterpart, translation.to_theirs(counterpart, ours))
