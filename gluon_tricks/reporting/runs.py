"""A run in a report."""

import statistics
from dataclasses import dataclass, field
from typing import List

from .. import paper, transfer
from ..config import Config
from ..tasks import registry
from ..tricks.nearest_row import ON_IMAGENET, nearest
from ..tricks.schedule import linear_scaling


@dataclass
class ReportedRun:
    """A run's folder, read by :mod:`.reading`. The parts of missing files are empty."""

    path: str
    name: str
    config: Config
    flags: dict  # as in config.json, also those of another version
    layout: dict  # of the batch and the epochs, as in config.json
    data: dict  # fingerprints of the record files by split
    environment: dict
    result: dict
    log: dict = field(default_factory=dict)  # event -> the log's lines, each with its "passes"
    # (passes over the training set so far, images a second)
    speeds: list = field(default_factory=list)
    damage: List[str] = field(default_factory=list)  # descriptions of what could not be read

    @property
    def task(self):
        """The class of the run's task, which names its figures."""
        return registry.of(self.flags)

    @property
    def training(self):
        """The log's lines about steps."""
        return self.log.get("train", [])

    @property
    def epochs(self):
        """The log's lines about whole epochs of the training set."""
        return self.log.get("epoch", [])

    @property
    def validations(self):
        """The log's lines about passes over the validation set."""
        return self.log.get("validation", [])

    @property
    def finished(self):
        """Whether the run has ended."""
        return bool(self.result)

    @property
    def passes(self):
        """The number of passes over the training set, according to the log."""
        return max([line["passes"] for lines in self.log.values() for line in lines] or [0])

    @property
    def last(self):
        """The last validation: the task's figures, images, epoch; or an empty dict."""
        return self.validations[-1] if self.validations else {}

    @property
    def best(self):
        """The validation with the best of the task's best figure, or an empty dict."""
        best = figure_of(self.task, self.task.best)
        sign = 1 if best.higher_is_better else -1
        return max(self.validations, key=lambda line: sign * line[best.name], default={})

    @property
    def global_batch(self):
        """Images per step."""
        return self.layout.get("global_batch", 0)

    @property
    def peak(self):
        """The learning rate after the warmup."""
        if self.config.linear_scaling:
            return linear_scaling(self.global_batch, self.config.base_lr)
        return self.config.lr

    @property
    def images_per_second(self):
        """The median over the log's intervals, or None."""
        return statistics.median(speed for _, speed in self.speeds) if self.speeds else None

    @property
    def status(self):
        """``finished``, or how far the run has got."""
        if self.finished:
            return "finished"
        return f"unfinished: {self.passes:.4g} of {self.config.num_epochs} epochs"

    @property
    def data_key(self):
        """Equal for runs of one task on the same images."""
        prints = [self.data.get(name) or {} for name in ("train", "validation")]
        indices = tuple(part.get("index_sha256") for part in prints)
        return self.task, *indices, self.config.synthetic, self.config.classes

    @property
    def data_counts(self):
        """(training images, validation images) in the files; None if there is no file."""
        return tuple((self.data.get(name) or {}).get("records") for name in ("train", "validation"))

    @property
    def on_imagenet(self):
        """Whether the files hold as many images as ImageNet-1k's."""
        return self.data_counts == (paper.TRAINING_IMAGES, paper.VALIDATION_IMAGES)

    @property
    def on_ade20k(self):
        """Whether the files hold masks, and as many images as ADE20K's."""
        masks = self.config.task == "segmentation"
        return masks and self.data_counts == transfer.ADE20K_IMAGES

    @property
    def on_voc(self):
        """Whether the files hold boxes, and as many images as VOC 2007's and 2012's."""
        return self.config.task == "detection" and self.data_counts == transfer.VOC_IMAGES

    @property
    def nearest_rows(self):
        """The published rows that the run equals or is nearest to, and the differences, from
        :func:`gluon_tricks.tricks.nearest_row.nearest`; none if it is not on ImageNet.
        """
        if not self.on_imagenet:
            return [], {}
        return nearest(self.config, self.global_batch, self.peak, ON_IMAGENET)


def by_data(runs):
    """Runs grouped by their images, in the order of the first ones: a list of lists."""
    sets = {}
    for run in runs:
        sets.setdefault(run.data_key, []).append(run)
    return list(sets.values())


def figure_of(task, name):
    """The task's figure of that name."""
    return next(figure for figure in task.figures if figure.name == name)
