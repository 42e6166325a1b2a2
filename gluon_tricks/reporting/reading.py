"""Reads the folders of runs: finished, unfinished, killed in the middle of a line, damaged."""

import json
import math
import os

from ..config import FLAGS, Config, ConfigError, from_dict
from ..errors import UserError
from ..files import is_as_sealed, plain_file, read_sealed_json
from ..tasks import registry
from ..tasks.figure import in_training
from ..text import counted, printable
from ..training import config_file
from ..training.checkpoint_state import checkpoint_of_other_log
from .runs import ReportedRun

# Numbers in the log's lines, besides the task's figures. One larger than MOST is damaged and could
# not be drawn.
NUMBERS = ("step", "epoch", "passes", "learning_rate", "images", "images_per_second")
MOST = 1e15


def find(paths, say=print):
    """The runs in ``paths``, each a run's folder or a folder of such folders, in that order and
    without duplicates.

    The runs in a folder are in the order of their starts. A run with a damaged ``config.json`` is
    reported through ``say`` and left out. Raises :class:`UserError` for a path without runs, and if
    no run is left.
    """
    folders = []
    for path in paths:
        found = [path] if _is_run(path) else _runs_in(path)
        if not found:
            what = (
                "there is no run here; a run's folder has the config.json of 'gluon-tricks train'"
            )
            raise UserError(f"{path}: {what}")
        folders += [os.path.realpath(folder) for folder in found]
    folders = list(dict.fromkeys(folders))
    parent = os.path.commonpath([os.path.dirname(folder) for folder in folders])
    runs, damaged = [], []
    for folder in folders:
        try:
            runs.append(read(folder, os.path.relpath(folder, parent)))
        except UserError as error:
            damaged.append(error)
    if not runs:
        raise damaged[0]
    for error in damaged:
        say(f"{error}; this run is left out")
    return runs


def _is_run(folder):
    return os.path.exists(os.path.join(folder, config_file.CONFIG))


def _runs_in(path):
    if not os.path.isdir(path):
        return []
    found = [os.path.join(path, name) for name in sorted(os.listdir(path))]
    return sorted(
        filter(_is_run, found),
        key=lambda folder: str(read_json(folder, "environment.json").get("started", "")),
    )


def read(path, name=None):
    """The :class:`ReportedRun` in a folder. Raises :class:`UserError` if its ``config.json`` cannot
    be read.

    Parts of the other files that cannot be read are left out, and named in ``damage``.
    """
    run = ReportedRun(
        path,
        printable(name or os.path.basename(path)),
        *config_of(path),
        read_json(path, "environment.json"),
        read_json(path, "result.json"),
    )
    run.damage += [
        f"{name} cannot be read or is damaged"
        for name, found in (("environment.json", run.environment), ("result.json", run.result))
        if not found and os.path.lexists(os.path.join(path, name))
    ]
    run.result = {name: value for name, value in run.result.items() if _is_number(value)}
    needed = _needed(run.task)
    other = checkpoint_of_other_log(path)
    if other:
        run.damage.append(f"log.jsonl is not what it was at {os.path.basename(other)}")
    for line in _lines(run, "log.jsonl", needed):
        if line["event"] in needed:
            line = dict(line, passes=_passes(line, run.layout))
            run.log.setdefault(line["event"], []).append(line)
    # A resumed run repeats some steps, and timing.jsonl has both times; the later one counts.
    speeds = {
        _passes(line, run.layout): line["images_per_second"]
        for line in _lines(run, "timing.jsonl", {"train": ("step", "images_per_second")})
        if line["event"] == "train"
    }
    run.speeds = sorted(speeds.items())
    timeless = sum(line["passes"] not in speeds for line in run.training)
    if timeless:
        run.damage.append(
            f"timing.jsonl has no times of {timeless} of {len(run.training)} lines of log.jsonl"
        )
    return run


def flags_of(path):
    """The flags in a run's ``config.json``, unchecked; empty if it cannot be read."""
    try:
        flags = config_file.read(path).get("flags")
    except (OSError, ValueError, RecursionError):
        return {}
    return flags if isinstance(flags, dict) else {}


def config_of(path):
    """(:class:`Config`, its flags as written, layout, data) of a run's ``config.json``."""
    where = f"{printable(path)}/{config_file.CONFIG}"
    try:
        found = config_file.read(path)
    except (OSError, ValueError, RecursionError):
        found = {}
    flags, layout, data = found.get("flags"), found.get("layout"), found.get("data") or {}
    if not isinstance(flags, dict):
        raise UserError(f"{where} is damaged, or not of a run")
    # A run of another version may have other flags, or lack some; it then behaved as with their
    # defaults.
    try:
        config = from_dict({name: value for name, value in flags.items() if name in FLAGS})
        registry.of(flags)
    except (ConfigError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{where} is damaged: {error}") from None
    if not _is_layout(layout):
        raise UserError(f"{where} is damaged, or not of a run: layout")
    if not _is_data(data):
        raise UserError(f"{where} is damaged, or not of a run: data")
    return config, dict(vars(Config()), **flags), layout, data


def _is_layout(layout):
    return isinstance(layout, dict) and all(
        _is_number(layout.get(name, 0)) for name in ("global_batch", "steps_per_epoch")
    )


def _is_data(data):
    return isinstance(data, dict) and all(
        part is None
        or isinstance(part, dict)
        and _is_number(part.get("records", 0))
        and isinstance(part.get("index_sha256", ""), str)
        for part in data.values()
    )


def _needed(task):
    """The names that a line of the log needs, by its event, to be drawn and counted."""
    trained = ("step", *(figure.name for figure in in_training(task)))
    validated = ("step", "images", *(figure.name for figure in task.figures))
    return {"train": trained, "epoch": trained, "validation": validated}


def _passes(line, layout):
    """The position of a log's line in epochs, for the plots' axes; a whole number at the end of an
    epoch.
    """
    if line.get("event") in ("epoch", "validation") and isinstance(line.get("epoch"), int):
        return line["epoch"] + 1
    passes = line.get("passes")  # older versions did not write it
    if isinstance(passes, (int, float)):
        return passes
    return line["step"] / max(1, layout.get("steps_per_epoch", 1))


def read_json(path, name):
    """The dict in a JSON file; empty if it is missing or damaged."""
    try:
        return read_sealed_json(os.path.join(path, name))
    except (OSError, ValueError, RecursionError):
        return {}


def _lines(run, name, needed):
    """The valid lines of a run's JSON lines file; ``needed`` has the names of the numbers that a
    line needs, by its event.

    The others are counted in the run's ``damage``, except for an incomplete last line, as a killed
    run leaves it.
    """
    try:
        path = os.path.join(run.path, name)
        with open(path, encoding="utf-8", errors="replace", opener=plain_file) as file:
            lines = file.readlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        run.damage.append(f"{name} cannot be read: {error.strerror}")
        return []
    numbers = NUMBERS + tuple(figure.name for figure in run.task.figures)
    found = [_line(line, needed, numbers) for line in lines]
    lost = sum(one is None and line.endswith("\n") for one, line in zip(found, lines))
    if lost:
        run.damage.append(f"{name}: {counted(lost, 'damaged line')} left out")
    return [one for one in found if one is not None]


def _line(text, needed, numbers):
    """The object in a line, or None if it is damaged."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict) or not is_as_sealed(line):
        return None
    if not isinstance(line.get("event"), str):
        return None
    sound = all(_is_number(line.get(name, 0), infinite=name == "loss") for name in numbers)
    return line if sound and all(name in line for name in needed.get(line["event"], ())) else None


def _is_number(value, infinite=False):
    """Whether a value from JSON is a number that can be counted and drawn; a loss may also be
    infinite or NaN.
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    return abs(value) < MOST or (infinite and isinstance(value, float) and not math.isfinite(value))
