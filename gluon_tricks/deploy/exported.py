"""Opens models that run without this package: the formats of ``gluon-tricks export``, and ONNX
files.
"""

from __future__ import annotations

import functools
import os
from typing import Any, Mapping

from .. import config as flags
from ..data.class_names import LABELS, read_labels
from ..errors import UserError
from . import manifest as manifests
from . import tasks
from .classifier import Classifier
from .opened import Opened
from .predictors import block_predictor, session_predictor
from .preprocessing import Preprocessing


def open_folder(folder: str, format: str, manifest: Mapping[str, Any]) -> Opened:
    """A runnable format of an exported folder, whose manifest and checksums have been checked."""
    task, classes = tasks.TASKS[manifests.task_of(manifest, folder)], manifest["classes"]
    preprocessing = task.preprocessing.of_description(manifest)
    inside = preprocessing if manifest["options"]["preprocess"] else None
    files = [os.path.join(folder, name) for name in manifests.FILES[format]]
    compute = predictor_of(format, files, preprocessing.input_size, inside, task.allowance)
    labels = os.path.join(folder, LABELS)
    return task.opened(
        folder,
        format,
        manifest.get("model"),
        classes,
        preprocessing,
        compute,
        labels=read_labels(labels, classes) if os.path.isfile(labels) else None,
        measured=manifest.get("measured"),
        **task.opened.described(manifest, folder),
    )


def predictor_of(format, files, size, inside, allowance=1):
    """The predictor of an exported format, whose files are checked."""
    if format == "onnx":
        from . import onnx, onnx_file

        onnx_file.check(files[0], size, tasks.allowances())
        return session_predictor(onnx.session(files[0]), files[0], inside)
    from . import graph

    loaded = graph.load(*files, (size, size, 3) if inside else (3, size, size), allowance)

    @functools.lru_cache(maxsize=None)
    def check(shape):
        graph.check_shapes(loaded, shape, files[0], size, allowance)

    return block_predictor(graph.block(loaded), files[0], inside, check=check)


def open_onnx(path: str, given: Mapping[str, Any]) -> Opened:
    """An ONNX file without its folder, from ``gluon-tricks export`` or another program."""
    from . import onnx, onnx_file

    size = given.get("input_size", flags.Config.input_size)
    flags.check_ranges(flags.Config(**given))
    graph = onnx_file.check(path, size, tasks.allowances()).graph
    session = onnx.session(path)
    about = onnx.about(session)
    if "classes" in about:
        return _open_own_onnx(path, given, session, manifests.check(about, path))
    known = onnx.classes_and_size(path, session)
    refuse_other(given, known, path)
    config = flags.Config(**dict(given, **known))
    return Classifier(
        path,
        "onnx",
        given.get("model"),
        config.classes,
        Preprocessing.of_config(config),
        session_predictor(session, path, probabilities=onnx_file.gives_probabilities(graph)),
    )


def _open_own_onnx(path, given, session, about):
    """A file from ``gluon-tricks export`` without its folder."""
    refuse_other(given, about, path)
    task = tasks.TASKS[manifests.task_of(about, path)]
    preprocessing = task.preprocessing.of_description(about)
    inside = preprocessing if about["options"]["preprocess"] else None
    labels = about.get("labels")
    return task.opened(
        path,
        "onnx",
        about.get("model"),
        about["classes"],
        preprocessing,
        session_predictor(session, path, inside),
        labels=labels and [str(label) for label in labels],
        **task.opened.described(about, path),
    )


def refuse_other(given: Mapping[str, Any], known: Mapping[str, Any], path: str) -> None:
    """UserError for a flag whose value contradicts the one that ``path`` has."""
    for name, value in given.items():
        held = known.get(name)
        if name in known and value != (tuple(held) if isinstance(held, list) else held):
            raise UserError(
                f"{flags.spelling(name)} {value}: but {path} says {held}; leave the flag out"
            )
