"""The tricks, one row each, which ``plan``, ``report`` and the README's table read.

A new trick is a file in this folder and a row of :data:`TRICKS`.
"""

import math
import os
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, NamedTuple, Optional, Tuple

from .. import fidelity, paper
from ..config import Config
from .schedule import linear_scaling

LATER = "–"  # where the paper's section would be


class Training(NamedTuple):
    """What the rows of the table need to know about a run."""

    config: Config
    peak: float  # the learning rate after the warmup
    global_batch: int
    warmup_steps: int = 0
    teacher: Tuple[str, ...] = ()  # its network and, unless that is all that is known, its file
    steps_per_epoch: int = 0  # 0: unknown


@dataclass(frozen=True)
class Trick:
    """One of the paper's tricks, or a later one, whose ``section`` is LATER.

    ``flags``: those that :attr:`phrase` covers; the first one turns the trick on. ``scores``: the
    paper's results without it and with it. ``values``: the paper's values of flags that leave
    their defaults while the trick is on.
    """

    name: str
    section: str
    usage: str  # the flag that turns it on, as in the paper
    flags: Tuple[str, ...]
    applies: Callable[[Config], bool]  # else a plan says "off" and a report nothing
    state: Callable[[Training], str]  # what a plan says about it
    phrase: Callable[[Training], str]  # what a report says about it, "" for nothing
    file: str
    test: str
    scores: Optional[Tuple[paper.Score, paper.Score]] = None
    values: Dict[str, Any] = field(default_factory=dict)

    @property
    def gain(self) -> Optional[float]:
        """Its gain in the paper, in points of top-1; None if it is not in the paper."""
        if self.scores is None:
            return None
        without, with_it = self.scores
        return with_it.top1 - without.top1


def distils(config: Config) -> bool:
    """Whether a run learns from a teacher or from its stored logits."""
    return bool(config.teacher or config.teacher_logits)


def softens(config: Config) -> bool:
    """Whether a run's training loss has T^2 > 1 times a cross entropy of softened outputs."""
    return distils(config) and config.temperature > 1


def paper_rate(global_batch: int, base_lr: float = paper.BASELINE["peak"]) -> float:
    """Linear scaling from the paper's baseline."""
    return linear_scaling(global_batch, base_lr)


# ---- the tricks in words


def _rate_state(run):
    scaled = paper_rate(run.global_batch)
    if math.isclose(run.peak, scaled) or run.config.task in fidelity.TASKS:
        return f"peak {run.peak:g}"
    return f"peak {run.peak:g}, the paper's would be {scaled:g}"


def _rate_phrase(run):
    scaled = " (linear scaling)" if run.config.linear_scaling else ""
    return f"learning rate {run.peak:g}{scaled}"


def _decay_phrase(run):
    config = run.config
    if config.lr_mode == "step":
        epochs = ", ".join(f"{epoch:g}" for epoch in config.lr_decay_epoch)
        return f"step decay ({config.lr_decay:g} at epochs {epochs})"
    if config.lr_mode == "exp":
        return f"decay of {config.lr_decay:g} every {config.lr_decay_period} epochs"
    others = {"cosine": "cosine decay", "poly": "polynomial decay", "constant": "constant rate"}
    return others[config.lr_mode]


def _smoothing_phrase(run):
    epsilon, form = run.config.label_smoothing, run.config.smoothing_form
    return f"label smoothing {epsilon:g}{_authors(form == 'gluoncv')}"


def _distillation_phrase(run):
    """``distillation from ResNet-152-D (its folder or file; T = 20)``"""
    network, *file = run.teacher
    return f"distillation from {network} ({'; '.join([*file, _softness(run)])})"


def _stored_phrase(run):
    file = os.path.basename(run.config.teacher_logits)
    return f"distillation from stored logits ({file}; {_softness(run)})"


def _softness(run):
    hard = run.config.hard_weight
    return f"T = {run.config.temperature:g}" + (f", hard weight {hard:g}" * (hard != -1))


def _mixup_state(run):
    config, off = run.config, run.config.mixup_off_epoch
    kind = f", type {config.mixup_type}" * (config.mixup_type > 0)
    return f"alpha {config.mixup_alpha:g}{kind}" + (f", not in {_last_epochs(off)}" * (off > 0))


def _mixup_phrase(run):
    config = run.config
    off = f", off in {_last_epochs(config.mixup_off_epoch)}" * (config.mixup_off_epoch > 0)
    kind = f" (type {config.mixup_type})" * (config.mixup_type > 0)
    partner = _authors(config.mixup_partner == "reverse")
    return f"mixup {config.mixup_alpha:g}{kind}{off}{partner}"


def _auto_augment(run):
    """``RandAugment 2 x 7 +- 0.5 (timm's strengths)``"""
    config = run.config
    whose = {"tpu": " (the TPU code's strengths)", "timm": " (timm's strengths)"}
    if config.auto_augment in ("trivial", "v0"):
        return {"trivial": "TrivialAugment-Wide", "v0": "AutoAugment v0"}[config.auto_augment]
    name = "AutoAugment"
    if config.auto_augment == "randaugment":
        spread = f" +- {config.randaugment_std:g}" * (config.randaugment_std > 0)
        name = f"RandAugment {config.randaugment_ops} x {config.randaugment_magnitude:g}{spread}"
    return name + whose.get(config.auto_augment_form, "")


def _erasing(run):
    noise = " with noise" * (run.config.erasing_fill == "noise")
    return f"random erasing {run.config.random_erasing:g}{noise}"


def _bce(run):
    threshold = run.config.bce_target_threshold
    return "binary cross entropy" + f", targets above {threshold:g} are 1" * (threshold > 0)


def _resizing(run):
    config, (begin, end) = run.config, run.config.resizing_ramp
    sizes = f"{config.progressive_resizing} to {config.input_size} pixels"
    return f"{sizes} from {begin:.0%} to {end:.0%} of the run"


ATTENTION = {"se": "squeeze-and-excitation", "sk": "selective kernels"}


def _reduction(run):
    reduction = run.config.attention_reduction
    return f" (r = {reduction})" * (reduction > 0)


def _blur_state(run):
    shortcut = ", shortcut too" * run.config.anti_alias_shortcut
    return f"filter of {run.config.anti_alias}{shortcut}"


def _drop_block_state(run):
    return f"{run.config.drop_block_from:g} to {run.config.drop_block:g}"


def _restarts_phrase(run):
    first, factor = run.config.lr_restarts
    return f"restarts after {_epochs(first)}" + (f", each {factor:g} times as long" * (factor > 1))


def _growth_phrase(run):
    most = run.config.max_batch
    return f"updates grow at {run.config.batch_growth}" + (f", up to {most} images" * (most > 0))


def _layer_rates_phrase(run):
    config = run.config
    of = "weights" if config.layer_rates == "weights" else "all parameters"
    eta = f", eta {config.lars_eta:g}" * (config.optimizer == "lars")
    return f"{config.optimizer.upper()} for {of}{eta}"


def _average_state(run):
    from .ema import half_life  # here, because it imports MXNet

    decay, every = run.config.ema, run.config.ema_every
    steps = half_life(decay, every)
    epochs = f", {steps / run.steps_per_epoch:.3g} epochs" if run.steps_per_epoch else ""
    return f"{decay:g} every {every} steps: half-life {steps:,.0f} steps{epochs}"


def _epochs(number):
    return f"{number:g} epoch" + "s" * (number != 1)


def _last_epochs(number):
    return "the last epoch" if number == 1 else f"the last {number} epochs"


def _authors(is_theirs):
    return " (the authors' form)" if is_theirs else ""


# ---- the table

_TABLE4 = {title: by_batch[1024] for title, by_batch in paper.TABLE4.items()}
_TABLE6 = {title: by_network[0] for title, by_network in paper.TABLE6.items()}

TRICKS = (
    Trick(
        name="linear scaling",
        section="3.1",
        usage="--linear-scaling",
        flags=("linear_scaling", "lr", "base_lr"),
        applies=lambda config: True,  # there is always a rate
        state=_rate_state,
        phrase=_rate_phrase,
        file="tricks/schedule.py",
        test="tricks/test_schedule.py",
        scores=(paper.TABLE4["linear scaling"][256], _TABLE4["linear scaling"]),
    ),
    Trick(
        name="warmup",
        section="3.1",
        usage="--warmup-epochs 5",
        flags=("warmup_epochs",),
        applies=lambda config: config.warmup_epochs > 0,
        state=lambda run: f"{_epochs(run.config.warmup_epochs)}, {run.warmup_steps:,} steps",
        phrase=lambda run: f"warmup of {_epochs(run.config.warmup_epochs)}",
        file="tricks/schedule.py",
        test="tricks/test_schedule.py",
        scores=(_TABLE4["linear scaling"], _TABLE4["+ warmup"]),
        values=paper.HEURISTICS["+ warmup"],
    ),
    Trick(
        name="zero gamma",
        section="3.1",
        usage="--last-gamma",
        flags=("last_gamma",),
        applies=lambda config: config.last_gamma,
        state=lambda run: "on",
        phrase=lambda run: "zero gamma",
        file="models/resnet.py",
        test="tricks/test_initialization.py",
        scores=(_TABLE4["+ warmup"], _TABLE4["+ zero gamma"]),
    ),
    Trick(
        name="no bias decay",
        section="3.1",
        usage="--no-wd",
        flags=("no_wd", "no_wd_form"),
        applies=lambda config: config.no_wd,
        state=lambda run: "on" if run.config.no_wd_form == "paper" else "gamma and beta alone",
        phrase=lambda run: f"no {'bias' if run.config.no_wd_form == 'paper' else 'norm'} decay",
        file="tricks/weight_decay.py",
        test="tricks/test_weight_decay.py",
        scores=(_TABLE4["+ zero gamma"], _TABLE4["+ no bias decay"]),
    ),
    Trick(
        name="low precision",
        section="3.2",
        usage="--dtype float16",
        flags=("dtype",),
        applies=lambda config: config.dtype == "float16",
        state=lambda run: f"float16, loss scale {run.config.loss_scale}",
        phrase=lambda run: "FP16",
        file="tricks/precision.py",
        test="tricks/test_precision.py",
        scores=(_TABLE4["+ no bias decay"], _TABLE4["+ FP16"]),
    ),
    Trick(
        name="cosine decay",
        section="5.1",
        usage="--lr-mode cosine",
        flags=("lr_mode", "lr_decay", "lr_decay_epoch", "lr_decay_period"),
        applies=lambda config: True,  # there is always a decay
        state=lambda run: "on" if run.config.lr_mode == "cosine" else f"off: {run.config.lr_mode}",
        phrase=_decay_phrase,
        file="tricks/schedule.py",
        test="tricks/test_schedule.py",
        scores=(_TABLE6["efficient"], _TABLE6["+ cosine"]),
    ),
    Trick(
        name="label smoothing",
        section="5.2",
        usage="--label-smoothing 0.1",
        flags=("label_smoothing", "smoothing_form"),
        applies=lambda config: config.label_smoothing > 0,
        state=lambda run: f"{run.config.label_smoothing:g}",
        phrase=_smoothing_phrase,
        file="tricks/label_smoothing.py",
        test="tricks/test_label_smoothing.py",
        scores=(_TABLE6["+ cosine"], _TABLE6["+ label smoothing"]),
        values=paper.SMOOTHING,
    ),
    Trick(
        name="distillation",
        section="5.3",
        usage="--teacher RUN",
        flags=("teacher", "teacher_model", "temperature", "hard_weight"),
        applies=lambda config: bool(config.teacher),
        state=lambda run: f"from {run.config.teacher}, T = {run.config.temperature:g}",
        phrase=_distillation_phrase,
        file="tricks/distillation.py",
        test="tricks/test_distillation.py",
        scores=(_TABLE6["+ label smoothing"], _TABLE6["+ distillation, no mixup"]),
    ),
    Trick(
        name="mixup",
        section="5.4",
        usage="--mixup-alpha 0.2",
        flags=("mixup", "mixup_alpha", "mixup_off_epoch", "mixup_partner", "mixup_type"),
        applies=lambda config: config.mixup_alpha > 0,
        state=_mixup_state,
        phrase=_mixup_phrase,
        file="tricks/mixup.py",
        test="tricks/test_mixup.py",
        scores=(_TABLE6["+ label smoothing"], _TABLE6["+ mixup, no distillation"]),
        values={"mixup_alpha": paper.MIXUP["mixup_alpha"]},
    ),
    Trick(
        name="attention",
        section=LATER,
        usage="--attention sk",
        flags=("attention", "attention_reduction"),
        applies=lambda config: config.attention != "none",
        state=lambda run: run.config.attention.upper() + _reduction(run),
        phrase=lambda run: ATTENTION[run.config.attention] + _reduction(run),
        file="models/sk.py",
        test="models/test_attention.py",
    ),
    Trick(
        name="anti-aliasing",
        section=LATER,
        usage="--anti-alias",
        flags=("anti_alias", "anti_alias_shortcut"),
        applies=lambda config: config.anti_alias > 0,
        state=_blur_state,
        phrase=lambda run: f"anti-aliasing ({_blur_state(run)})",
        file="models/blur_pool.py",
        test="models/test_blur_pool.py",
    ),
    Trick(
        name="DropBlock",
        section=LATER,
        usage="--drop-block 0.1",
        flags=("drop_block", "drop_block_from"),
        applies=lambda config: config.drop_block > 0,
        state=_drop_block_state,
        phrase=lambda run: f"DropBlock {_drop_block_state(run)}",
        file="models/drop_block.py",
        test="models/test_drop_block.py",
    ),
    Trick(
        name="stochastic depth",
        section=LATER,
        usage="--drop-path 0.05",
        flags=("drop_path",),
        applies=lambda config: config.drop_path > 0,
        state=lambda run: f"up to {run.config.drop_path:g}",
        phrase=lambda run: f"stochastic depth {run.config.drop_path:g}",
        file="models/drop_path.py",
        test="models/test_drop_path.py",
    ),
    Trick(
        name="GeM pooling",
        section=LATER,
        usage="--gem",
        flags=("gem",),
        applies=lambda config: config.gem,
        state=lambda run: "on",
        phrase=lambda run: "GeM pooling",
        file="models/gem.py",
        test="models/test_gem.py",
    ),
    Trick(
        name="AutoAugment",
        section=LATER,
        usage="--auto-augment imagenet",
        flags=(
            *("auto_augment", "auto_augment_form", "randaugment_ops"),
            *("randaugment_magnitude", "randaugment_std"),
        ),
        applies=lambda config: config.auto_augment != "none",
        state=_auto_augment,
        phrase=_auto_augment,
        file="data/transforms/auto_augment.py",
        test="data/test_policies.py",
    ),
    Trick(
        name="random erasing",
        section=LATER,
        usage="--random-erasing 0.1",
        flags=("random_erasing", "erasing_fill"),
        applies=lambda config: config.random_erasing > 0,
        state=_erasing,
        phrase=_erasing,
        file="data/transforms/erasing.py",
        test="data/test_erasing.py",
    ),
    Trick(
        name="Cutout",
        section=LATER,
        usage="--cutout 112",
        flags=("cutout",),
        applies=lambda config: config.cutout > 0,
        state=lambda run: f"{run.config.cutout} pixels",
        phrase=lambda run: f"Cutout {run.config.cutout}",
        file="data/transforms/erasing.py",
        test="data/test_erasing.py",
    ),
    Trick(
        name="CutMix",
        section=LATER,
        usage="--cutmix 1",
        flags=("cutmix",),
        applies=lambda config: config.cutmix > 0,
        state=lambda run: f"alpha {run.config.cutmix:g}",
        phrase=lambda run: f"CutMix {run.config.cutmix:g}",
        file="tricks/cutmix.py",
        test="tricks/test_cutmix.py",
    ),
    Trick(
        name="repeated augmentation",
        section=LATER,
        usage="--repeated-augmentation 4",
        flags=("repeated_augmentation",),
        applies=lambda config: config.repeated_augmentation > 1,
        state=lambda run: f"{run.config.repeated_augmentation} times",
        phrase=lambda run: f"repeated augmentation {run.config.repeated_augmentation}",
        file="data/order.py",
        test="data/test_order.py",
    ),
    Trick(
        name="binary cross entropy",
        section=LATER,
        usage="--loss bce",
        flags=("loss", "bce_target_threshold"),
        applies=lambda config: config.loss == "bce",
        state=_bce,
        phrase=_bce,
        file="tricks/binary_cross_entropy.py",
        test="tricks/test_binary_cross_entropy.py",
    ),
    Trick(
        name="progressive resizing",
        section=LATER,
        usage="--progressive-resizing 112",
        flags=("progressive_resizing", "resizing_ramp", "resizing_multiple"),
        applies=lambda config: config.progressive_resizing > 0,
        state=_resizing,
        phrase=lambda run: f"progressive resizing ({_resizing(run)})",
        file="tricks/progressive_resizing.py",
        test="tricks/test_progressive_resizing.py",
    ),
    Trick(
        name="test size",
        section=LATER,
        usage="--test-size 224 --input-size 176",
        flags=("test_size",),
        applies=lambda config: config.test_size > 0,
        state=lambda run: f"{run.config.test_size} pixels",
        phrase=lambda run: f"tested at {run.config.test_size} pixels",
        file="data/transforms/paper.py",
        test="training/test_sizes.py",
    ),
    Trick(
        name="stored logits",
        section=LATER,
        usage="--teacher-logits FILE",
        flags=("teacher_logits",),
        applies=lambda config: bool(config.teacher_logits),
        state=lambda run: f"from {run.config.teacher_logits}, {_softness(run)}",
        phrase=_stored_phrase,
        file="data/teacher_logits.py",
        test="training/test_stored_teacher.py",
    ),
    Trick(
        name="warm restarts",
        section=LATER,
        usage="--lr-mode cosine --lr-restarts 10,2",
        flags=("lr_restarts", "lr_min"),
        applies=lambda config: config.lr_restarts[0] > 0,
        state=_restarts_phrase,
        phrase=_restarts_phrase,
        file="tricks/schedule.py",
        test="tricks/test_schedule.py",
    ),
    Trick(
        name="batch growth",
        section=LATER,
        usage="--lr-mode constant --batch-growth 30:x10,60:x10",
        flags=("batch_growth", "max_batch"),
        applies=lambda config: bool(config.batch_growth),
        state=_growth_phrase,
        phrase=_growth_phrase,
        file="tricks/batch_growth.py",
        test="tricks/test_batch_growth.py",
    ),
    Trick(
        name="momentum form",
        section=LATER,
        usage="--momentum-form outside",
        flags=("momentum_form",),
        applies=lambda config: config.momentum_form == "outside",
        state=lambda run: "on",
        phrase=lambda run: "rate outside the velocity",
        file="tricks/momentum.py",
        test="tricks/test_optimizers.py",
    ),
    Trick(
        name="LARS, LAMB",
        section=LATER,
        usage="--optimizer lars",
        flags=("layer_rates", "lars_eta"),
        applies=lambda config: config.optimizer in ("lars", "lamb"),
        state=_layer_rates_phrase,
        phrase=_layer_rates_phrase,
        file="tricks/lars.py",
        test="tricks/test_optimizers.py",
    ),
    Trick(
        name="gradient clipping",
        section=LATER,
        usage="--clip-norm 1",
        flags=("clip_norm",),
        applies=lambda config: config.clip_norm > 0,
        state=lambda run: f"norm {run.config.clip_norm:g}",
        phrase=lambda run: f"gradients clipped to norm {run.config.clip_norm:g}",
        file="tricks/clipping.py",
        test="tricks/test_clipping.py",
    ),
    Trick(
        name="weight averaging",
        section=LATER,
        usage="--ema 0.9999",
        flags=("ema", "ema_every"),
        applies=lambda config: config.ema > 0,
        state=_average_state,
        phrase=lambda run: f"EMA {run.config.ema:g} / {run.config.ema_every}",
        file="tricks/ema.py",
        test="tricks/test_ema.py",
    ),
)
