"""Reads a run's folder: what the run was, which of its checkpoints are whole, the names of its
classes.

``evaluate``, ``predict``, ``export``, resumed runs and runs with a teacher all read ``config.json``
through this module.
"""

import dataclasses
import json
import os

from .. import config as flags
from .. import models
from ..data.class_names import LABELS, names_next_to, read_labels
from ..data.fingerprint import differences, fingerprint
from ..errors import UserError
from ..files import plain_file, sha256_of
from ..text import printable
from . import checkpoint, config_file
from .config_file import CONFIG

PARAMETERS, STATE = "net.params", "state.json"
PATHS = (
    "data_dir",
    "rec_train",
    "rec_train_idx",
    "rec_val",
    "rec_val_idx",
    "save_dir",
    "logging_file",
    "use_params",
    "backbone_params",
    "teacher",
    "teacher_logits",
    "resume",
    "resume_params",
)


class RunFolder:
    """The run in the folder ``path``.

    ``config`` has its flags, with absolute paths; ``version``, ``layout`` (numbers by name),
    ``data`` (fingerprints by split, or None) and ``parameters`` (SHA-256 of what each of
    ``identity.PARAMETER_FLAGS`` named; older runs have fewer) are as in the file. Raises UserError
    if ``config.json`` is missing, damaged, or not a run's.
    """

    def __init__(self, path):
        self.path = path
        file = os.path.join(path, CONFIG)
        try:
            found = config_file.read(path)
            _check(found)
            config = flags.from_dict(found["flags"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(
                f"{printable(file)}: damaged or not a run's: {type(error).__name__}: "
                f"{printable(error)}"
            ) from None
        except UserError as error:
            raise UserError(f"{printable(file)}: damaged or of another version: {error}") from None
        self.version, self.layout, self.data = found["version"], found["layout"], found["data"]
        self.parameters = found.get("parameters", {})
        self._labels_digest = found.get("labels")
        self.config = absolute(config, _working_folder(path, config.save_dir))

    def checkpoint(self, params="best", say=print):
        """(folder, state) of the run's best or last checkpoint, whose checksums were verified.

        If the last one is damaged, this is reported through ``say`` and the one before it is taken.
        If the best one is damaged, that is an error. A run without validation has no best one, and
        its last is taken.
        """
        best = checkpoint.best(self.path)
        if params == "best" and best:
            return best, _read_best(best)
        found = checkpoint.latest(self.path, say)
        if found is None:
            raise UserError(f"{printable(self.path)}: this run has no whole checkpoint yet")
        noted = found[1].get("best")
        if params == "best" and noted and noted["step"] != found[1]["step"]:  # a copy without links
            path = checkpoint.path_of(self.path, noted["step"])
            if os.path.isdir(path):
                return path, checkpoint.read_state(path)
            said = (
                f"its best checkpoint, of step {noted['step']}, does not exist; taking the last, "
                f"{printable(found[0])}"
            )
            say(f"{printable(self.path)}: {said}")
        return found

    def labels(self, say=print):
        """The names of the classes, or None. They are in the folder or, for an older run, next to
        its records. Damaged or missing ones are reported through ``say``.
        """
        kept = os.path.join(self.path, LABELS)
        try:
            if not os.path.isfile(kept):
                kept = self._labels_of_the_data() or kept
            if not os.path.isfile(kept) and not self._labels_digest:
                return None
            labels = read_labels(kept)
            if self._labels_digest not in (None, sha256_of(labels)):
                raise UserError(
                    f"{printable(kept)}: holds other names than when the run began (SHA-256 in "
                    f"{CONFIG}); --labels FILE takes other ones"
                )
        except UserError as error:
            say(f"{error}; classes are given by number")
            return None
        return labels if len(labels) == self.config.classes else None

    def _labels_of_the_data(self):
        for split, field in (("validation", "rec_val"), ("train", "rec_train")):
            path = getattr(self.config, field)
            if path and os.path.isfile(path) and names_next_to(path) is not None:
                if not differences(
                    self.data[split], fingerprint(path, getattr(self.config, field + "_idx"))
                ):
                    return os.path.join(os.path.dirname(path), LABELS)
        return None

    def validation_file(self, index=""):
        """(RecordIO file, index) that the run was validated on; ("", "") if it had none.

        Raises UserError if the file is gone, or is not the one that the run knew.
        """
        path, index = self.config.rec_val, index or self.config.rec_val_idx
        shown, run = printable(path), printable(self.path)
        if not path:
            return "", ""
        if not os.path.isfile(path):
            raise UserError(
                f"{shown}, on which {run} was validated, is not there: give --rec-val FILE"
            )
        different = differences(self.data["validation"], fingerprint(path, index))
        if different:
            raise UserError(
                f"{shown} is not the file on which {run} was validated ({printable(different)}): "
                "give --rec-val FILE to measure on another one"
            )
        return path, index


def write(path, about, config):
    """Write the ``config.json`` of the run of ``config`` into its folder; ``about`` has
    :class:`RunFolder`'s other attributes.
    """
    contents = dict(about, flags=json.loads(flags.to_json(absolute(config))))
    config_file.write(path, contents)


def _check(found):
    """Raise ValueError, KeyError, TypeError or AttributeError if a ``config.json`` is not what
    :func:`write` writes.
    """
    splits = [found["data"]["train"], found["data"]["validation"]]
    right = (
        set(found) <= {"version", "flags", "layout", "data", "parameters", "labels", "sha256"}
        and isinstance(found["version"], str)
        and isinstance(found.get("labels"), (str, type(None)))
        and all(type(number) is int and number > 0 for number in found["layout"].values())
        and found["layout"]["began_with"]
        and all(
            split is None or {"records", "bytes", "index_sha256"} <= set(split) for split in splits
        )
        and all(
            isinstance(digest, (str, type(None))) for digest in found.get("parameters", {}).values()
        )
    )
    if not right:
        raise ValueError("its contents are not those of a run")


def run_of(path):
    """The :class:`RunFolder` that a path names or lies in (RUN/checkpoints/step-N/net.params), or
    None.
    """
    for folder in (os.path.abspath(path), os.path.realpath(path)):
        folder = folder if os.path.isdir(folder) else os.path.dirname(folder)
        for _ in range(3):
            if _may_be_ours(os.path.join(folder, CONFIG)):
                return RunFolder(folder)
            folder = os.path.dirname(folder)
    return None


def _may_be_ours(file):
    """False if there is no such file, or if it is the whole ``config.json`` of something else."""
    try:
        with open(file, encoding="utf-8", opener=plain_file) as opened:
            found = json.load(opened)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError, RecursionError):
        return True
    return not isinstance(found, dict) or "flags" in found or "layout" in found


def _read_best(path):
    """The state of the checkpoint that ``best`` names; UserError if it was not the best."""
    state = checkpoint.read_state(path)
    noted = state.get("best")
    if noted and noted["step"] != state["step"]:
        raise UserError(
            f"{printable(path)}: leads to the checkpoint of step {state['step']}, but the best one "
            f"is that of step {noted['step']}: name the folder of one of them"
        )
    return state


def read_checkpoint(folder):
    """The ``state.json`` in a checkpoint's folder, a dict. Checksums are verified."""
    return checkpoint.read_state(folder)


def checked(path):
    """The ``path`` of a parameter file. If it lies in a checkpoint, its checksums are verified."""
    folder = os.path.dirname(path)
    if os.path.basename(path) == PARAMETERS and os.path.isfile(os.path.join(folder, STATE)):
        checkpoint.read_state(folder)
    return path


def absolute(config, working_folder=None):
    """A copy of a Config with absolute paths. Relative ones start from ``working_folder``, by
    default that of this process.
    """
    paths, start = {}, working_folder or os.getcwd()
    for name in PATHS:
        path = getattr(config, name)
        if path and not (name == "resume" and path == "auto"):
            inside = config.save_dir if name == "logging_file" else ""  # see log_files.py
            full = os.path.normpath(os.path.join(start, inside, path))
            is_name = name == "teacher" and path in models.names() and not os.path.exists(full)
            paths[name] = path if is_name else full
    return dataclasses.replace(config, **paths)


def _working_folder(folder, save_dir):
    """The folder from which an older run's relative paths start: its own path without the
    --save-dir at the end. None if unknown.
    """
    folder, tail = os.path.abspath(folder), os.path.normpath(save_dir)
    return folder[: -len(tail)] if folder.endswith(os.sep + tail) else None
