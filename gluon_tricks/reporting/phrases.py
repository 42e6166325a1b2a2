"""A run's flags in the paper's words."""

import os
import re

from .. import fidelity, paper
from ..config import FLAGS, spelling, without_effect
from ..tricks.table import TRICKS, Training
from .groups import starred
from .reading import flags_of

# Flags that `phrases` puts into words; any other flag that is not at its default is listed with its
# value.
_WORDED = {"model", "input_size", "classes", "synthetic", "seed", "fidelity", "batch_size"}
_WORDED |= {"accumulate", "num_epochs"} | {name for trick in TRICKS for name in trick.flags}
SIZES = {"detection": "a shorter side of {0} pixels"}
_NETWORKS = {name: words for words, name in paper.MODELS.items()}


def network(model):
    """``resnet18_v1d`` -> ``ResNet-18-D``; names that are not the paper's stay."""
    for prefix, words in (("fcn_", "FCN on "), ("faster_rcnn_", "Faster-RCNN on ")):
        if model.startswith(prefix):
            return words + network(model[len(prefix) :])
    ours = re.fullmatch(r"resnet(\d+)_v1([bcd]?)", model)
    if ours:
        return "ResNet-" + ours.group(1) + ("-" + ours.group(2).upper() if ours.group(2) else "")
    return _NETWORKS.get(model, model)


def phrases(*seeds):
    """The description of a run, or of several that differ only in their seeds: phrases in the
    paper's words and order (sections 2.1, 3, 4, 5).
    """
    run, configs = seeds[0], [each.config for each in seeds]
    config = run.config
    about = Training(config, run.peak, run.global_batch, teacher=_teacher(configs))
    return [
        network(config.model),
        SIZES.get(config.task, "{0} x {0} pixels").format(config.input_size),
        f"BS = {run.layout.get('global_batch')}",
        *(trick.phrase(about) for trick in TRICKS if trick.applies(config)),
        f"{config.num_epochs} epoch{'' if config.num_epochs == 1 else 's'}",
        *(f"{spelling(name)} {_text(configs, name)}" for name in _changed(config, _WORDED)),
    ]


def _teacher(configs):
    """(the teacher's network in words, its folder or file), or only the network if no more is
    known; () without a teacher.
    """
    config = configs[0]
    if not config.teacher:
        return ()
    name = os.path.basename(_text(configs, "teacher").rstrip("/"))
    model = config.teacher_model or flags_of(config.teacher).get("model")
    return (network(model), name) if isinstance(model, str) else (network(name),)


def _changed(config, known_otherwise):
    """The flags that change a run's result, have an effect in it, and are not at their default."""
    passed_over = set(known_otherwise) | set(without_effect(config))
    usual = _usual(config.task)
    return [
        name
        for name, known in FLAGS.items()
        if name not in passed_over
        and not known.metadata["free"]
        and not _same(getattr(config, name), usual.get(name, known.default))
    ]


def _usual(task):
    """The defaults of flags that the task changes."""
    return dict(fidelity.TASKS[task], task=task) if task in fidelity.TASKS else {}


def _text(configs, name):
    """The flag's value; if seeds have different ones, their common beginning and a star."""
    values = [getattr(config, name) for config in configs]
    if isinstance(values[0], tuple):
        return ", ".join(f"{part:g}" for part in values[0])
    return starred(values) if isinstance(values[0], str) else str(values[0])


def _same(one, other):
    numbers = all(isinstance(value, (int, float)) for value in (one, other))
    return abs(one - other) < 1e-9 if numbers else one == other


def common(groups):
    """The phrases that all the groups' runs share."""
    said = [phrases(*group.runs) for group in groups]
    return [phrase for phrase in said[0] if all(phrase in other for other in said[1:])]


def label(group, shared):
    """The phrases that distinguish a group from the others, or its name if there are none."""
    own = [phrase for phrase in phrases(*group.runs) if phrase not in shared]
    return ", ".join(own) or group.name
