"""Every training flag once: its name, type, default, help, the paper's section, and whether a
resumed run may change it.

Names and meanings are those of GluonCV's train_imagenet.py wherever it has the flag; the defaults
are the paper's. Where the paper and the authors' code differ, one flag selects the form and
``--fidelity gluoncv`` selects all of the authors' forms at once.

>>> config = parse(["--model", "resnet50_v1d", "--lr-mode", "cosine", "--label-smoothing", "--mixup"])
>>> config.label_smoothing, config.mixup_alpha
(0.1, 0.2)
"""

import argparse
import contextlib
import dataclasses
import json
import math
import os
from dataclasses import dataclass

from . import fidelity as authors
from .errors import UserError
from .text import printable


class ConfigError(UserError):
    """Flags that are wrong, contradict each other, or would have no effect."""


def flag(
    default,
    help,
    type=str,
    section=None,
    choices=None,
    free=False,
    bare=None,
    names=(),
    group="run",
):
    """A field of :class:`Config`.

    ``bare`` is the value of the flag without a value; ``free`` says that a resumed run may change
    it, because the parameters that come out do not depend on it; ``names`` are further spellings.
    """
    metadata = dict(
        help=help,
        type=type,
        section=section,
        choices=choices,
        free=free,
        bare=bare,
        names=names,
        group=group,
    )
    return dataclasses.field(default=default, metadata=metadata)


def switch(help, **keywords):
    """A flag that is on when it is named, and off again as ``--flag 0``."""
    return flag(False, help, type=_on_or_off, bare=True, **keywords)


def _on_or_off(text):
    if text.lower() in ("1", "true", "on", "yes"):
        return True
    if text.lower() in ("0", "false", "off", "no"):
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is neither 1 nor 0")


def user_path(text):
    """A path as a user types it: ``~`` is the home folder, also in ``--flag=~/x``, where no shell
    sees to it.
    """
    return os.path.expanduser(text)


def _numbers(count, kind=float):
    def parse_numbers(text):
        try:
            values = tuple(kind(part) for part in text.replace(",", " ").split())
        except ValueError:
            values = None
        if values is None or (count and len(values) != count):
            raise argparse.ArgumentTypeError(
                "{!r} is not a list of {}numbers such as 1,2".format(
                    text, f"{count} " if count else ""
                )
            )
        return values

    return parse_numbers


def _backend(text):
    if text.startswith("dali"):
        raise argparse.ArgumentTypeError(
            "DALI is not used here: threads is our own loader, native is MXNet's ImageRecordIter"
        )
    return "native" if text == "mxnet" else text  # GluonCV's name for it


def kvstore_name(text):
    """The name of a way to share gradients, for argparse; what was removed is refused with what to
    take instead.
    """
    if text == "dist_async":
        raise argparse.ArgumentTypeError(
            "dist_async was removed: take dist_sync, whose workers make every step together"
        )
    return text


def _loss_scale(text):
    if text == "dynamic":
        return text
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor 'dynamic'") from None


MODEL, DATA, AUGMENT, OPTIMIZER, TRICKS, DEVICES, RUN = (
    "network",
    "data",
    "augmentation",
    "optimisation",
    "tricks",
    "devices and workers",
    "run",
)


@dataclass
class Config:
    """The flags of one run, resolved by :func:`resolve`."""

    # fmt: off
    # network
    model: str = flag("resnet50_v1d", "name of the network; 'gluon-tricks models --all' lists them", section="4", group=MODEL)
    classes: int = flag(1000, "number of classes of the network's head", type=int, group=MODEL)
    use_pretrained: bool = switch("start from GluonCV's published parameters", group=MODEL)
    use_params: str = flag("", "start from this parameter file, with a new head where the classes differ", type=user_path, group=MODEL)
    use_se: bool = switch("squeeze-and-excitation blocks (networks that have the option)", names=("--use_se",), group=MODEL)
    use_gn: bool = switch("GroupNorm instead of BatchNorm (networks that have the option)", group=MODEL)
    batch_norm: bool = switch("BatchNorm in VGG", group=MODEL)
    mode: str = flag("hybrid", "hybrid compiles the network's graph; imperative (in GluonCV also called symbolic) runs it line by line",
                     choices=("hybrid", "imperative", "symbolic"), free=True, group=MODEL)
    dtype: str = flag("float32", "parameters and activations; float16 keeps a float32 master copy", choices=("float32", "float16"),
                      section="3.2", group=MODEL)

    # data
    data_dir: str = flag("", "folder with train.rec, train.idx, val.rec and val.idx", type=user_path, free=True, group=DATA)
    use_rec: bool = switch("read RecordIO, as GluonCV's flag says; always so here", free=True, group=DATA)
    rec_train: str = flag("", "RecordIO file of the training images", type=user_path, free=True, group=DATA)
    rec_train_idx: str = flag("", "its index; default: the same name with .idx", type=user_path, free=True, group=DATA)
    rec_val: str = flag("", "RecordIO file of the validation images", type=user_path, free=True, group=DATA)
    rec_val_idx: str = flag("", "its index; default: the same name with .idx", type=user_path, free=True, group=DATA)
    num_training_samples: int = flag(0, "images in an epoch; 0: all in the file (1,281,167 in ImageNet)", type=int, group=DATA)
    synthetic: int = flag(0, "train on this many made-up images; a bare --synthetic is 1024", type=int, bare=1024, group=DATA)
    num_data_workers: int = flag(4, "threads that decode and augment", type=int, free=True, names=("-j", "--data-nthreads"), group=DATA)
    data_backend: str = flag("threads", "threads: our loader; native (or mxnet): MXNet's ImageRecordIter", type=_backend,
                             choices=("threads", "native"), group=DATA)
    max_bad_records: int = flag(10, "stop after this many training images that are broken", type=int, free=True, group=DATA)
    val_last_batch: str = flag("exact", "exact counts every image once; wrap fills the last batch from the file's start, as the authors' code",
                               choices=("exact", "wrap"), free=True, group=DATA)

    # augmentation (section 2.1)
    input_size: int = flag(224, "height and width of the network's input", type=int, section="2.1", group=AUGMENT)
    crop_ratio: float = flag(0.875, "validation: input size over the resized shorter edge", type=float, section="2.1", group=AUGMENT)
    crop_area: tuple = flag((0.08, 1.0), "range of the random crop's share of the image", type=_numbers(2), section="2.1", group=AUGMENT)
    crop_aspect: tuple = flag((0.75, 4 / 3), "range of the random crop's aspect ratio", type=_numbers(2), section="2.1", group=AUGMENT)
    crop_fallback: str = flag("square", "where ten random crops do not fit: the largest centred square, or an unscaled centred window of the "
                              "input's size as in the authors' reader", choices=("square", "window"), section="2.1", group=AUGMENT)
    flip: float = flag(0.5, "probability of a horizontal flip", type=float, section="2.1", group=AUGMENT)
    color_jitter: float = flag(0.4, "colour coefficients are uniform in 1 -+ this; 0 turns the step off", type=float, section="2.1", group=AUGMENT)
    color_form: str = flag("paper", "paper: hue, saturation, brightness; gluoncv: brightness, contrast, saturation",
                           choices=("paper", "gluoncv"), section="2.1", group=AUGMENT)
    pca_noise: float = flag(0.1, "standard deviation of the PCA noise's coefficients; 0 turns it off", type=float, section="2.1", group=AUGMENT)
    device_augment: bool = switch("colour and normalisation on the device: uint8 batches travel", group=AUGMENT)
    rgb_mean: tuple = flag((123.68, 116.779, 103.939), "subtracted from R, G, B (0 to 255)", type=_numbers(3), section="2.1", group=AUGMENT)
    rgb_std: tuple = flag((58.393, 57.12, 57.375), "then divides R, G, B", type=_numbers(3), section="2.1", group=AUGMENT)

    # optimisation
    num_epochs: int = flag(120, "epochs of training", type=int, section="2.1", group=OPTIMIZER)
    batch_size: int = flag(32, "images per device (and micro-batch)", type=int, section="2.1", group=OPTIMIZER)
    accumulate: int = flag(1, "micro-batches whose gradients are summed before an update", type=int, free=True, section="3.1", group=OPTIMIZER)
    optimizer: str = flag("nag", "Nesterov's accelerated gradient, or plain momentum", choices=("nag", "sgd"), section="2.1", group=OPTIMIZER)
    momentum: float = flag(0.9, "momentum", type=float, section="2.1", group=OPTIMIZER)
    wd: float = flag(1e-4, "weight decay", type=float, section="2.1", group=OPTIMIZER)
    lr: float = flag(0.1, "the learning rate itself", type=float, section="2.1", group=OPTIMIZER)
    linear_scaling: bool = switch("learning rate = base rate x global batch / 256", section="3.1", group=OPTIMIZER)
    base_lr: float = flag(0.1, "the rate for 256 images that --linear-scaling scales", type=float, section="3.1", group=OPTIMIZER)
    warmup_epochs: float = flag(0, "epochs in which the rate grows linearly", type=float, section="3.1", group=OPTIMIZER)
    warmup_lr: float = flag(0.0, "the rate from which it grows", type=float, section="3.1", group=OPTIMIZER)
    warmup_from: int = flag(1, "the first batch's number i in the warmup's i x lr / m: 1 in the paper, 0 in the authors' code",
                            type=int, choices=(0, 1), section="3.1", group=OPTIMIZER)
    lr_counting: str = flag("steps", "steps: as the paper; updates: as the authors' code from 2019 on, which counts from the first update "
                            "and to the last but one", choices=("steps", "updates"), section="5.1", group=OPTIMIZER)
    lr_mode: str = flag("step", "how the rate falls after the warmup", choices=("step", "cosine", "poly", "exp", "constant"),
                        section="5.1", group=OPTIMIZER)
    lr_decay: float = flag(0.1, "factor of step (0.1) and exp (0.94)", type=float, section="5.1", group=OPTIMIZER)
    lr_decay_epoch: tuple = flag((30, 60, 90), "epochs at which step multiplies", type=_numbers(0, int), section="2.1", group=OPTIMIZER)
    lr_decay_period: int = flag(0, "step and exp: multiply every so many epochs (exp: 2)", type=int, section="5.1", group=OPTIMIZER)
    init: str = flag("xavier", "initial weights; xavier: the paper's; msra, xavier-gaussian: those of the authors' two scripts",
                     choices=("xavier", "msra", "xavier-gaussian"), section="2.1", group=OPTIMIZER)
    loss_scale: object = flag("dynamic", "float16: factor on the loss, or 'dynamic'", type=_loss_scale, section="3.2", group=OPTIMIZER)
    max_skipped: int = flag(20, "float16: stop after this many non-finite gradients in a row", type=int, section="3.2", group=OPTIMIZER)

    # tricks
    last_gamma: bool = switch("gamma = 0 in the last BatchNorm of every residual block", section="3.1", group=TRICKS)
    no_wd: bool = switch("no weight decay on biases, gamma and beta", section="3.1", group=TRICKS)
    label_smoothing: float = flag(0.0, "the share epsilon of the other classes; a bare --label-smoothing is 0.1", type=float, bare=0.1,
                                  section="5.2", group=TRICKS)
    smoothing_form: str = flag("paper", "paper: epsilon / (K - 1) for each other class; gluoncv: epsilon / K for every class",
                               choices=("paper", "gluoncv"), section="5.2", group=TRICKS)
    mixup: bool = switch("mix pairs of images and labels", section="5.4", group=TRICKS)
    mixup_alpha: float = flag(0.2, "lambda ~ Beta(alpha, alpha); given, it turns --mixup on, and 0 turns it off", type=float,
                              section="5.4", group=TRICKS)
    mixup_off_epoch: int = flag(0, "no mixup in this many last epochs", type=int, section="5.4", group=TRICKS)
    mixup_partner: str = flag("random", "random: a random permutation of the batch; reverse: the batch reversed, as the authors' code",
                              choices=("random", "reverse"), section="5.4", group=TRICKS)
    teacher: str = flag("", "distil from this network: a run's folder, a parameter file, or a name (published parameters)", type=user_path,
                        section="5.3", group=TRICKS)
    teacher_model: str = flag("", "the teacher's network, where --teacher is a bare parameter file", section="5.3", group=TRICKS)
    temperature: float = flag(20.0, "softens the outputs of teacher and student", type=float, section="5.3", group=TRICKS)
    hard_weight: float = flag(-1.0, "h: h x hard + (1 - h) x soft loss as the authors' code; -1: their plain sum, as the paper", type=float,
                              section="5.3", group=TRICKS)

    # devices and workers
    num_gpus: int = flag(0, "GPUs of this process; 0: CPU. A Horovod worker takes one, that of its number on its host", type=int, free=True,
                         group=DEVICES)
    deterministic: bool = switch("the same bits from every run of a seed on GPUs too: sets MXNET_ENFORCE_DETERMINISM=1 and "
                                 "MXNET_CUDNN_AUTOTUNE_DEFAULT=0", free=True, group=DEVICES)
    cpu_contexts: int = flag(0, "train on this many CPU contexts as if they were GPUs", type=int, free=True, group=DEVICES)
    kvstore: str = flag("device", "how gradients travel: within this process (local, device), over MXNet's parameter server (dist_sync, "
                        "dist_device_sync), or between Horovod's workers",
                        type=kvstore_name, choices=("local", "device", "dist_sync", "dist_device_sync", "horovod"), free=True,
                        group=DEVICES)
    elastic: str = flag("none", "a run that is resumed by more or fewer workers keeps its global batch (keep-batch), or lets it follow, and "
                        "the learning rate with it (scale-lr)", choices=("none", "keep-batch", "scale-lr"), free=True,
                        group=DEVICES)
    gradient_compression: str = flag("none", "Horovod: fp16 sends gradients as float16", choices=("none", "fp16"), group=DEVICES)
    stall_timeout: int = flag(120, "seconds that a worker waits for the others before it gives up", type=int, free=True, group=DEVICES)

    # run
    fidelity: str = flag("paper", "gluoncv selects the authors' form wherever it differs from the paper's", choices=("paper", "gluoncv"))
    seed: int = flag(0, "everything random follows from it and the step", type=int)
    save_dir: str = flag("", "the run's folder; default: runs/MODEL", type=user_path, free=True)
    save_frequency: int = flag(1, "epochs between checkpoints; 0: only at the end", type=int, free=True)
    save_interval: int = flag(0, "also a checkpoint every so many steps; 0: none", type=int, free=True)
    keep_checkpoints: int = flag(2, "how many checkpoints stay, beside the best and the last", type=int, free=True)
    val_frequency: int = flag(1, "epochs between validations", type=int, free=True, names=("--eval-frequency",))
    log_interval: int = flag(50, "steps between two lines of the log", type=int, free=True)
    logging_file: str = flag("", "also write the plain log lines to this file (a relative path starts at the run's folder)", type=user_path, free=True)
    tensorboard: bool = switch("also write TensorBoard events (extra: tensorboard)", free=True)
    max_steps: int = flag(0, "stop after this many steps from where this start of the run begins, with a checkpoint; 0: run to the end", type=int, free=True)
    resume: str = flag("", "auto: go on from the last whole checkpoint in --save-dir, if any; or a checkpoint's folder", type=user_path, free=True)
    resume_epoch: int = flag(0, "GluonCV's: the epoch to start from, with --resume-params", type=int)
    resume_params: str = flag("", "GluonCV's: parameters to start from at --resume-epoch, with fresh momentum", type=user_path, free=True)
    resume_states: str = flag("", "GluonCV's pickled optimizer states: refused", type=user_path, free=True)
    # fmt: on


FLAGS = {field.name: field for field in dataclasses.fields(Config)}


def spelling(name):
    """``mixup_alpha`` -> ``--mixup-alpha``."""
    return "--" + name.replace("_", "-")


def add_arguments(parser, only=None):
    """Add the flags (or those named in ``only``) to an argparse parser, without defaults: what is
    unset was not given.
    """
    groups = {}
    for name, field in FLAGS.items():
        if only is not None and name not in only:
            continue
        meta = field.metadata
        group = groups.get(meta["group"]) or groups.setdefault(
            meta["group"], parser.add_argument_group(meta["group"])
        )
        help = meta["help"] + (" (section {})".format(meta["section"]) if meta["section"] else "")
        if meta["bare"] is None or field.default not in (False, 0):
            help += f" [{_text(field.default)}]" if field.default not in ("", False) else ""
        keywords = dict(nargs="?", const=meta["bare"]) if meta["bare"] is not None else {}
        group.add_argument(
            spelling(name),
            *meta["names"],
            dest=name,
            default=argparse.SUPPRESS,
            type=meta["type"],
            choices=meta["choices"],
            help=help.replace("%", "%%"),
            metavar=None if meta["choices"] else _metavar(name, meta),
            **keywords,
        )
    if only is None:
        for name in authors.FOREIGN_FLAGS:
            parser.add_argument(
                name,
                nargs="?",
                action=_Foreign,
                dest=argparse.SUPPRESS,
                default=argparse.SUPPRESS,
                help=argparse.SUPPRESS,
            )


def _metavar(name, meta):
    if meta["bare"] is True:
        return "0|1"
    return {int: "N", float: "X", str: "S", user_path: "PATH"}.get(
        meta["type"], "X,X" if name != "loss_scale" else "X|dynamic"
    )


class _Foreign(argparse.Action):
    """A flag of the authors' scripts that does nothing here: refused with the reason, unless it is
    off or does nothing there either.
    """

    def __call__(self, parser, namespace, values, option_string=None):
        if authors.FOREIGN_FLAGS[option_string] and values not in ("0", "0.0"):
            raise ConfigError(f"{option_string}: {authors.FOREIGN_FLAGS[option_string]}")


def _text(value):
    return ",".join(f"{v:g}" for v in value) if isinstance(value, tuple) else str(value)


def parse(argv):
    """The resolved :class:`Config` of a list of arguments."""
    parser = argparse.ArgumentParser(prog="gluon-tricks train", allow_abbrev=False)
    add_arguments(parser)
    return resolve(vars(parser.parse_args(argv)))


def resolve(given):
    """Defaults, ``--fidelity`` and the flags that were given (a dict of fields) -> checked
    :class:`Config`.

    Raises :class:`ConfigError` for values out of range, flags that contradict each other, and flags
    that were given but would have no effect.
    """
    given = {name: value for name, value in given.items() if name in FLAGS}
    values = (
        authors.forms(given.get("model", Config.model).lower())
        if given.get("fidelity") == "gluoncv"
        else {}
    )
    values.update(given)
    config = Config(**values)
    asked = authors.without_defaults(given)

    if "mixup_alpha" in given and "mixup" not in given:
        config.mixup = config.mixup_alpha != 0
    if not config.mixup:
        if asked.get("mixup") is False and asked.get("mixup_alpha", 0) > 0:
            raise ConfigError(
                f"--mixup 0 and --mixup-alpha {config.mixup_alpha} contradict each other"
            )
        config.mixup_alpha = 0.0
    config.mixup = config.mixup_alpha != 0

    if config.lr_mode == "exp":
        config.lr_decay = given.get("lr_decay", 0.94)
        config.lr_decay_period = given.get("lr_decay_period", 2)
    elif config.lr_mode == "step" and config.lr_decay_period > 0:
        config.lr_decay_epoch = tuple(
            range(config.lr_decay_period, config.num_epochs, config.lr_decay_period)
        )

    for name in authors.needless(config):
        setattr(config, name, False)
    # train_horovod.py: at the end alone
    if config.fidelity == "gluoncv" and config.val_frequency == 0:
        config.val_frequency = config.num_epochs

    folder = (
        ""
        if config.synthetic or (config.rec_train and not config.data_dir)
        else authors.data_folder(config.data_dir)
    )
    for name, file in (("rec_train", "train.rec"), ("rec_val", "val.rec")):
        if folder and not getattr(config, name):
            setattr(config, name, os.path.join(folder, file))
    for name in ("rec_train", "rec_val"):
        path = getattr(config, name)
        if path and not getattr(config, name + "_idx"):
            setattr(config, name + "_idx", (path[:-4] if path.endswith(".rec") else path) + ".idx")
    config.save_dir = config.save_dir or "runs/" + config.model

    check_ranges(config)
    _check_effects(config, asked)
    return config


def check_ranges(config):
    """Raise :class:`ConfigError` naming the first flag whose value is out of its range.

    For every command that takes some of the flags: the others have their defaults, which are in
    range.
    """
    for name in FLAGS:
        value = getattr(config, name)
        if any(
            isinstance(part, float) and not math.isfinite(part)
            for part in (value if isinstance(value, tuple) else (value,))
        ):
            raise ConfigError(f"{spelling(name)} is {_text(value)}, but has to be finite")
    at_least = dict(
        classes=1,
        input_size=1,
        num_epochs=1,
        batch_size=1,
        accumulate=1,
        num_data_workers=1,
        keep_checkpoints=1,
        val_frequency=1,
        stall_timeout=1,
        log_interval=1,
        max_skipped=1,
        synthetic=0,
        num_training_samples=0,
        max_bad_records=0,
        num_gpus=0,
        cpu_contexts=0,
        save_frequency=0,
        save_interval=0,
        max_steps=0,
        resume_epoch=0,
        mixup_off_epoch=0,
        lr_decay_period=0,
        warmup_epochs=0,
        warmup_lr=0,
        wd=0,
        mixup_alpha=0,
        pca_noise=0,
        seed=0,
    )
    for name, least in at_least.items():
        if not getattr(config, name) >= least:
            raise ConfigError(
                f"{spelling(name)} is {getattr(config, name)}, but has to be at least {least}"
            )
    for name in ("lr", "base_lr", "temperature", "lr_decay"):
        if not getattr(config, name) > 0:
            raise ConfigError(
                f"{spelling(name)} is {getattr(config, name)}, but has to be positive"
            )
    for name, high in (
        ("label_smoothing", 1),
        ("momentum", 1),
        ("color_jitter", 1.000001),
        ("flip", 1.000001),
        ("crop_ratio", 1.000001),
    ):
        if not 0 <= getattr(config, name) < high:
            raise ConfigError(
                "{} is {}, outside of [0, 1{}".format(
                    spelling(name), getattr(config, name), ")" if high == 1 else "]"
                )
            )
    if config.crop_ratio == 0:
        raise ConfigError("--crop-ratio is 0, but has to be positive")
    for name, most in (("crop_area", 1.0), ("crop_aspect", float("inf"))):
        low, high = getattr(config, name)
        if not 0 < low <= high <= most:
            raise ConfigError(
                "{} is {},{}: not a range of positive numbers{}".format(
                    spelling(name), low, high, " up to 1" if most == 1 else ""
                )
            )
    if min(config.rgb_std) <= 0:
        raise ConfigError(f"--rgb-std is {_text(config.rgb_std)}, but has to be positive")
    if config.warmup_epochs > config.num_epochs:
        raise ConfigError(
            f"--warmup-epochs {config.warmup_epochs:g} is longer than --num-epochs {config.num_epochs}"
        )
    if config.hard_weight != -1 and not 0 <= config.hard_weight <= 1:
        raise ConfigError(f"--hard-weight is {config.hard_weight}, neither in [0, 1] nor -1")
    if config.loss_scale != "dynamic" and not config.loss_scale > 0:
        raise ConfigError(
            f"--loss-scale is {config.loss_scale}, but has to be positive or 'dynamic'"
        )
    if config.classes < 2 and config.label_smoothing:
        raise ConfigError(
            f"--label-smoothing needs at least 2 classes, not --classes {config.classes}"
        )


def _check_effects(config, given):
    """A flag that was given and would do nothing is an error: its user believes that it does."""
    if config.resume_states:
        raise ConfigError(
            f"--resume-states {config.resume_states}: GluonCV's optimizer states are a pickle, which can run any code when it is read, so none is read here. "
            "Start from the parameters with --resume-params FILE --resume-epoch N (the momentum starts at zero), "
            "or resume a run of this package with --resume auto."
        )
    if config.linear_scaling and "lr" in given:
        raise ConfigError(
            "--lr is the rate itself and --linear-scaling computes it from --base-lr: give one of the two"
        )
    if config.num_gpus and config.cpu_contexts:
        raise ConfigError(
            "--num-gpus and --cpu-contexts contradict each other: give one of the two"
        )
    if config.use_pretrained and config.use_params:
        raise ConfigError(
            "--use-pretrained and --use-params contradict each other: give one of the two"
        )
    if config.synthetic and (given.get("rec_train") or given.get("data_dir")):
        raise ConfigError(
            "--synthetic makes its own images: leave out --rec-train and --data-dir, or --synthetic"
        )
    for name, has_effect, need in needs(config):
        # The value that says "off" is allowed: it claims nothing.
        if name in given and given[name] not in (0, "", ()) and not has_effect:
            raise ConfigError(
                f"{spelling(name)} has no effect without {need}: leave one out or add the other"
            )
    if config.mixup and config.mixup_off_epoch >= config.num_epochs:
        raise ConfigError(
            f"--mixup-off-epoch {config.mixup_off_epoch} leaves none of the {config.num_epochs} epochs for --mixup"
        )


def needs(config):
    """(flag, whether it has an effect in this run, what it needs for it) of the flags that have
    none without others.
    """
    stepwise = config.lr_mode == "step"
    return [
        ("base_lr", config.linear_scaling, "--linear-scaling"),
        ("warmup_lr", config.warmup_epochs > 0, "--warmup-epochs"),
        ("lr_decay", stepwise or config.lr_mode == "exp", "--lr-mode step or exp"),
        (
            "lr_decay_epoch",
            stepwise and not config.lr_decay_period,
            "--lr-mode step without --lr-decay-period",
        ),
        ("lr_decay_period", stepwise or config.lr_mode == "exp", "--lr-mode step or exp"),
        ("mixup_off_epoch", config.mixup, "--mixup"),
        ("mixup_partner", config.mixup, "--mixup"),
        ("smoothing_form", config.label_smoothing > 0, "--label-smoothing"),
        ("teacher_model", config.teacher, "--teacher"),
        ("temperature", config.teacher, "--teacher"),
        ("hard_weight", config.teacher, "--teacher"),
        (
            "warmup_from",
            config.warmup_epochs > 0 and config.lr_counting == "steps",
            "--warmup-epochs and --lr-counting steps",
        ),
        ("color_form", config.color_jitter > 0, "--color-jitter above 0"),
        ("loss_scale", config.dtype == "float16", "--dtype float16"),
        ("max_skipped", config.dtype == "float16", "--dtype float16"),
        ("resume_epoch", config.resume_params, "--resume-params"),
        (
            "gradient_compression",
            config.kvstore == "horovod" or config.gradient_compression == "none",
            "--kvstore horovod",
        ),
        ("elastic", config.resume or config.elastic == "none", "--resume auto"),
        (
            "stall_timeout",
            config.kvstore == "horovod" or config.kvstore.startswith("dist"),
            "--kvstore horovod or dist_sync",
        ),
    ]


def to_json(config):
    """The resolved flags as JSON text."""
    return json.dumps(dataclasses.asdict(config), indent=1) + "\n"


def from_dict(flags):
    """The :class:`Config` that :func:`to_json` wrote, checked; flags that are missing have their
    defaults.

    Raises :class:`ConfigError` for flags that this version does not have, and values of a wrong
    type or out of range.
    """
    if flags.get("kvstore") == "dist_async":  # of a run from before it was removed
        flags = dict(flags, kvstore="dist_sync")
    unknown = sorted(set(flags) - set(FLAGS))
    if unknown:
        raise ConfigError(
            "flags of another version of gluon_tricks: {}".format(printable(", ".join(unknown)))
        )
    for name, value in flags.items():
        if not _has_type_of(FLAGS[name], value):
            raise ConfigError(
                f"{spelling(name)} is {printable(repr(value))[:80]}, which it cannot be"
            )
    config = Config(
        **{
            name: tuple(value) if isinstance(value, list) else value
            for name, value in flags.items()
        }
    )
    check_ranges(config)
    return config


def _has_type_of(field, value):
    """Whether a value from JSON is one that the flag can have; its range is checked elsewhere."""
    meta, default = field.metadata, field.default
    if meta["choices"]:
        return value in meta["choices"]
    if isinstance(default, tuple):
        with contextlib.suppress(argparse.ArgumentTypeError):
            return isinstance(value, list) and meta["type"](",".join(map(repr, value))) is not None
        return False
    if field.name == "loss_scale":
        return value == "dynamic" or _is_number(value, float)
    if isinstance(default, (bool, str)):
        return isinstance(value, type(default))
    return _is_number(value, meta["type"])


def _is_number(value, kind):
    return isinstance(value, (int, float) if kind is float else int) and not isinstance(value, bool)


def differences(old, new, fields=None):
    """Lines ``--flag: old -> new`` for flags that change a run's meaning (``fields``: or those
    named).
    """
    names = fields or [name for name, field in FLAGS.items() if not field.metadata["free"]]
    return [
        f"{spelling(name)}: {_text(getattr(old, name))} -> {_text(getattr(new, name))}"
        for name in names
        if getattr(old, name) != getattr(new, name)
    ]
