"""Writes a network's parameters in another format: MXNet's, or a safetensors file with the names of
timm or torchvision, alone or in a folder in the layout of timm's hub.
"""

import contextlib
import os
from typing import Optional

import mxnet as mx

from ..data.transforms.resize import OPENCV
from ..errors import UserError
from ..files import check_utf8, replacing
from ..locking import Lock
from ..models import foreign, hub_folder, ndarray_file, safetensors_file
from ..models.counterparts.table import TIMM
from ..text import printable
from . import manifest as manifests
from .classifier import Classifier
from .preprocessing import Preprocessing

PARAMS = ".params"
# The files of a folder whose writing was interrupted.
LEFT_BY_A_KILL = {hub_folder.WEIGHTS, hub_folder.WEIGHTS + ".new", hub_folder.CONFIG + ".new"}


def check(target: str, library: Optional[str], force: bool) -> None:
    """UserError if ``target`` cannot be written, or not with this library's names."""
    if library and target.endswith(PARAMS):
        raise UserError(f"--to {library} has no effect: {printable(target)} has MXNet's names")
    if library not in (None, TIMM) and _is_folder(target):
        raise UserError(
            f"--to {library}: a folder with a config.json is timm's layout; name a file that ends "
            f"in {safetensors_file.ENDING}"
        )
    if target.endswith(foreign.PICKLES):
        raise UserError(
            f"{printable(target)}: PyTorch's files are pickles, which are not written; name a file "
            f"that ends in {safetensors_file.ENDING}, which PyTorch's users can load"
        )
    if target.endswith(PARAMS):
        check_utf8(target)
    if target.endswith(".onnx"):
        raise UserError(f"{printable(target)}: gluon-tricks export --format onnx writes ONNX")
    there = _folder_is_there if _is_folder(target) else _file_is_there
    if there(target) and not force:
        raise UserError(f"{printable(target)}: already exists; replace it with --force")


def _file_is_there(target):
    """Whether the file exists; UserError if there is no folder for it."""
    parent = os.path.dirname(target) or "."
    if not os.path.isdir(parent):
        raise UserError(f"{printable(target)}: there is no folder {printable(parent)}")
    return os.path.lexists(target)


def _folder_is_there(target):
    """Whether the folder exists and holds weights, complete or not; UserError if it is something
    else.
    """
    if not os.path.lexists(target):
        return False
    if not os.path.isdir(target):
        raise UserError(
            f"{printable(target)}: is a file, but a folder would be written; a file's name has to "
            f"end in {PARAMS} or {safetensors_file.ENDING}"
        )
    if manifests.is_export(target):
        raise UserError(
            f"{printable(target)}: holds an export, which gluon-tricks export replaces; name "
            "another folder"
        )
    held = set(os.listdir(target))
    if not held <= LEFT_BY_A_KILL and not hub_folder.is_hub_folder(target):
        raise UserError(f"{printable(target)}: is a folder with other contents; name another one")
    return bool(held)


def convert(
    model: Classifier, target: str, library: Optional[str] = None, force: bool = True
) -> str:
    """Write the parameters of a classifier that is not an export; return the network's name there.

    Parameters
    ----------
    model : gluon_tricks.deploy.classifier.Classifier
        With its network, not from a graph.
    target : str
        A file that ends in ``.params``, in ``.safetensors``, or a folder.
    library : "timm" or "torchvision"
        Whose names to use; default: timm's, or else torchvision's. A folder has timm's.
    force : bool
        Replace an existing file or folder.

    Raises UserError if the library has no network that computes the same, or if the target cannot
    be written.
    """
    if model.trained is None:
        raise UserError(
            f"{printable(model.path)}: is a graph, whose parameters do not have the names of "
            "layers; convert the run or its parameter file"
        )
    parent, name = os.path.split(os.path.abspath(target))
    _make_folder(parent)
    with Lock(os.path.join(parent, f".{name}.lock"), printable(target)):
        check(target, library, force)  # again: another process may have written it
        if _is_folder(target):
            return write_folder(model, target)
        return _write_file(model, target, library)


def _write_file(model, target, library):
    net = model.trained.net
    if target.endswith(PARAMS):
        _write_params(net, target)
        return str(model.model)
    found = foreign.theirs(net, library)
    found.write(target)
    return f"{found.counterpart.library}'s {found.counterpart.architecture}"


def images_in(model: Classifier, target: str) -> Preprocessing:
    """The preprocessing with which ``target`` is evaluated. timm has no interpolation like
    OpenCV's; bilinear is the nearest.
    """
    images = model.preprocessing
    if _is_folder(target) and images.interpolation == OPENCV:
        return images._replace(interpolation="bilinear")
    return images


def _is_folder(target):
    return not target.endswith((PARAMS, safetensors_file.ENDING))


def _write_params(net, target):
    with replacing(target) as temporary:
        try:
            net.save_parameters(temporary)
            ndarray_file.read(temporary)  # MXNet does not notice a disk that is full at the end
        except (mx.MXNetError, ValueError):
            raise UserError(
                f"{printable(target)}: cannot be written; is there space on the disk?"
            ) from None


def _make_folder(folder):
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise UserError(f"{printable(folder)}: cannot be created: {error.strerror}") from error


def write_folder(model: Classifier, folder: str) -> str:
    """Write weights and description in the layout of timm's hub; return the network's name there.

    Raises UserError as :func:`convert` does. An earlier description is removed first and the new
    one is written last, since without one the folder is not in timm's layout.
    """
    assert model.trained, "an export has no network to write"
    found = foreign.theirs(model.trained.net, TIMM)
    _make_folder(folder)
    with contextlib.suppress(FileNotFoundError):
        os.remove(os.path.join(folder, hub_folder.CONFIG))
    architecture = found.counterpart.architecture
    found.write(os.path.join(folder, hub_folder.WEIGHTS))
    images = images_in(model, folder)
    about = hub_folder.Description(architecture, model.classes, *images, labels=model.labels)
    hub_folder.write(folder, about)
    return f"timm's {architecture}"
