"""Opens a trained network from any source.

A run's folder, a checkpoint, a parameter file, weights with timm's or torchvision's names, an
exported folder, an ONNX file, an INT8 model and a network with published parameters all become an
:class:`gluon_tricks.deploy.opened.Opened`: a :class:`gluon_tricks.deploy.classifier.Classifier`, or
the class that :data:`gluon_tricks.deploy.tasks.TASKS` has for another task.
"""

from __future__ import annotations

import dataclasses
import os
from typing import Any, Dict, Optional, Union

from .. import config as flags
from .. import many_sizes
from ..data.class_names import read_labels
from ..errors import UserError
from ..models import foreign
from ..models.hub_folder import CONFIG, WEIGHTS
from ..tasks import registry
from ..text import printable
from ..training import run_folder
from . import exported, tasks
from . import manifest as manifests
from .exported import refuse_other
from .opened import Opened, Trained
from .predictors import block_predictor

NETWORK = (
    *("model", "classes", "use_se", "use_gn", "batch_norm", "attention", "attention_reduction"),
    *("anti_alias", "anti_alias_shortcut", "bl_alpha", "bl_beta", "bl_projection", "gem", "bn_eps"),
)


def open_model(
    path: Union[str, os.PathLike],
    params: str = "best",
    format: Optional[str] = None,
    labels: Optional[str] = None,
    device: Any = None,
    **given: Any,
) -> Opened:
    """Open a trained network.

    Parameters
    ----------
    path : str
        A run's folder, the folder of a checkpoint, a parameter file, a safetensors file, a folder
        in the layout of timm's hub, an exported folder, an ONNX file, or the name of a network
        whose parameters GluonCV publishes.
    params : "best" or "last"
        Which checkpoint of a run; a run without validation has no best and gives its last.
    format : "symbol", "onnx", "int8" or "safetensors"
        Which format of an exported folder; default: the first of these that it has.
    labels : str
        A file of class names to use in place of the model's own.
    device : mxnet.Context
        The device of a network that is not exported; default: the CPU.
    given : fields of :class:`gluon_tricks.config.Config`
        model, classes, and those of the task's preprocessing such as input_size, for a file whose
        folder does not have them. If it does, a different value is an error; only the preprocessing
        of a network that is not exported may differ from training's.

    Raises UserError if the source is missing, is something else, or is damaged.
    """
    path = os.fspath(path)
    found = _open(path, params, format, given)
    if format and format != found.kind:
        raise UserError(
            f"{path}: is of kind {found.kind}; --format {format} asks for a format of an exported "
            "folder"
        )
    found.path = path
    _refuse_unused(given, found)
    found.preprocessing.config(classes=found.classes)
    if found.trained:
        _check_finite(found.trained, found.path)
    if device is not None:
        if tasks.TASKS[found.task].any_size:
            many_sizes.expect(device)
        found.compute_on(device)
    if labels:
        found.labels = read_labels(labels, found.classes)
    return found


def _open(path, params, format, given):
    if os.path.isfile(path):
        return _open_file(path, given)
    if not os.path.exists(path):
        return _open_published(path, given)
    if manifests.is_export(path):
        return _open_export(path, format, given)
    if foreign.is_foreign(path):
        return _open_foreign(path, given)
    if os.path.isfile(os.path.join(path, run_folder.PARAMETERS)):
        return _open_checkpoint(path, run_folder.read_checkpoint(path), given)
    if os.path.isfile(os.path.join(path, run_folder.CONFIG)):
        return _open_checkpoint(*run_folder.RunFolder(path).checkpoint(params), given)
    raise UserError(
        f"{path}: holds no run ({run_folder.CONFIG}), no checkpoint ({run_folder.PARAMETERS}), no "
        f"export ({manifests.NAME}) and no weights in timm's layout ({CONFIG} and {WEIGHTS})"
    )


def _open_file(path, given):
    folder, name = os.path.split(os.path.abspath(path))
    formats = [format for format, files in manifests.FILES.items() if name in files]
    if formats and manifests.is_export(folder):
        return _open_export(folder, formats[0], given)
    if foreign.is_foreign(path):
        return _open_foreign(path, given)
    if name.endswith(".onnx"):
        return exported.open_onnx(path, given)
    if name.endswith(".params"):
        return _open_parameters(run_folder.checked(path), given)
    raise UserError(f"{path}: is neither a .params, .safetensors or .onnx file nor a folder")


def _open_checkpoint(folder, state, given):
    found = _open_parameters(os.path.join(folder, run_folder.PARAMETERS), given)
    found.trained = found.trained._replace(step=state["step"])
    best = state.get("best")
    if best and best.get("step") == state["step"]:
        figures = [figure.name for figure in registry.TASKS[found.task].figures]
        found.measured = {name: best.get(name) for name in (*figures, "images") if name != "loss"}
        protocol = tasks.TASKS[found.task].validated(found.preprocessing)
        found.measured.update(dict(protocol=protocol) if protocol else {})
    return found


def _open_parameters(path, given):
    import mxnet as mx

    from .. import models

    run = run_folder.run_of(path)
    if run is None:
        config = _described_by_flags(path, given)
    else:
        tasks.of(run.config.task, path)
        refuse_other(given, {name: getattr(run.config, name) for name in NETWORK}, path)
        config = dataclasses.replace(run.config, **given)
        if "input_size" in given:
            config.test_size = 0
    flags.check_ranges(config)
    net = models.get_model(config.model, classes=config.classes, **models.options_of(config))
    models.load_parameters(net, path, ctx=mx.cpu())
    return _of_network(path, net, config, Trained(net, path, run))


def _open_foreign(path, given):
    """Weights of a network that timm or torchvision has, too."""
    import mxnet as mx

    from .. import models

    identity, about = foreign.identity_in(path), foreign.describe(path)
    if identity is None:
        return _open_parameters(path, given)
    refuse_other(given, dict(model=identity.model), path)
    named = {name: value for name, value in identity.options if name in flags.FLAGS}
    known = dict(named, model=identity.model)
    if about:
        refuse_other(given, dict(classes=about.classes), path)
        known.update(about.images(), classes=about.classes)
    config = _described_by_flags(path, dict(known, **{**given, "model": identity.model}))
    flags.check_ranges(config)
    net = models.get_model(config.model, classes=config.classes, **models.options_of(config))
    models.load_parameters(net, path, ctx=mx.cpu())
    found = _of_network(path, net, config, Trained(net, foreign.file_of(path)))
    if about:
        images = found.preprocessing._replace(interpolation=about.interpolation)
        found.preprocessing, found.labels = images, about.labels
    return found


def _open_published(name, given):
    from .. import models

    known = [*models.names(), *(each for task in tasks.TASKS for each in models.names(task=task))]
    if name not in known:
        raise UserError(
            f"{name}: no such model; it is neither a folder nor a file nor the name of a network"
        )
    refuse_other(given, dict(model=name), name)
    config = flags.Config(**{**_defaults_of(name), **given})
    flags.check_ranges(config)
    options = models.options_of(config)
    net = models.get_model(name, classes=config.classes, pretrained=True, **options)
    if net.not_loaded:
        raise UserError(
            f"{name}: its published parameters are not for {config.classes} classes: give --classes"
        )
    return _of_network(name, net, config, Trained(net))


def _of_network(path, net, config, trained):
    """The opened model of a Gluon network that has its parameters."""
    task = tasks.of(config.task, path)
    fixed = not task.any_size
    net.cast("float32")
    net.hybridize(static_alloc=fixed, static_shape=fixed)
    return task.opened(
        path,
        "gluon",
        config.model,
        config.classes,
        task.preprocessing.of_config(config),
        block_predictor(task.opened.computed(net), path),
        labels=trained.run and trained.run.labels(),
        trained=trained,
    )


def _described_by_flags(path, given):
    """The Config of a parameter file outside any run's folder."""
    from .. import models

    if "model" not in given:
        raise UserError(
            f"{path}: unknown network, since there is no {run_folder.CONFIG} next to it or above "
            "it: give --model"
        )
    config = flags.Config(**{**_defaults_of(given["model"]), **given})
    if "classes" not in given:
        config.classes = models.classes_in(path, config.model, **models.options_of(config))
    return config


def _defaults_of(name):
    """The flags if only the name of the network is known."""
    from ..models.registry import get

    network = get(name)
    task = network.for_task or flags.Config.task
    return dict(model=name, input_size=network.input_size, task=task)


def _check_finite(trained, path):
    from ..models.parameters import check_finite

    parameters = trained.net._collect_params_with_prefix()
    check_finite(
        {name: held.data() for name, held in parameters.items()}, trained.parameters or path
    )


def _open_export(folder, format, given):
    manifest = manifests.read(folder, [format] if format else None)
    manifests.check(manifest, os.path.join(folder, manifests.NAME))
    format = format or next(name for name in manifests.FILES if name in manifest["formats"])
    refuse_other(given, manifest, folder)
    if format != "safetensors":
        return exported.open_folder(folder, format, manifest)
    found = _open_foreign(folder, {})
    return dataclasses.replace(found, kind=format, measured=manifest.get("measured"))


def _refuse_unused(given: Dict[str, Any], found: Opened) -> None:
    """UserError for a preprocessing flag of another task."""
    for name in given:
        if name not in (*NETWORK, *found.preprocessing._fields):
            raise UserError(
                f"{flags.spelling(name)} has no effect: {printable(found.path)} is for {found.task}"
            )
