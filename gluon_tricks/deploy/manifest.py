"""``manifest.json`` of an exported folder: what the model is, how its input is made, its files' checksums."""

import json
import os

from ..errors import UserError
from ..files import sha256, write_json

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


def is_export(folder):
    """Whether the folder has the manifest of an export (whole or damaged, but not that of a data set)."""
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
            raise UserError("{}: kind or version is not of this release of gluon_tricks".format(path))
        absent = [name for name in formats or () if name not in manifest["formats"]]
        if absent:
            raise UserError(
                "{}: has no form {}, but {}".format(folder, absent[0], ", ".join(manifest["formats"]))
            )
        wanted = [name for f in formats or manifest["formats"] for name in FILES[f]]
        listed = manifest["files"]
        wanted = wanted + [LABELS] if LABELS in listed else wanted
        checks = {name: listed[name]["sha256"] for name in wanted}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            "{}: damaged or not the manifest of an export ({}: {}); export again".format(
                path, type(error).__name__, error
            )
        ) from None
    for name, digest in checks.items():
        file = os.path.join(folder, name)
        if not os.path.isfile(file):
            raise UserError(
                "{}: missing, though {} lists it; copy the whole folder or export again".format(file, NAME)
            )
        if sha256(file) != digest:
            raise UserError(
                "{}: damaged, its SHA-256 is not the one in {}; copy it or export again".format(file, NAME)
            )
    return manifest


def read_labels(path, classes=None):
    """The names in a file, one a line in the classes' order; UserError where they are not ``classes``."""
    try:
        with open(path, encoding="utf-8") as file:
            labels = [line.rstrip("\r\n") for line in file]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError("{}: cannot be read as a list of labels: {}".format(path, error)) from None
    if classes is not None and len(labels) != classes:
        raise UserError("{}: has {} labels, but the model has {} classes".format(path, len(labels), classes))
    return labels
