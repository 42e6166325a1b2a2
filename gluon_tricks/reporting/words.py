"""A run's flags in the paper's words, and the paper's row that they stand for."""

import re

from .. import paper
from ..config import FLAGS, spelling
from ..tricks.schedule import linear_scaling

# Flags that `phrases` puts into words; any other one that is not at its default is spelled with its value.
_WORDED = {
    "model", "dtype", "num_epochs", "batch_size", "accumulate", "lr", "linear_scaling", "base_lr", "warmup_epochs", "warmup_lr",
    "lr_mode", "lr_decay", "lr_decay_epoch", "lr_decay_period", "last_gamma", "no_wd", "label_smoothing", "smoothing_form",
    "mixup", "mixup_alpha", "mixup_off_epoch", "mixup_partner", "teacher", "teacher_model", "temperature", "hard_weight",
    "input_size", "fidelity", "seed", "classes", "synthetic",
}  # fmt: skip
# Flags that say no more than what a row's settings say in another way.
_DERIVED = {
    "batch_size", "accumulate", "lr", "linear_scaling", "base_lr", "lr_decay_period", "mixup", "teacher", "teacher_model", "fidelity",
    "seed", "temperature", "hard_weight",
}  # fmt: skip
_NETWORKS = {name: words for words, name in paper.MODELS.items()}


def network(model):
    """``resnet18_v1d`` -> ``ResNet-18-D``; names that the paper does not have stay."""
    ours = re.fullmatch(r"resnet(\d+)_v1([bcd]?)", model)
    if ours:
        return "ResNet-" + ours.group(1) + ("-" + ours.group(2).upper() if ours.group(2) else "")
    return _NETWORKS.get(model, model)


def peak(run):
    """The learning rate after the warmup."""
    flags = run.flags
    return linear_scaling(run.layout.get("global_batch", 0), flags["base_lr"]) if flags["linear_scaling"] else flags["lr"]


def phrases(run):
    """What a run was, as a list of phrases in the paper's words and order (sections 2.1, 3, 4, 5)."""
    flags, batch = run.flags, run.layout.get("global_batch")
    said = [network(flags["model"]), "{} x {} pixels".format(flags["input_size"], flags["input_size"]), "BS = {}".format(batch)]
    said.append("learning rate {:g}{}".format(peak(run), " (linear scaling)" if flags["linear_scaling"] else ""))
    if flags["warmup_epochs"]:
        said.append("warmup of {:g} epochs".format(flags["warmup_epochs"]))
    said += [words for name, words in (("last_gamma", "zero gamma"), ("no_wd", "no bias decay")) if flags[name]]
    said += ["FP16"] if flags["dtype"] == "float16" else []
    said.append(_decay(flags))
    if flags["label_smoothing"]:
        said.append("label smoothing {:g}{}".format(flags["label_smoothing"], _form(flags["smoothing_form"])))
    if flags["teacher"]:
        weight = "" if flags["hard_weight"] == -1 else ", hard weight {:g}".format(flags["hard_weight"])
        said.append("distillation from {} (T = {:g}{})".format(flags["teacher"], flags["temperature"], weight))
    if flags["mixup_alpha"]:
        off = ", off in the last {} epochs".format(flags["mixup_off_epoch"]) if flags["mixup_off_epoch"] else ""
        said.append("mixup {:g}{}{}".format(flags["mixup_alpha"], off, _form(flags["mixup_partner"], "reverse")))
    said.append("{} epochs".format(flags["num_epochs"]))
    for name, known in FLAGS.items():
        if name not in _WORDED and not known.metadata["free"] and not _same(flags[name], known.default):
            said.append("{} {}".format(spelling(name), _text(flags[name])))
    return said


def _decay(flags):
    mode = flags["lr_mode"]
    if mode == "step":
        return "step decay ({:g} at epochs {})".format(flags["lr_decay"], _text(flags["lr_decay_epoch"]))
    if mode == "exp":
        return "decay of {:g} every {} epochs".format(flags["lr_decay"], flags["lr_decay_period"])
    return {"cosine": "cosine decay", "poly": "polynomial decay", "constant": "constant rate"}.get(mode, mode)


def _form(value, authors="gluoncv"):
    return " (the authors' form)" if value == authors else ""


def _text(value):
    return ", ".join("{:g}".format(part) for part in value) if isinstance(value, (list, tuple)) else str(value)


def _same(one, other):
    return list(one) == list(other) if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)) else one == other


def common(groups):
    """The phrases that all the groups' runs share."""
    said = [phrases(group.runs[0]) for group in groups]
    return [phrase for phrase in said[0] if all(phrase in other for other in said[1:])]


def label(group, shared):
    """What sets a group apart from the others, or its name where it is alone."""
    own = [phrase for phrase in phrases(group.runs[0]) if phrase not in shared]
    return ", ".join(own) or group.name


def nearest_rows(run, most=3):
    """The paper's rows nearest to a run: ``(rows, differences)``.

    ``rows`` are rows of one and the same training (a run may stand in several tables); ``differences`` is a list of lines
    ``flag: the run's instead of the paper's``, empty where the run is that row. ``([], [])`` where more than ``most`` differ.
    """
    found = []
    for row in paper.ROWS:
        if row.score is not None:
            found.append((_differences(run, row.settings), row))
    least = min((differences for differences, _ in found), key=len)
    if len(least) > most:
        return [], []
    return [row for differences, row in found if differences == least], least


def _differences(run, settings):
    ours = dict(run.flags, global_batch=run.layout.get("global_batch"), peak=peak(run), distilled=bool(run.flags["teacher"]))
    lines = []
    for name, theirs in settings.items():
        if name.startswith("lr_decay") and run.flags["lr_mode"] != "step":
            continue
        if not _close(ours[name], theirs):
            lines.append("{} {} instead of {}".format(name.replace("_", " "), _text(ours[name]), _text(theirs)))
    for name, known in FLAGS.items():
        if name in settings or known.metadata["free"] or name in _DERIVED:
            continue
        if not _same(run.flags[name], known.default) and run.flags[name] != paper.TRAINING_IMAGES:
            lines.append("{} {}".format(spelling(name), _text(run.flags[name])))
    return lines


def _close(one, other):
    if isinstance(one, float) or isinstance(other, float):
        return abs(one - other) < 1e-9
    return _same(one, other)
