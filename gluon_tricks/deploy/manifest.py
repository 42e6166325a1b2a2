"""``manifest.json`` of an exported folder: the model, its preprocessing, and the checksums of its
files.
"""

import os
from typing import Any, Dict, Mapping, Optional, Sequence

from .. import config as flags
from ..data.class_names import LABELS
from ..data.transforms.resize import INTERPOLATIONS, OPENCV
from ..errors import UserError
from ..files import plain_file, read_sealed_json, sha256, write_sealed_json
from ..models.hub_folder import CONFIG, WEIGHTS
from ..text import printable
from . import tasks

NAME = "manifest.json"
KIND = "gluon_tricks export"  # distinguishes it from other programs' manifests
VERSION = 1

# format: its files, the one that a runtime opens first
FILES = {
    "symbol": ("model-symbol.json", "model-0000.params"),
    "onnx": ("model.onnx",),
    "int8": ("int8-symbol.json", "int8-0000.params"),
    "safetensors": (WEIGHTS, CONFIG),
}
# formats that other programs can run; safetensors are only weights for a network of timm's
RUNNABLE = ("symbol", "onnx", "int8")


def description(model: Any, options: Any) -> dict:
    """A model and its preprocessing, for ``manifest.json`` and the metadata of an ONNX file.

    ``model`` is a :class:`gluon_tricks.deploy.opened.Opened`, ``options`` an
    :class:`gluon_tricks.deploy.writer.Options`.
    """
    return dict(
        model=model.model,
        task=model.task,
        classes=model.classes,
        **model.preprocessing.description(),
        **model.description(),
        options=options._asdict(),
        input=options.describe_input(
            None if tasks.TASKS[model.task].any_size else model.preprocessing.input_size
        ),
        outputs=list(tasks.TASKS[model.task].outputs[: 1 + options.softmax]),
    )


TYPES: Dict[str, Any] = dict(classes=int, input_size=int, rgb_mean=list, rgb_std=list, options=dict)


def task_of(held: Mapping[str, Any], source: str) -> str:
    """The task of an export; older versions, which name none, had only classification."""
    task = held.get("task", "classification")
    if task not in tasks.TASKS:
        raise _damaged(source, f"task is {task}")
    return task


def check(held: dict, source: str) -> dict:
    """Check the :func:`description` read from ``source``, and return it; UserError if a part is
    missing or not possible.
    """
    task = tasks.TASKS[task_of(held, source)]
    for name, kind in dict(TYPES, **task.types).items():
        if not isinstance(held.get(name), kind) or isinstance(held[name], bool):
            raise _damaged(source, f"{name} is {held.get(name)}")
    if not isinstance(held["options"].get("preprocess"), bool):
        raise _damaged(source, "its options lack preprocess")
    if held.get("interpolation", OPENCV) not in INTERPOLATIONS:
        raise _damaged(source, f"interpolation is {held['interpolation']}")
    for name in ("rgb_mean", "rgb_std"):
        if len(held[name]) != 3 or any(type(value) not in (int, float) for value in held[name]):
            raise _damaged(source, f"{name} is {held[name]}")
    if not isinstance(held.get("model"), (str, type(None))):
        raise _damaged(source, f"model is {held['model']}")
    labels = held.get("labels")
    if labels is not None and (not isinstance(labels, list) or len(labels) != held["classes"]):
        raise _damaged(source, f"it does not have {held['classes']} labels")
    try:
        task.preprocessing.of_description(held).config(classes=held["classes"])
    except flags.ConfigError as error:
        raise UserError(f"{printable(source)}: damaged: {error}; export again") from None
    return held


def _damaged(source, what):
    return UserError(f"{printable(source)}: damaged, {printable(what)}; export again")


def is_export(folder: str) -> bool:
    """Whether the folder has the manifest of an export, whole or damaged, but not that of a data
    set.
    """
    try:
        with open(os.path.join(folder, NAME), opener=plain_file) as file:
            text = file.read()
    except (OSError, UnicodeDecodeError):
        return False
    return KIND in text


def write(folder: str, manifest: dict) -> dict:
    """Add kind, version, the checksums of all files in the folder and that of the manifest itself,
    and write the manifest.
    """
    files = {}
    for name in sorted(os.listdir(folder)):
        if name != NAME:
            path = os.path.join(folder, name)
            files[name] = dict(bytes=os.path.getsize(path), sha256=sha256(path))
    manifest = dict(dict(kind=KIND, version=VERSION), **manifest, files=files)
    write_sealed_json(os.path.join(folder, NAME), manifest)
    return manifest


def read(folder: str, formats: Optional[Sequence[str]] = None) -> dict:
    """The manifest, after a check of the files of ``formats`` (default: all) against their
    checksums.

    Raises UserError naming a file that is missing or has changed.
    """
    path = os.path.join(folder, NAME)
    try:
        manifest = read_sealed_json(path)
        if manifest["kind"] != KIND or manifest["version"] != VERSION:
            raise UserError(f"{path}: kind or version is not that of this release of gluon_tricks")
        there = manifest["formats"]
        absent = [name for name in formats or () if name not in there]
        if absent:
            raise UserError(f"{folder}: has no format {absent[0]}, only {', '.join(there)}")
        if not there:
            raise KeyError("formats")
        checksums = _checksums(manifest["files"], formats or there)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(
            f"{path}: damaged or not the manifest of an export ({reason}); export again"
        ) from None
    for name, checksum in checksums.items():
        _check_file(os.path.join(folder, name), checksum)
    return manifest


def _checksums(listed, formats):
    """The SHA-256 of the files of ``formats`` and of the labels, if any, by name."""
    names = [name for format in formats for name in FILES[format]]
    names += [LABELS] if LABELS in listed else []
    return {name: listed[name]["sha256"] for name in names}


def _check_file(path, checksum):
    if not os.path.isfile(path):
        raise UserError(
            f"{path}: missing, though {NAME} lists it; copy the whole folder or export again"
        )
    if sha256(path) != checksum:
        raise UserError(
            f"{path}: damaged, its SHA-256 is not the one in {NAME}; copy it or export again"
        )
