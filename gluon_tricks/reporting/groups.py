"""Runs that differ in their seeds alone, which a report counts as one.

What a run starts from may be another run: the classifier whose layers become its backbone, its
teacher. Then that one may have another seed, too, and counts by how it was trained, not by where
its folder is.
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
    """Runs that differ in nothing but their seeds."""

    runs: List[ReportedRun]

    @property
    def task(self):
        """The runs' task."""
        return self.runs[0].task

    @property
    def counted(self):
        """The runs whose figures are averaged: the finished ones, or all while none is."""
        measured = [run for run in self.runs if run.last]
        return [run for run in measured if run.finished] or measured

    def values(self, name):
        """A figure of the last validation of each run that counts."""
        return [run.last[name] for run in self.counted]

    def mean(self, name):
        """Their mean, or None."""
        values = self.values(name)
        return statistics.mean(values) if values else None

    def spread(self, name):
        """Their standard deviation over seeds (n - 1), or None with fewer than two."""
        values = self.values(name)
        return statistics.stdev(values) if len(values) > 1 else None

    @property
    def name(self):
        """The run's name, or what its seeds' names begin with and a star."""
        return starred([run.name for run in self.runs])


def starred(names):
    """The one name, or what several begin with and a star."""
    return names[0] if len(set(names)) == 1 else os.path.commonprefix(names) + "*"


def groups_of(runs):
    """Runs on the same data -> list of :class:`Group`, in the order of their first runs."""
    groups = {}
    for run in runs:
        key = json.dumps(settings(run.config, run.layout), sort_keys=True)
        groups.setdefault(key, Group([])).runs.append(run)
    return list(groups.values())


def settings(config, layout, seen=()):
    """What tells a run from others, but for seeds; JSON-able. ``seen``: folders of the runs that
    start from it.
    """
    flags = {
        name: getattr(config, name)
        for name, known in FLAGS.items()
        if not known.metadata["free"] and name != "seed"
    }
    origins = {name: _origin(flags[name], seen) for name in OF_OTHER_RUNS}
    return [dict(flags, **origins), layout.get("global_batch")]


def _origin(path, seen):
    """What tells the run that a path names, or lies in, from others, and the path in its folder;
    just the path if there is no such run that can be read.
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
    """The folder of the run that a path is, or lies in (RUN/checkpoints/step-N/net.params)."""
    folder = os.path.abspath(path)
    for _ in range(4):
        if os.path.isfile(os.path.join(folder, CONFIG)):
            return folder
        folder = os.path.dirname(folder)
    return None
