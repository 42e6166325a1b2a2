"""Writes a network's parameters in another form: MXNet's, or a safetensors file with the names of
timm or torchvision, alone or in a folder as timm's hub has them.
"""

import os
from typing import Optional

from ..data.transforms.resize import OPENCV
from ..errors import UserError
from ..files import sync_folder
from ..models import foreign, hub_folder, safetensors_file
from ..models.counterparts.table import TIMM
from ..text import printable
from .classifier import Classifier
from .preprocessing import Preprocessing

PARAMS = ".params"


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
    if os.path.exists(target) and not force:
        raise UserError(f"{printable(target)}: is there already; replace it with --force")
    if _is_folder(target) and os.path.isdir(target) and not hub_folder.is_hub_folder(target):
        raise UserError(f"{printable(target)}: is a folder of something else; name another one")


def convert(model: Classifier, target: str, library: Optional[str] = None) -> str:
    """Write the parameters of a classifier that is no export; returns the name that the network has
    there.

    Parameters
    ----------
    model : gluon_tricks.deploy.classifier.Classifier
        Of kind "gluon".
    target : str
        A file that ends in ``.params``, in ``.safetensors``, or a folder.
    library : "timm" or "torchvision"
        Whose names; default: timm's, or else torchvision's. A folder is timm's.

    Raises UserError if that library has no network that computes the same, or the target cannot be
    written.
    """
    if model.trained is None:
        raise UserError(
            f"{printable(model.path)}: is exported already; convert the run or its parameter file"
        )
    net = model.trained.net
    if target.endswith(PARAMS):
        _write_params(net, target)
        return str(model.model)
    if not _is_folder(target):
        found = foreign.theirs(net, library)
        found.write(target)
        return f"{found.counterpart.library}'s {found.counterpart.architecture}"
    return write_folder(model, target)


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
    try:
        net.save_parameters(target + ".new")
        os.replace(target + ".new", target)
        sync_folder(target)
    except OSError as error:
        raise UserError(f"{printable(target)}: cannot be written: {error.strerror}") from error


def write_folder(model: Classifier, folder: str) -> str:
    """Write weights and description as timm's hub has them; returns what the network is there.

    Raises UserError as :func:`convert` does. The description comes last: without it the folder is
    none of timm's.
    """
    assert model.trained, "an export has no network to write"
    found = foreign.theirs(model.trained.net, TIMM)
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise UserError(f"{printable(folder)}: cannot be made: {error.strerror}") from error
    architecture = found.counterpart.architecture
    found.write(os.path.join(folder, hub_folder.WEIGHTS))
    images = images_in(model, folder)
    about = hub_folder.Description(architecture, model.classes, *images, labels=model.labels)
    hub_folder.write(folder, about)
    return f"timm's {architecture}"
