"""``manifest.json`` of an exported folder: what the model is, how its input is made, its files'
checksums.
"""

import json
import os

from .. import config as flags
from ..data.transforms.resize import shorter_edge
from ..errors import UserError
from ..files import sha256, write_json
from ..text import printable

NAME = "manifest.json"
KIND = "gluon_tricks export"  # tells it from other programs' manifests
VERSION = 1

# format: its files, the one that a runtime opens first
FILES = {
    "symbol": ("model-symbol.json", "model-0000.params"),
    "onnx": ("model.onnx",),
    "int8": ("int8-symbol.json", "int8-0000.params"),
}
LABELS = "labels.txt"


def description(model, options):
    """What a model is and how its images are made, for ``manifest.json`` and the metadata of an
    ONNX file.

    ``model`` is a :class:`gluon_tricks.deploy.classifier.Classifier`, ``options`` a
    :class:`gluon_tricks.deploy.formats.Options`.
    """
    return dict(
        model=model.model,
        classes=model.classes,
        input_size=model.input_size,
        crop_ratio=model.crop_ratio,
        resize_shorter_edge=shorter_edge(model.input_size, model.crop_ratio),
        resize_longer_edge="in proportion, rounded down: longer * resize_shorter_edge // shorter",
        resize_interpolation="bilinear without antialiasing (OpenCV's INTER_LINEAR)",
        crop="centre: top = (height - input_size) // 2, left = (width - input_size) // 2",
        channels="RGB, 0 to 255",
        rgb_mean=list(model.rgb_mean),
        rgb_std=list(model.rgb_std),
        options=options._asdict(),
        input=options.describe_input(model.input_size),
        outputs=["logits", "probabilities"][: 1 + options.softmax],
    )


def check(held, source):
    """The :func:`description` that was read from ``source``; UserError if a part is missing or
    cannot be.
    """
    kinds = dict(
        classes=int,
        input_size=int,
        crop_ratio=(int, float),
        rgb_mean=list,
        rgb_std=list,
        options=dict,
    )
    for name, kind in kinds.items():
        if not isinstance(held.get(name), kind) or isinstance(held[name], bool):
            raise UserError(
                f"{printable(source)}: damaged, {name} is {printable(held.get(name))}; export again"
            )
    if not isinstance(held["options"].get("preprocess"), bool):
        raise UserError(
            f"{printable(source)}: damaged, its options do not say preprocess; export again"
        )
    for name in ("rgb_mean", "rgb_std"):
        if len(held[name]) != 3 or any(type(value) not in (int, float) for value in held[name]):
            raise UserError(
                f"{printable(source)}: damaged, {name} is {printable(held[name])}; export again"
            )
    if not isinstance(held.get("model"), (str, type(None))):
        raise UserError(
            f"{printable(source)}: damaged, model is {printable(held['model'])}; export again"
        )
    names = ("classes", "input_size", "crop_ratio", "rgb_mean", "rgb_std")
    try:
        values = {
            name: tuple(held[name]) if isinstance(held[name], list) else held[name]
            for name in names
        }
        flags.check_ranges(flags.Config(**values))
    except flags.ConfigError as error:
        raise UserError(f"{printable(source)}: damaged: {error}; export again") from None
    return held


def is_export(folder):
    """Whether the folder has the manifest of an export (whole or damaged, but not that of a data
    set).
    """
    try:
        with open(os.path.join(folder, NAME)) as file:
            text = file.read()
    except (OSError, UnicodeDecodeError):
        return False
    return KIND in text


def write(folder, manifest):
    """Add kind, version, and the checksums of all files in the folder, and write the manifest."""
    files = {}
    for name in sorted(os.listdir(folder)):
        if name != NAME:
            path = os.path.join(folder, name)
            files[name] = dict(bytes=os.path.getsize(path), sha256=sha256(path))
    manifest = dict(dict(kind=KIND, version=VERSION), **manifest, files=files)
    write_json(os.path.join(folder, NAME), manifest)
    return manifest


def read(folder, formats=None):
    """The manifest, after the checksums of the files of ``formats`` (default: all) were compared.

    Raises UserError naming the file that is missing or was changed.
    """
    path = os.path.join(folder, NAME)
    try:
        with open(path) as file:
            manifest = json.load(file)
        if manifest["kind"] != KIND or manifest["version"] != VERSION:
            raise UserError(f"{path}: kind or version is not of this release of gluon_tricks")
        absent = [name for name in formats or () if name not in manifest["formats"]]
        if absent:
            raise UserError(
                "{}: has no form {}, but {}".format(
                    folder, absent[0], ", ".join(manifest["formats"])
                )
            )
        if not manifest["formats"]:
            raise KeyError("formats")
        wanted = [name for f in formats or manifest["formats"] for name in FILES[f]]
        listed = manifest["files"]
        wanted = wanted + [LABELS] if LABELS in listed else wanted
        checks = {name: listed[name]["sha256"] for name in wanted}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(
            f"{path}: damaged or not the manifest of an export ({type(error).__name__}: {error}); export again"
        ) from None
    for name, digest in checks.items():
        file = os.path.join(folder, name)
        if not os.path.isfile(file):
            raise UserError(
                f"{file}: missing, though {NAME} lists it; copy the whole folder or export again"
            )
        if sha256(file) != digest:
            raise UserError(
                f"{file}: damaged, its SHA-256 is not the one in {NAME}; copy it or export again"
            )
    return manifest


def read_labels(path, classes=None):
    """The names in a file, one a line in the classes' order; UserError where they are not
    ``classes``.
    """
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            labels = [line.rstrip("\r\n") for line in file]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a list of labels: {error}") from None
    if classes is not None and len(labels) != classes:
        raise UserError(f"{path}: has {len(labels)} labels, but the model has {classes} classes")
    return labels
