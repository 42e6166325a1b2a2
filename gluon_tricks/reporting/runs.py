"""Reads what runs left in their folders: finished, unfinished, killed in the middle of a line."""

import json
import os
import statistics
from dataclasses import dataclass, field

from .. import paper
from ..config import FLAGS
from ..errors import UserError

# What `report` compares: the last validation, as the networks would be used, not the luckiest one.
SCORES = ("top1", "top5", "loss")


@dataclass
class Run:
    """A run's folder, read. Missing files leave their part empty; only ``config.json`` has to be there."""

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
    speeds: list = field(default_factory=list)  # (passes over the training set so far, images a second)

    @property
    def finished(self):
        """Whether the run came to its end."""
        return bool(self.result)

    @property
    def passes(self):
        """How many times it has been through the training set, as far as the log knows."""
        return max([record["passes"] for record in self.training + self.epochs + self.validations] or [0])

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


def find(paths):
    """The runs in ``paths``, each a run's folder or a folder of such folders, in that order, none twice.

    The runs in a folder come in the order in which they were started. Raises :class:`UserError` for a path
    without runs.
    """
    folders = []
    for path in paths:
        found = [path] if os.path.exists(os.path.join(path, "config.json")) else _runs_in(path)
        if not found:
            what = "no run here; a run's folder holds the config.json that 'gluon-tricks train' writes"
            raise UserError("{}: {}".format(path, what))
        folders += [os.path.realpath(folder) for folder in found]
    folders = list(dict.fromkeys(folders))
    parent = os.path.commonpath([os.path.dirname(folder) for folder in folders])
    return [read(folder, os.path.relpath(folder, parent)) for folder in folders]


def _runs_in(path):
    if not os.path.isdir(path):
        return []
    inside = [os.path.join(path, name) for name in sorted(os.listdir(path))]
    found = [folder for folder in inside if os.path.exists(os.path.join(folder, "config.json"))]
    return sorted(found, key=lambda folder: read_json(folder, "environment.json").get("started", ""))


def read(path, name=None):
    """The :class:`Run` in a folder. Raises :class:`UserError` where its ``config.json`` cannot be read."""
    config = read_json(path, "config.json")
    flags = config.get("flags")
    if not isinstance(flags, dict) or not isinstance(config.get("layout"), dict):
        raise UserError("{}/config.json is damaged, or not of a run".format(path))
    # A run of another version may lack a flag: it then had the default's behaviour.
    flags = dict({name: known.default for name, known in FLAGS.items()}, **flags)
    run = Run(path, name or os.path.basename(path), flags, config["layout"], config.get("data") or {},
              read_json(path, "environment.json"), read_json(path, "result.json"))  # fmt: skip
    for record in _lines(path, "log.jsonl", ("step", "loss", "top1")):
        kind = {"train": run.training, "epoch": run.epochs, "validation": run.validations}.get(
            record.get("event")
        )
        if kind is not None:
            kind.append(dict(record, passes=_passes(record, run.layout)))
    # A resumed run passes some steps again, and the clock's log keeps both times: the later counts.
    speeds = {
        _passes(record, run.layout): record["images_per_second"]
        for record in _lines(path, "timing.jsonl", ("step", "images_per_second"))
    }
    run.speeds = sorted(speeds.items())
    return run


def _passes(record, layout):
    """The place of a log's line in epochs, for the plots' axes; whole ones where it stands at the end of one."""
    if record.get("event") in ("epoch", "validation") and isinstance(record.get("epoch"), int):
        return record["epoch"] + 1
    passes = record.get("passes")  # which older versions did not write
    return passes if isinstance(passes, (int, float)) else record["step"] / max(1, layout.get("steps_per_epoch", 1))


def read_json(path, name):
    """The dict in a JSON file; empty where it is missing or damaged."""
    try:
        with open(os.path.join(path, name)) as file:
            value = json.load(file)
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _lines(path, name, needed):
    """The dicts in a JSON lines file that have all the ``needed`` keys; half lines are left out."""
    try:
        with open(os.path.join(path, name), errors="replace") as file:
            lines = file.readlines()
    except OSError:
        return []
    records = []
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and all(isinstance(record.get(key), (int, float)) for key in needed):
            records.append(record)
    return records
