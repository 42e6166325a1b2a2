"""Reads a checkpoint's ``state.json``, and trusts it only if it is whole."""

import contextlib
import hashlib
import json
import math
import os
import re

from ..errors import UserError
from ..files import plain_file, sha256, sha256_of
from ..tasks.registry import TASKS
from ..text import printable

FORMAT = 4
WITHOUT_CHECKSUM = 3  # the format before: state.json had no checksum, and the log was not kept
FILES = ("net.params", "optimizer.states", "log.jsonl")
NAME = re.compile(r"step-(\d+)$")


class CheckpointError(UserError):
    """A checkpoint that cannot be written, found or read."""


def seal(state):
    """The state with a checksum of all its contents, including the files' checksums."""
    bare = {name: value for name, value in state.items() if name != "checksum"}
    return dict(bare, checksum=sha256_of(bare))


def read_state(path):
    """The ``state.json`` of a checkpoint. CheckpointError unless its checksum, its step and the
    checksums of the files are right.
    """
    try:
        state = _state_in(path)
        problem = _problem(path, state)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        problem = f"is damaged or no checkpoint: {type(error).__name__}: {printable(error)}"
    if problem:
        raise CheckpointError(f"{printable(path)} {problem}")
    return state


def read_log(path, state):
    """``log.jsonl`` as it was at the checkpoint (bytes), or None if an older version wrote the
    checkpoint without it.
    """
    if "log.jsonl" not in state["sha256"]:
        return None
    with open(os.path.join(path, "log.jsonl"), "rb", opener=plain_file) as file:
        return file.read(state["log_bytes"])


def checkpoint_of_other_log(run_folder):
    """The newest checkpoint with a whole ``state.json``, if the run's ``log.jsonl`` no longer
    begins as it did then; else None.
    """
    for path in checkpoints(run_folder):
        with contextlib.suppress(OSError, ValueError, AttributeError, RecursionError):
            state = _state_in(path)
            if state.get("format") == FORMAT and state == seal(state):
                return None if _begins_with_log_of(state, run_folder) else path
    return None


def _begins_with_log_of(state, run_folder):
    with contextlib.suppress(OSError):
        there = _digest(os.path.join(run_folder, "log.jsonl"), state["log_bytes"])
        return there == state["sha256"]["log.jsonl"]
    return False


def checkpoints(run_folder):
    """The folders of all checkpoints of a run, the newest first."""
    folder = os.path.join(run_folder, "checkpoints")
    names = os.listdir(folder) if os.path.isdir(folder) else []
    found = sorted(
        ((int(NAME.match(name).group(1)), name) for name in names if NAME.match(name)), reverse=True
    )
    return [os.path.join(folder, name) for _, name in found]


def _state_in(path):
    """``state.json`` of a checkpoint, unchecked."""
    name = os.path.join(path, "state.json")
    with open(name, encoding="utf-8", opener=plain_file) as file:
        return json.load(file)


def _problem(path, state):
    """What is wrong with a checkpoint, in words that follow its name; None if it is whole."""
    version = state.get("format")
    if version not in (FORMAT, WITHOUT_CHECKSUM):
        known = (
            f"{printable(version)[:20]}, this version reads formats {WITHOUT_CHECKSUM} and {FORMAT}"
        )
        return (
            f"has format {known}"
            if isinstance(version, int)
            else f"is damaged: state.json has format {known}"
        )
    if version == FORMAT and state != seal(state):
        return "is damaged: state.json has another SHA-256 than was written"
    needed = _FIELDS if version == WITHOUT_CHECKSUM else ("step", "num_update", "sha256")
    for name, fits in _FIELDS.items():
        if name in state and not fits(state[name]):
            return f"is damaged: {name} in state.json is {printable(state[name])[:80]}"
        if name in needed and name not in state:
            return f"is damaged: state.json has no {name}"
    named = NAME.match(os.path.basename(os.path.realpath(path)))
    if named and int(named.group(1)) != state["step"]:
        return f"is damaged: state.json in it is of step {state['step']}"
    for name, digest in state["sha256"].items():
        size = state["log_bytes"] if name == "log.jsonl" else None
        if _digest(os.path.join(path, name), size) != digest:
            return f"is damaged: {name} has another SHA-256 than was written"
    return None


def _digest(path, size=None):
    """The SHA-256 of a file, or of its first ``size`` bytes."""
    if size is None:
        return sha256(path)
    with open(path, "rb", opener=plain_file) as file:
        return hashlib.sha256(file.read(size)).hexdigest()


def _is_count(value):
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _is_positive(value):
    return _is_count(value) and value > 0


def _is_amount(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf


def _is_all_sums(value):
    """The sums of each worker, as :meth:`.sums.Sums.to_json` writes them."""
    return isinstance(value, list) and bool(value) and all(map(_is_sums, value))


def _is_sums(value):
    # A sum for one class has the class's number after its name.
    kinds = {name: name.partition(" ")[0] for name in value}
    for task in TASKS.values():
        if set(kinds.values()) == {*task.sums, "images"}:
            counts = [value[name] for name, kind in kinds.items() if kind in task.counts]
            return (
                all(isinstance(number, (int, float)) for number in value.values())
                and all(_is_amount(count) and count == int(count) for count in counts)
                and _is_count(value["images"])
            )
    return False


def _is_figures(value):
    """The figures of a validation; None before the first one."""
    return value is None or (
        any(all(figure.name in value for figure in task.figures) for task in TASKS.values())
        and all(isinstance(number, (int, float)) for number in value.values())
        and _is_count(value["images"])
    )


def _is_best(value):
    return _is_figures(value) and (
        value is None or (_is_count(value["step"]) and _is_count(value["epoch"]))
    )


def _is_loss_scale(value):
    counts = {"good_steps", "skipped", "skipped_in_a_row"}
    return (
        value.keys() == counts | {"scale"}
        and all(_is_count(value[name]) for name in counts)
        and _is_amount(value["scale"])
    )


def _is_digests(value):
    return "net.params" in value and set(value) <= set(FILES)


# What each field of state.json has to hold: the only check of files without a checksum.
_FIELDS = dict(
    step=_is_count,
    num_update=_is_count,
    sha256=_is_digests,
    epoch=_is_count,
    steps_per_epoch=_is_positive,
    global_batch=_is_positive,
    log_bytes=_is_count,
    intervals=_is_all_sums,
    epochs_so_far=_is_all_sums,
    best=_is_best,
    validated=_is_figures,
    loss_scale=_is_loss_scale,
    bad_records=_is_count,
    seconds=_is_amount,
    training_seconds=_is_amount,
)
