"""Writes a network's parameters in another form: MXNet's, or a safetensors file with the names of
timm or torchvision, alone or in a folder as timm's hub has them.
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
# What is in a folder whose writing was cut off.
LEFT_BY_A_KILL = {hub_folder.WEIGHTS, hub_folder.WEIGHTS + ".new", hub_folder.CONFIG + ".new"}


def check(target: str, library: Optional[str], force: bool) -> None:
    """UserError if ``target`` cannot be written, or the library is none for it."""
    if library and target.endswith(PARAMS):
        raise UserError(f"--to {library} has no effect: {printable(target)} has MXNet's names")
    if library not in (None, TIMM) and _is_folder(target):
        raise UserError(
            f"--to {library}: a folder with a config.json is timm's form; name a file "
            f"that ends in {safetensors_file.ENDING}"
        )
    foreign.is_foreign(target)  # refuses PyTorch's
    if target.endswith(PARAMS):
        check_utf8(target)
    if target.endswith(".onnx"):
        raise UserError(f"{printable(target)}: gluon-tricks export --format onnx writes ONNX")
    there = _folder_is_there if _is_folder(target) else _file_is_there
    if there(target) and not force:
        raise UserError(f"{printable(target)}: is there already; replace it with --force")


def _file_is_there(target):
    """Whether there is one; UserError if there is no folder for it."""
    parent = os.path.dirname(target) or "."
    if not os.path.isdir(parent):
        raise UserError(f"{printable(target)}: there is no folder {printable(parent)}")
    return os.path.lexists(target)


def _folder_is_there(target):
    """Whether there is one with weights, whole or cut off; UserError if something else is there."""
    if not os.path.lexists(target):
        return False
    if not os.path.isdir(target):
        raise UserError(
            f"{printable(target)}: is a file, and would be a folder; a file's name ends in "
            f"{PARAMS} or {safetensors_file.ENDING}"
        )
    if manifests.is_export(target):
        raise UserError(
            f"{printable(target)}: holds an export, which gluon-tricks export replaces; name "
            "another folder"
        )
    held = set(os.listdir(target))
    if not held <= LEFT_BY_A_KILL and not hub_folder.is_hub_folder(target):
        raise UserError(f"{printable(target)}: is a folder of something else; name another one")
    return bool(held)


def convert(
    model: Classifier, target: str, library: Optional[str] = None, force: bool = True
) -> str:
    """Write the parameters of a classifier that is no export; returns the name that the network has
    there.

    Parameters
    ----------
    model : gluon_tricks.deploy.classifier.Classifier
        With its network (not of a graph).
    target : str
        A file that ends in ``.params``, in ``.safetensors``, or a folder.
    library : "timm" or "torchvision"
        Whose names; default: timm's, or else torchvision's. A folder is timm's.
    force : bool
        Replace what is there.

    Raises UserError if that library has no network that computes the same, or the target cannot be
    written.
    """
    if model.trained is None:
        raise UserError(
            f"{printable(model.path)}: is a graph, whose parameters have no layers' names; convert "
            "the run or its parameter file"
        )
    parent, name = os.path.split(os.path.abspath(target))
    _make_folder(parent)
    with Lock(os.path.join(parent, f".{name}.lock"), printable(target)):
        check(target, library, force)  # another process may have written it meanwhile
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
    """How the images are made that ``target`` is evaluated on. timm has no interpolation like
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
            ndarray_file.read(temporary)  # MXNet does not say that the disk was full at its end
        except (mx.MXNetError, ValueError):
            raise UserError(
                f"{printable(target)}: cannot be written; is there space on the disk?"
            ) from None


def _make_folder(folder):
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise UserError(f"{printable(folder)}: cannot be made: {error.strerror}") from error


def write_folder(model: Classifier, folder: str) -> str:
    """Write weights and description as timm's hub has them; returns what the network is there.

    Raises UserError as :func:`convert` does. The description comes last, and an earlier one goes
    first: without it the folder is none of timm's.
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
