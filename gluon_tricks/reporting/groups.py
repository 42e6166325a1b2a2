"""Runs that differ only in their seeds, which a report counts as one.

A run may start from another run: the classifier that becomes its backbone, or its teacher. That run
may have another seed, too, and is compared by its settings, not by its folder.
"""

import json
import os
import statistics
from dataclasses import dataclass
from typing import List

from ..config import FLAGS
from ..errors import UserError
from ..training.config_file import CONFIG
from .reading import config_of
from .runs import ReportedRun

OF_OTHER_RUNS = ("use_params", "backbone_params", "teacher")  # flags that may name one


@dataclass
class Group:
    """Runs that differ only in their seeds."""

    runs: List[ReportedRun]

    @property
    def task(self):
        """The runs' task."""
        return self.runs[0].task

    @property
    def counted(self):
        """The runs whose figures are averaged: the finished ones, or all if none is finished."""
        measured = [run for run in self.runs if run.last]
        return [run for run in measured if run.finished] or measured

    def values(self, name):
        """A figure of the last validation of each counted run."""
        return [run.last[name] for run in self.counted]

    def mean(self, name):
        """The mean of a figure, or None."""
        values = self.values(name)
        return statistics.mean(values) if values else None

    def spread(self, name):
        """The standard deviation of a figure over seeds (n - 1), or None with fewer than two."""
        values = self.values(name)
        return statistics.stdev(values) if len(values) > 1 else None

    @property
    def name(self):
        """The run's name, or the common beginning of its seeds' names and a star."""
        return starred([run.name for run in self.runs])


def starred(names):
    """The only name, or the common beginning of several and a star."""
    return names[0] if len(set(names)) == 1 else os.path.commonprefix(names) + "*"


def groups_of(runs):
    """Runs on the same data -> list of :class:`Group`, in the order of their first runs."""
    groups = {}
    for run in runs:
        key = json.dumps(settings(run.config, run.layout), sort_keys=True)
        groups.setdefault(key, Group([])).runs.append(run)
    return list(groups.values())


def settings(config, layout, seen=()):
    """The settings that distinguish a run from others, without seeds, as JSON values. ``seen``:
    folders of the runs that start from it.
    """
    flags = {
        name: getattr(config, name)
        for name, known in FLAGS.items()
        if not known.metadata["free"] and name != "seed"
    }
    origins = {name: _origin(flags[name], seen) for name in OF_OTHER_RUNS}
    return [dict(flags, **origins), layout.get("global_batch")]


def _origin(path, seen):
    """The settings of the run that contains a path, and the path within its folder; only the path
    if there is no such run, or it cannot be read.
    """
    folder = _run_around(path) if path else None
    if folder is None or folder in seen:
        return path
    try:
        config, _, layout, data = config_of(folder)
    except UserError:
        return path
    images = {name: part and part.get("index_sha256") for name, part in data.items()}
    return [settings(config, layout, (*seen, folder)), images, os.path.relpath(path, folder)]


def _run_around(path):
    """The folder of the run that contains a path (RUN, or RUN/checkpoints/step-N/net.params)."""
    folder = os.path.abspath(path)
    for _ in range(4):
        if os.path.isfile(os.path.join(folder, CONFIG)):
            return folder
        folder = os.path.dirname(folder)
    return None
