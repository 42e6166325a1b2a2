"""A run's flags in the paper's words, and the paper's row that they stand for."""

import os
import re

from .. import fidelity as authors
from .. import paper
from ..config import FLAGS, Config, needs, spelling
from ..tricks.schedule import linear_scaling
from .runs import read_json

# Flags that `phrases` puts into words; any other one that is not at its default is spelled with its
# value.
_WORDED = set(
    "model dtype input_size classes synthetic seed fidelity batch_size accumulate lr linear_scaling base_lr "
    "num_epochs warmup_epochs lr_mode lr_decay lr_decay_epoch lr_decay_period last_gamma no_wd "
    "label_smoothing smoothing_form mixup mixup_alpha mixup_off_epoch mixup_partner "
    "teacher teacher_model temperature hard_weight".split()
)
# Flags that say no more than what a row's settings say in another way.
_DERIVED = set(
    "seed fidelity batch_size accumulate lr linear_scaling base_lr lr_decay_period mixup teacher "
    "teacher_model temperature hard_weight".split()
)
# Of the authors' values, those that are no form of a trick.
_SCHEDULE = ("num_epochs", "lr_decay_epoch")
_NETWORKS = {name: words for words, name in paper.MODELS.items()}


def network(model):
    """``resnet18_v1d`` -> ``ResNet-18-D``; names that the paper does not have stay."""
    ours = re.fullmatch(r"resnet(\d+)_v1([bcd]?)", model)
    if ours:
        return "ResNet-" + ours.group(1) + ("-" + ours.group(2).upper() if ours.group(2) else "")
    return _NETWORKS.get(model, model)


def peak(run):
    """The learning rate after the warmup."""
    if run.flags["linear_scaling"]:
        return linear_scaling(run.layout.get("global_batch", 0), run.flags["base_lr"])
    return run.flags["lr"]


def phrases(run):
    """What a run was, as a list of phrases in the paper's words and order (sections 2.1, 3, 4, 5)."""
    flags = run.flags
    said = [network(flags["model"]), "{0} x {0} pixels".format(flags["input_size"])]
    said.append("BS = {}".format(run.layout.get("global_batch")))
    scaled = " (linear scaling)" if flags["linear_scaling"] else ""
    said.append(f"learning rate {peak(run):g}{scaled}")
    if flags["warmup_epochs"]:
        said.append("warmup of {:g} epochs".format(flags["warmup_epochs"]))
    said += ["zero gamma"] if flags["last_gamma"] else []
    said += ["no bias decay"] if flags["no_wd"] else []
    said += ["FP16"] if flags["dtype"] == "float16" else []
    said.append(_decay(flags))
    if flags["label_smoothing"]:
        said.append(
            "label smoothing {:g}{}".format(
                flags["label_smoothing"], _form(flags["smoothing_form"])
            )
        )
    if flags["teacher"]:
        said.append(_distillation(flags))
    if flags["mixup_alpha"]:
        off = flags["mixup_off_epoch"]
        how = f", off in the last {off} epochs" if off else ""
        said.append(
            "mixup {:g}{}{}".format(
                flags["mixup_alpha"], how, _form(flags["mixup_partner"], "reverse")
            )
        )
    said.append("{} epoch{}".format(flags["num_epochs"], "" if flags["num_epochs"] == 1 else "s"))
    return said + [f"{spelling(name)} {_text(flags[name])}" for name in _changed(flags, _WORDED)]


def _distillation(flags):
    """``distillation from ResNet-152-D (its folder or file; T = 20)``, the network where it is
    known.
    """
    how = "T = {:g}".format(flags["temperature"])
    how += "" if flags["hard_weight"] == -1 else ", hard weight {:g}".format(flags["hard_weight"])
    name = os.path.basename(flags["teacher"].rstrip("/"))
    known = read_json(flags["teacher"], "config.json").get("flags")
    model = flags["teacher_model"] or (isinstance(known, dict) and known.get("model"))
    if isinstance(model, str):
        return f"distillation from {network(model)} ({name}; {how})"
    return f"distillation from {network(name)} ({how})"


def _changed(flags, known_otherwise):
    """The flags that make a run another one, have an effect in it, and are not at their default."""
    config = Config(**{name: flags[name] for name in FLAGS})
    without_effect = {name for name, has_effect, _ in needs(config) if not has_effect}
    for name, known in FLAGS.items():
        if (
            name not in known_otherwise
            and name not in without_effect
            and not known.metadata["free"]
        ):
            if not _same(flags[name], known.default):
                yield name


def _decay(flags):
    mode = flags["lr_mode"]
    if mode == "step":
        return "step decay ({:g} at epochs {})".format(
            flags["lr_decay"], _text(flags["lr_decay_epoch"])
        )
    if mode == "exp":
        return "decay of {:g} every {} epochs".format(flags["lr_decay"], flags["lr_decay_period"])
    return {"cosine": "cosine decay", "poly": "polynomial decay", "constant": "constant rate"}.get(
        mode, mode
    )


def _form(value, authors="gluoncv"):
    return " (the authors' form)" if value == authors else ""


def _text(value):
    if isinstance(value, (list, tuple)):
        return ", ".join(f"{part:g}" for part in value)
    return str(value)


def _same(one, other):
    if isinstance(one, (list, tuple)):  # JSON knows no tuples
        return list(one) == list(other)
    if isinstance(one, float) or isinstance(other, float):
        return abs(one - other) < 1e-9
    return one == other


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

    ``rows`` are rows of one and the same training, which may stand in several tables;
    ``differences`` says what is otherwise than in them, and is empty where the run is that row.
    ``([], [])`` where it is more than ``most``.
    """
    found = [(_differences(run, row.settings), row) for row in paper.ROWS if row.score]
    least = min((differences for differences, _ in found), key=len)
    if len(least) > most:
        return [], []
    return [row for differences, row in found if differences == least], least


def _differences(run, settings):
    flags, batch = run.flags, run.layout.get("global_batch")
    ours = dict(flags, global_batch=batch, peak=peak(run), distilled=bool(flags["teacher"]))
    forms, lines = {}, []
    if flags["fidelity"] == "gluoncv":  # counts as one difference
        forms = {
            name: form
            for name, form in authors.forms(flags["model"]).items()
            if name not in _SCHEDULE
        }
        lines.append("the authors' forms (--fidelity gluoncv)")
    for name, theirs in settings.items():
        idle = name.startswith("lr_decay") and flags["lr_mode"] != "step"
        if not _same(ours[name], theirs) and not idle and forms.get(name) != ours[name]:
            lines.append(
                "{} {} instead of {}".format(
                    name.replace("_", " "), _text(ours[name]), _text(theirs)
                )
            )
    for name in _changed(flags, _DERIVED | set(settings)):
        if forms.get(name) != flags[name] and flags[name] != paper.TRAINING_IMAGES:
            lines.append(f"{spelling(name)} {_text(flags[name])}")
    return lines
