"""Reads what runs left in their folders: finished, unfinished, killed in the middle of a line,
damaged.
"""

import json
import math
import os
import statistics
from dataclasses import dataclass, field

from .. import paper
from ..config import FLAGS, ConfigError, from_dict
from ..errors import UserError
from ..files import sha256_of
from ..text import printable

# What `report` compares: the last validation, as the networks would be used, not the luckiest one.
SCORES = ("top1", "top5", "loss")
# What a line has to hold, by its file and event, to be drawn.
NEEDED = {
    "train": ("step", "loss", "top1"),
    "epoch": ("step", "loss", "top1"),
    "validation": ("step", "loss", "top1", "top5", "images"),
}
# Where they stand, these are numbers, and what is more than MOST is damage that could not be drawn.
NUMBERS = (
    "step",
    "epoch",
    "passes",
    "learning_rate",
    "top1",
    "top5",
    "images",
    "images_per_second",
)
MOST = 1e15


@dataclass
class Run:
    """A run's folder, read. Missing files leave their part empty; only ``config.json`` has to be
    there.
    """

    path: str
    name: str
    flags: dict
    layout: dict
    data: dict
    environment: dict
    result: dict
    training: list = field(default_factory=list)  # the log's lines on some steps
    epochs: list = field(default_factory=list)  # on whole epochs of the training set
    validations: list = field(default_factory=list)
    # (passes over the training set so far, images a second)
    speeds: list = field(default_factory=list)
    damage: list = field(default_factory=list)  # what could not be read, in words

    @property
    def finished(self):
        """Whether the run came to its end."""
        return bool(self.result)

    @property
    def passes(self):
        """How many times it has been through the training set, as far as the log knows."""
        return max(
            [record["passes"] for record in self.training + self.epochs + self.validations] or [0]
        )

    @property
    def last(self):
        """The last validation: top1 and top5 in percent, loss, images, epoch; or an empty dict."""
        return self.validations[-1] if self.validations else {}

    @property
    def best(self):
        """The validation with the best top-1, or an empty dict."""
        return max(self.validations, key=lambda record: record["top1"]) if self.validations else {}

    @property
    def images_per_second(self):
        """The median over the log's intervals, or None."""
        return statistics.median(speed for _, speed in self.speeds) if self.speeds else None

    @property
    def status(self):
        """``finished``, or how far it came."""
        if self.finished:
            return "finished"
        return "unfinished: {:.4g} of {} epochs".format(self.passes, self.flags["num_epochs"])

    @property
    def data_key(self):
        """Equal for runs on the same images."""
        prints = [self.data.get(name) or {} for name in ("train", "validation")]
        return tuple(part.get("index_sha256") for part in prints) + (
            self.flags["synthetic"],
            self.flags["classes"],
        )

    @property
    def data_counts(self):
        """(training images, validation images) in the files; None where there is no file."""
        return tuple((self.data.get(name) or {}).get("records") for name in ("train", "validation"))

    @property
    def on_imagenet(self):
        """Whether the files hold as many images as ImageNet-1k's."""
        return self.data_counts == (paper.TRAINING_IMAGES, paper.VALIDATION_IMAGES)


@dataclass
class Group:
    """Runs that differ in nothing but their seed."""

    runs: list

    @property
    def counted(self):
        """The runs whose figures are averaged: the finished ones, or all while none is."""
        return [run for run in self.runs if run.finished and run.last] or [
            run for run in self.runs if run.last
        ]

    def values(self, score):
        """The last validation's ``top1``, ``top5`` or ``loss`` of each run that counts."""
        return [run.last[score] for run in self.counted]

    def mean(self, score):
        """Their mean, or None."""
        values = self.values(score)
        return statistics.mean(values) if values else None

    def spread(self, score):
        """Their standard deviation over seeds (n - 1), or None with fewer than two."""
        values = self.values(score)
        return statistics.stdev(values) if len(values) > 1 else None

    @property
    def name(self):
        """The run's name, or what its seeds' names begin with and a star."""
        names = [run.name for run in self.runs]
        return names[0] if len(names) == 1 else os.path.commonprefix(names) + "*"


def groups_of(runs):
    """Runs on the same data -> list of :class:`Group`, in the order of their first runs."""
    groups = {}
    for run in runs:
        flags = {
            name: run.flags[name]
            for name, known in FLAGS.items()
            if not known.metadata["free"] and name != "seed"
        }
        key = json.dumps([flags, run.layout.get("global_batch")], sort_keys=True)
        groups.setdefault(key, Group([])).runs.append(run)
    return list(groups.values())


def find(paths, say=print):
    """The runs in ``paths``, each a run's folder or a folder of such folders, in that order, none
    twice.

    The runs in a folder come in the order in which they were started. One whose ``config.json`` is
    damaged is named through ``say`` and left out. Raises :class:`UserError` for a path without
    runs, and if no run is left.
    """
    folders = []
    for path in paths:
        found = [path] if os.path.exists(os.path.join(path, "config.json")) else _runs_in(path)
        if not found:
            what = (
                "no run here; a run's folder holds the config.json that 'gluon-tricks train' writes"
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


def _runs_in(path):
    if not os.path.isdir(path):
        return []
    inside = [os.path.join(path, name) for name in sorted(os.listdir(path))]
    found = [folder for folder in inside if os.path.exists(os.path.join(folder, "config.json"))]
    return sorted(
        found, key=lambda folder: str(read_json(folder, "environment.json").get("started", ""))
    )


def read(path, name=None):
    """The :class:`Run` in a folder. Raises :class:`UserError` where its ``config.json`` cannot be
    read.

    What cannot be read in the other files is left out, and named in ``damage``.
    """
    config = read_json(path, "config.json")
    run = Run(
        path,
        printable(name or os.path.basename(path)),
        _flags(path, config),
        _layout(path, config),
        _data(path, config),
        read_json(path, "environment.json"),
        read_json(path, "result.json"),
    )
    run.damage += [
        f"{name} cannot be read"
        for name, found in (("environment.json", run.environment), ("result.json", run.result))
        if not found and os.path.lexists(os.path.join(path, name))
    ]
    run.result = {name: value for name, value in run.result.items() if _is_number(value)}
    kinds = {"train": run.training, "epoch": run.epochs, "validation": run.validations}
    for record in _lines(run, "log.jsonl", lambda record: NEEDED.get(record["event"], ())):
        if record["event"] in kinds:
            kinds[record["event"]].append(dict(record, passes=_passes(record, run.layout)))
    # A resumed run passes some steps again, and the clock's log keeps both times: the later counts.
    speeds = {
        _passes(record, run.layout): record["images_per_second"]
        for record in _lines(
            run,
            "timing.jsonl",
            lambda record: ("step", "images_per_second") * (record["event"] == "train"),
        )
        if record["event"] == "train"
    }
    run.speeds = sorted(speeds.items())
    return run


def _flags(path, config):
    flags = config.get("flags")
    changed = "sha256" in config and config["sha256"] != sha256_of(
        {k: v for k, v in config.items() if k != "sha256"}
    )
    if changed or not isinstance(flags, dict):
        raise UserError(f"{printable(path)}/config.json is damaged, or not of a run")
    # A run of another version may have other flags, or lack one: it then had the default's
    # behaviour.
    try:
        from_dict({name: value for name, value in flags.items() if name in FLAGS})
    except (ConfigError, TypeError, ValueError) as error:
        raise UserError(f"{printable(path)}/config.json is damaged: {error}") from None
    return dict({name: known.default for name, known in FLAGS.items()}, **flags)


def _layout(path, config):
    layout = config.get("layout")
    if not isinstance(layout, dict) or not all(
        _is_number(layout.get(name, 0)) for name in ("global_batch", "steps_per_epoch")
    ):
        raise UserError(f"{printable(path)}/config.json is damaged, or not of a run: layout")
    return layout


def _data(path, config):
    data = config.get("data") or {}
    prints = data.values() if isinstance(data, dict) else [data]
    sound = all(
        part is None or isinstance(part, dict) and _is_number(part.get("records", 0))
        for part in prints
    )
    if not sound or not all(
        isinstance((part or {}).get("index_sha256", ""), str) for part in prints
    ):
        raise UserError(f"{printable(path)}/config.json is damaged, or not of a run: data")
    return data


def _passes(record, layout):
    """The place of a log's line in epochs, for the plots' axes; whole ones where it stands at the
    end of one.
    """
    if record.get("event") in ("epoch", "validation") and isinstance(record.get("epoch"), int):
        return record["epoch"] + 1
    passes = record.get("passes")  # which older versions did not write
    return (
        passes
        if isinstance(passes, (int, float))
        else record["step"] / max(1, layout.get("steps_per_epoch", 1))
    )


def read_json(path, name):
    """The dict in a JSON file; empty where it is missing or damaged."""
    try:
        with open(os.path.join(path, name), encoding="utf-8") as file:
            value = json.load(file)
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _lines(run, name, needed):
    """The sound lines of a JSON lines file of a run; ``needed(record)`` are the names of the
    numbers that one has to have.

    The others are counted among the run's ``damage``, but for half a last line, as a run that was
    killed leaves it.
    """
    try:
        with open(os.path.join(run.path, name), encoding="utf-8", errors="replace") as file:
            lines = file.readlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        run.damage.append(f"{name} cannot be read: {error.strerror}")
        return []
    records = [_record(line, needed) for line in lines]
    lost = sum(record is None and line.endswith("\n") for record, line in zip(records, lines))
    if lost:
        run.damage.append(f"{name}: {lost} damaged line{'s' * (lost > 1)} left out")
    return [record for record in records if record is not None]


def _record(line, needed):
    """The object in a line, or None if it is damaged."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or not isinstance(record.get("event"), str):
        return None
    sound = all(_is_number(record.get(name, 0)) for name in NUMBERS) and _is_number(
        record.get("loss", 0), infinite=True
    )
    return record if sound and all(name in record for name in needed(record)) else None


def _is_number(value, infinite=False):
    """Whether a value from JSON is a number that can be counted and drawn; a loss may be infinite
    or NaN too.
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    return abs(value) < MOST or (infinite and isinstance(value, float) and not math.isfinite(value))
