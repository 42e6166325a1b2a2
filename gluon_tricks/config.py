"""Every training flag, once: its type, default, range, help, and the flags it needs.

Names and meanings are those of GluonCV's train_imagenet.py wherever it has the flag; the defaults
are the paper's. Where the authors' code differs, a flag chooses between the two, and ``--fidelity
gluoncv`` sets all of these flags as the authors' scripts do. A new flag is one line of the table
:class:`Config`, which is why this file is long.

>>> config = parse(["--lr-mode", "cosine", "--label-smoothing", "--mixup"])
>>> config.label_smoothing, config.mixup_alpha
(0.1, 0.2)
"""

import argparse
import dataclasses
import json
import math
import os
from dataclasses import dataclass
from functools import partial
from typing import Any, Dict, List, Sequence

from . import fidelity, flags
from .flags import (
    ALL_POSITIVE,
    BELOW_1,
    BY_EPOCH,
    PATH,
    POSITIVE,
    POSITIVE_RANGE,
    RANGE_TO_1,
    SHARE,
    ConfigError,
    Kind,
    Needs,
    Valid,
    at_least,
    differences,
    flag,
    is_number,
    numbers,
    spelling,
    user_path,
    without_effect,
)

# The rest of the package imports these from here, too.
__all__ = [
    "Config",
    "ConfigError",
    "FLAGS",
    "add_arguments",
    "check_ranges",
    "differences",
    "from_dict",
    "in_groups",
    "parse",
    "resolve",
    "spelling",
    "to_json",
    "user_path",
    "without_effect",
]

# ---- kinds, ranges and conditions of particular flags


def _backend(text):
    if text.startswith("dali"):
        raise argparse.ArgumentTypeError(
            "DALI is not used here: threads is our own loader, native is MXNet's ImageRecordIter"
        )
    return "native" if text == "mxnet" else text  # GluonCV's name for it


def kvstore_name(text):
    """The argparse type of ``--kvstore``; a removed name is refused, with its replacement."""
    if text == "dist_async":
        raise argparse.ArgumentTypeError(
            "dist_async was removed: use dist_sync, whose workers take every step together"
        )
    return text


def _loss_scale(text):
    if text == "dynamic":
        return text
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor 'dynamic'") from None


BACKEND = Kind(_backend, "S", lambda value: isinstance(value, str))
KVSTORE = Kind(kvstore_name, "S", lambda value: isinstance(value, str))
LOSS_SCALE = Kind(_loss_scale, "X|dynamic", lambda value: value == "dynamic" or is_number(value))

CROP_RATIO = Valid(
    lambda ratio: 0.1 <= ratio <= 1, ", outside [0.1, 1]: images would be enlarged far too much"
)
EPOCHS = Valid(lambda epochs: min(epochs, default=0) >= 0, ": epochs have to be at least 0")
POSITIVE_OR_DYNAMIC = Valid(
    lambda scale: scale == "dynamic" or scale > 0, ", but has to be positive or 'dynamic'"
)
FILTER = Valid(lambda size: size == 0 or 2 <= size <= 7, ", neither 0 nor from 2 to 7")
SCALES = Valid(
    lambda scales: 0 < len(scales) == len(set(scales)) and min(scales) > 0,
    ": they have to be different positive numbers",
)
COUNTS = Valid(lambda counts: min(counts) >= 1, ": each has to be at least 1")
SIDES = Valid(
    lambda ends: ends == (0, 0) or 1 <= ends[0] <= ends[1], ", neither 0,0 nor a range of lengths"
)
RAMP = Valid(
    lambda ends: 0 <= ends[0] <= ends[1] <= 1 and ends[1] > 0,
    ": not a range within [0, 1] that ends above 0",
)
SHARE_OR_MINUS_1 = Valid(
    lambda weight: weight == -1 or 0 <= weight <= 1, ", neither in [0, 1] nor -1"
)

RESTARTS = Valid(
    lambda cycle: cycle == (0, 1) or (cycle[0] >= 0.01 and cycle[1] >= 1),
    ", but T_0 has to be at least 0.01 and T_mult at least 1",
)

MOMENTUM = Needs(lambda config: config.optimizer != "lamb", "--optimizer nag, sgd or lars")
NAG_OR_SGD = Needs(lambda config: config.optimizer in ("nag", "sgd"), "--optimizer nag or sgd")
LARS = Needs(lambda config: config.optimizer == "lars", "--optimizer lars")
LARS_OR_LAMB = Needs(
    lambda config: config.optimizer in ("lars", "lamb"), "--optimizer lars or lamb"
)
LINEAR_SCALING = Needs(lambda config: config.linear_scaling, "--linear-scaling")
WARMUP = Needs(lambda config: config.warmup_epochs > 0, "--warmup-epochs")
WARMUP_BY_STEPS = Needs(
    lambda config: config.warmup_epochs > 0 and config.lr_counting == "steps",
    "--warmup-epochs and --lr-counting steps",
)
COSINE_OR_POLY = Needs(
    lambda config: config.lr_mode in ("cosine", "poly"), "--lr-mode cosine or poly"
)
COSINE_BY_STEPS = Needs(
    lambda config: config.lr_mode == "cosine" and config.lr_counting == "steps",
    "--lr-mode cosine and --lr-counting steps",
)
STEP_OR_EXP = Needs(lambda config: config.lr_mode in ("step", "exp"), "--lr-mode step or exp")
STEP_AT_EPOCHS = Needs(
    lambda config: config.lr_mode == "step" and not config.lr_decay_period,
    "--lr-mode step without --lr-decay-period",
)
OWN_LOADER = Needs(
    lambda config: config.data_backend == "threads" and not config.synthetic,
    "--data-backend threads and images from a file",
)
ATTENTION = Needs(lambda config: config.attention != "none", "--attention")
ANTI_ALIAS = Needs(lambda config: config.anti_alias > 0, "--anti-alias")
DROP_BLOCK = Needs(lambda config: config.drop_block > 0, "--drop-block")
POLICY_OF_TWO_FORMS = Needs(
    lambda config: config.auto_augment in ("imagenet", "randaugment"),
    "--auto-augment imagenet or randaugment",
)
RANDAUGMENT = Needs(
    lambda config: config.auto_augment == "randaugment", "--auto-augment randaugment"
)
RANDAUGMENT_OF_TIMM = Needs(
    lambda config: config.auto_augment == "randaugment" and config.auto_augment_form == "timm",
    "--auto-augment randaugment and --auto-augment-form timm",
)
ERASING = Needs(lambda config: config.random_erasing > 0, "--random-erasing")
GROWTH = Needs(lambda config: config.batch_growth, "--batch-growth")
COLOR = Needs(lambda config: config.color_jitter > 0, "--color-jitter above 0")
NO_WD = Needs(lambda config: config.no_wd, "--no-wd")
SMOOTHING = Needs(lambda config: config.label_smoothing > 0, "--label-smoothing")
MIXUP = Needs(lambda config: config.mixup, "--mixup")
PAIRS = Needs(lambda config: config.mixup or config.cutmix > 0, "--mixup or --cutmix")
PARTNERS = Needs(
    lambda config: (config.mixup and config.mixup_type == 0) or config.cutmix > 0,
    "--mixup (--mixup-type 0) or --cutmix",
)
SEGMENTATION = Needs(lambda config: config.task == "segmentation", "--task segmentation")
DETECTION = Needs(lambda config: config.task == "detection", "--task detection")
OF_BACKBONES = Needs(
    lambda config: config.task in ("segmentation", "detection"), "--task segmentation or detection"
)
CLIPPED_ONE_BY_ONE = Needs(
    lambda config: (
        config.task == "detection"
        and config.optimizer in ("nag", "sgd")
        and config.momentum_form == "inside"
    ),
    "--task detection, --optimizer nag or sgd, and --momentum-form inside",
)
RANDOM_AREA = Needs(
    lambda config: config.task not in ("segmentation", "detection"),
    "a --task other than segmentation (see --base-size, --scale-range) and detection (see "
    "--max-side)",
)
POLY = Needs(lambda config: config.lr_mode == "poly", "--lr-mode poly")
RESIZING = Needs(lambda config: config.progressive_resizing > 0, "--progressive-resizing")
BCE = Needs(lambda config: config.loss == "bce", "--loss bce")
EMA = Needs(lambda config: config.ema > 0, "--ema")
TEACHER = Needs(lambda config: config.teacher, "--teacher")
DISTILLATION = Needs(
    lambda config: config.teacher or config.teacher_logits, "--teacher or --teacher-logits"
)
FLOAT16 = Needs(lambda config: config.dtype == "float16", "--dtype float16")
HOROVOD = Needs(lambda config: config.kvstore == "horovod", "--kvstore horovod")
WORKERS = Needs(
    lambda config: config.kvstore == "horovod" or config.kvstore.startswith("dist"),
    "--kvstore horovod or dist_sync",
)
RESUME = Needs(lambda config: config.resume, "--resume auto")
RESUME_PARAMS = Needs(lambda config: config.resume_params, "--resume-params")

network, data, augmentation, optimisation, tricks, mixing, devices, run = (
    partial(flag, group=group)
    for group in (
        *("network", "data", "augmentation", "optimisation", "tricks", "batch mixing"),
        *("devices and workers", "run"),
    )
)

# Each task's own defaults, in place of the flags'.
DEFAULTS_OF_TASKS: flags.Defaults = {"classification": {}, **fidelity.TASKS}

# ---- the table


@dataclass
class Config:
    """The flags of one run, resolved by :func:`resolve`."""

    # fmt: off
    model: str = network("resnet50_v1d", section="4",
        help="name of the network; 'gluon-tricks models --all' lists them")
    task: str = network("classification",
        f"what the network is trained for: {', '.join(DEFAULTS_OF_TASKS)} or another registered "
        "task")
    classes: int = network(1000, valid=at_least(1),
        help="number of classes of the network's head; segmentation always needs it")
    use_pretrained: bool = network(False, "start from GluonCV's published parameters")
    use_params: str = network("", kind=PATH,
        help="start from a run's folder, a checkpoint, a parameter file or a folder in timm's "
        "layout, with a new head if the classes differ")
    use_se: bool = network(False, names=["--use_se"],
        help="squeeze-and-excitation blocks (networks that have the option)")
    use_gn: bool = network(False, "GroupNorm instead of BatchNorm (networks that have the option)")
    batch_norm: bool = network(False, "BatchNorm in VGG")
    attention: str = network("none", choices=("none", "se", "sk"),
        help="se: squeeze-and-excitation at the end of a block; sk: selective kernels instead of "
        "its 3x3 convolution; both as in Assembled-CNN")
    attention_reduction: int = network(0, valid=at_least(0), needs=ATTENTION,
        help="reduction ratio of the attention: a block's channels over those between its two 1x1 "
        "convolutions; 0: 16 with se, 2 with sk")
    anti_alias: int = network(0, valid=FILTER, bare=3,
        help="blur after each strided convolution, with a filter of this size (2 to 7); a bare "
        "--anti-alias is 3; 0: none")
    anti_alias_shortcut: bool = network(False, needs=ANTI_ALIAS,
        help="also blur before the convolution of a strided shortcut")
    bl_alpha: int = network(0, valid=at_least(0),
        help="Big-Little: the big branch has this many times the little one's channels; 0: 2")
    bl_beta: int = network(0, valid=at_least(0),
        help="Big-Little: the big branch has about this many times the little one's blocks; 0: 4")
    bl_projection: bool = network(False,
        help="Big-Little: a 1x1 convolution in the first shortcut of every branch, as in "
        "Assembled-CNN")
    drop_block: float = network(0.0, valid=BELOW_1, bare=0.1,
        help="DropBlock in the last two stages; its probability grows linearly to this value over "
        "the run; a bare --drop-block is 0.1")
    drop_block_from: float = network(0.0, valid=BELOW_1, needs=DROP_BLOCK,
        help="the probability in the first step")
    drop_path: float = network(0.0, valid=BELOW_1,
        help="stochastic depth: the probability that an image skips a block, growing from 0 in "
        "the first block to this in the last one")
    gem: bool = network(False, "generalised-mean pooling (p = 3) before the last layer")
    head_rate: float = network(10.0, valid=POSITIVE,
        help="segmentation: the heads' learning rate is this many times that of the backbone")
    anchor_scales: tuple = network((2.0, 4.0, 8.0, 16.0, 32.0), kind=numbers(), valid=SCALES,
        needs=DETECTION, section="6.1",
        help="sides of the square anchors, in units of 16 pixels; those of 1:2 and 2:1 have the "
        "same areas")
    rpn_channels: int = network(1024, valid=at_least(1), needs=DETECTION, section="6.1",
        help="channels of the region proposal network")
    roi_size: int = network(14, valid=at_least(1, 64), needs=DETECTION, section="6.1",
        help="height and width to which the features of a region are pooled")
    proposals: tuple = network((2000, 300), kind=numbers(2, of=int), valid=COUNTS, needs=DETECTION,
        section="6.1", help="regions proposed per image, in training and in evaluation")
    backbone_params: str = network("", kind=PATH, needs=OF_BACKBONES,
        help="start the backbone from a classifier: a run's folder, a checkpoint, a parameter file")
    bn_momentum: float = network(0.0, valid=BELOW_1,
        help="BatchNorm: running = momentum x running + (1 - momentum) x batch; 0: the network's "
        "own, mostly 0.9")
    bn_eps: float = network(0.0, valid=at_least(0),
        help="BatchNorm's epsilon; 0: the network's own, mostly 1e-5")
    sync_bn: bool = network(False, names=["--syncbn"],
        help="BatchNorm over all GPUs of the process instead of each by itself; users report that "
        "MXNet's memory grows with it")
    mode: str = network("hybrid", choices=("hybrid", "imperative", "symbolic"), free=True,
        help="hybrid compiles the network's graph; imperative (in GluonCV also called symbolic) "
        "runs it line by line")
    dtype: str = network("float32", choices=("float32", "float16"), section="3.2",
        help="parameters and activations; float16 keeps a float32 master copy")

    data_dir: str = data("", kind=PATH, free=True,
        help="folder with train.rec, train.idx, val.rec and val.idx")
    use_rec: bool = data(False, "GluonCV's: read RecordIO files, which is always the case "
        "here", free=True)
    rec_train: str = data("", "RecordIO file of the training images", kind=PATH, free=True)
    rec_train_idx: str = data("", kind=PATH, free=True,
        help="its index; default: the same name with .idx")
    rec_val: str = data("", "RecordIO file of the validation images", kind=PATH, free=True)
    rec_val_idx: str = data("", kind=PATH, free=True,
        help="its index; default: the same name with .idx")
    num_training_samples: int = data(0, valid=at_least(0),
        help="images in an epoch; 0: all in the file (1,281,167 in ImageNet)")
    synthetic: int = data(0, valid=at_least(0), bare=1024,
        help="train on this many synthetic images; a bare --synthetic is 1024")
    num_data_workers: int = data(4, valid=at_least(1), free=True, names=["-j", "--data-nthreads"],
        help="threads that decode and augment")
    data_processes: int = data(-1, valid=at_least(-1), needs=OWN_LOADER, free=True,
        help="processes that share -j's threads; 0: only this one; -1: the smaller of -j and the "
        "number of cores, but 0 if that is 2 or less")
    data_backend: str = data("threads", kind=BACKEND, choices=("threads", "native"),
        help="threads: our loader; native (or mxnet): MXNet's ImageRecordIter")
    repeated_augmentation: int = data(1, valid=at_least(1),
        help="an epoch contains each of its images this many times, augmented differently, and so "
        "only 1/N of the images")
    max_bad_records: int = data(10, valid=at_least(0), free=True,
        help="stop after this many broken training images")
    val_last_batch: str = data("exact", choices=("exact", "wrap"), free=True,
        help="exact counts every image once; wrap fills the last batch from the file's start, as "
        "the authors' code does")

    input_size: int = augmentation(224, valid=at_least(1), section="2.1", names=["--crop-size"],
        help="height and width of the network's input")
    crop_ratio: float = augmentation(0.875, valid=CROP_RATIO, section="2.1",
        help="validation: input size over the length of the resized shorter side")
    crop_area: tuple = augmentation((0.08, 1.0), kind=numbers(2), valid=RANGE_TO_1,
        needs=RANDOM_AREA, section="2.1",
        help="range of the random crop's share of the image")
    crop_aspect: tuple = augmentation((0.75, 4 / 3), kind=numbers(2), valid=POSITIVE_RANGE,
        needs=RANDOM_AREA, section="2.1", help="range of the random crop's aspect ratio")
    crop_fallback: str = augmentation("square", choices=("square", "window"), needs=RANDOM_AREA,
        section="2.1",
        help="if ten random crops do not fit: the largest centred square, or an unscaled centred "
        "window of the input size, as in the authors' reader")
    base_size: int = augmentation(520, valid=at_least(1), needs=SEGMENTATION, section="6.2",
        help="length of the side that --scale-range multiplies")
    scale_range: tuple = augmentation((0.5, 2.0), kind=numbers(2), valid=POSITIVE_RANGE,
        needs=SEGMENTATION, section="6.2",
        help="range of the random length of --scale-side, in multiples of --base-size")
    scale_side: str = augmentation("short", choices=("short", "long"), needs=SEGMENTATION,
        section="6.2",
        help="the side with the random length: short, as in GluonCV's published runs, or long, as "
        "in its code since June 2019")
    max_side: int = augmentation(1000, valid=at_least(1), needs=DETECTION, section="6.1",
        help="limit of the longer side in pixels; an image that would exceed it is resized to a "
        "shorter side below --input-size")
    short_range: tuple = augmentation((0, 0), kind=numbers(2, of=int), valid=SIDES, needs=DETECTION,
        help="range, ends included, from which each training image's shorter side is drawn; 0,0: "
        "always --input-size, as in evaluation")
    max_boxes: int = augmentation(100, valid=at_least(1), needs=DETECTION, section="6.1",
        help="limit on the boxes of an image")
    blur: float = augmentation(0.5, valid=SHARE, needs=SEGMENTATION, section="6.2",
        help="probability of a Gaussian blur of up to one pixel")
    flip: float = augmentation(0.5, "probability of a horizontal flip", valid=SHARE, section="2.1")
    color_jitter: float = augmentation(0.4, valid=SHARE, section="2.1",
        help="colour coefficients are uniform in [1 - X, 1 + X]; 0: off")
    color_form: str = augmentation("paper", choices=("paper", "gluoncv"), needs=COLOR,
        section="2.1",
        help="paper: hue, saturation, brightness; gluoncv: brightness, contrast, saturation")
    pca_noise: float = augmentation(0.1, valid=at_least(0), section="2.1",
        help="standard deviation of the PCA noise's coefficients; 0: off")
    auto_augment: str = augmentation("none",
        choices=("none", "imagenet", "v0", "randaugment", "trivial"),
        help="operations drawn for each image: AutoAugment's policy for ImageNet, EfficientNet's "
        "v0, RandAugment, TrivialAugment-Wide")
    auto_augment_form: str = augmentation("torchvision", needs=POLICY_OF_TWO_FORMS,
        choices=("torchvision", "tpu", "timm"),
        help="whose strengths: torchvision's; the TPU code's, as in Assembled-CNN (imagenet only); "
        "timm's (randaugment only). v0 always has the TPU code's")
    randaugment_ops: int = augmentation(2, valid=at_least(1), needs=RANDAUGMENT,
        help="RandAugment: operations per image")
    randaugment_magnitude: float = augmentation(9.0, valid=at_least(0), needs=RANDAUGMENT,
        help="RandAugment: strength of the operations, 0 to 30 (timm: 0 to 10)")
    randaugment_std: float = augmentation(0.0, valid=at_least(0), needs=RANDAUGMENT_OF_TIMM,
        help="RandAugment, timm: standard deviation of the strength")
    random_erasing: float = augmentation(0.0, valid=SHARE,
        help="probability of covering a random rectangle of the normalised image")
    erasing_fill: str = augmentation("zero", choices=("zero", "noise"), needs=ERASING,
        help="fill with zeros, as torchvision, or with Gaussian noise, as timm's recipes")
    cutout: int = augmentation(0, valid=at_least(0),
        help="cover a random square with sides of this many pixels; 0: none")
    test_size: int = augmentation(0, valid=at_least(0),
        help="height and width of validation images, also when the run is evaluated or exported; "
        "0: --input-size")
    device_augment: bool = data(False,
        help="send uint8 batches to the device, and do colour and normalisation there")
    rgb_mean: tuple = augmentation((123.68, 116.779, 103.939), kind=numbers(3), section="2.1",
        help="subtracted from R, G, B (0 to 255)")
    rgb_std: tuple = augmentation((58.393, 57.12, 57.375), kind=numbers(3), valid=ALL_POSITIVE,
        section="2.1", help="divides R, G, B after that")

    num_epochs: int = optimisation(120, "epochs of training", valid=at_least(1), section="2.1",
        names=["--epochs"])
    batch_size: int = optimisation(32, valid=at_least(1), section="2.1",
        help="images per device (and micro-batch)")
    accumulate: int = optimisation(1, valid=at_least(1), free=True, section="3.1",
        help="micro-batches whose gradients are summed before an update")
    optimizer: str = optimisation("nag", choices=("nag", "sgd", "lars", "lamb"), section="2.1",
        help="nag: Nesterov's accelerated gradient; sgd: plain momentum; lars and lamb, for large "
        "batches: momentum and Adam with a rate for each layer")
    momentum: float = optimisation(0.9, "momentum", valid=BELOW_1, needs=MOMENTUM, section="2.1")
    momentum_form: str = optimisation("inside", choices=("inside", "outside"), needs=NAG_OR_SGD,
        section="2.1", help="inside: the velocity includes the learning rate, as in MXNet; "
        "outside: it does not, as in TensorFlow and PyTorch")
    layer_rates: str = optimisation("weights", choices=("weights", "all"), needs=LARS_OR_LAMB,
        help="lars and lamb: which parameters have a rate of their own, from their norms: only the "
        "weights of convolutions and dense layers, or biases, gamma and beta as well")
    lars_eta: float = optimisation(0.001, valid=POSITIVE, needs=LARS,
        help="LARS's trust coefficient eta")
    clip_norm: float = optimisation(0.0, valid=at_least(0),
        help="scale the gradient down to this Euclidean norm if its own is larger; 0: never")
    clip_gradient: float = optimisation(5.0, valid=at_least(0), needs=CLIPPED_ONE_BY_ONE,
        section="6.1", help="clip each element of the gradient to [-X, X], as in the authors' code "
        "at the time of the paper; 0: never")
    wd: float = optimisation(1e-4, "weight decay", valid=at_least(0), section="2.1",
        names=["--weight-decay"])
    lr: float = optimisation(0.1, "the learning rate itself", valid=POSITIVE, section="2.1")
    linear_scaling: bool = optimisation(False, section="3.1",
        help="learning rate = base rate x global batch / 256")
    base_lr: float = optimisation(0.1, valid=POSITIVE, needs=LINEAR_SCALING, section="3.1",
        help="the rate for 256 images that --linear-scaling scales")
    warmup_epochs: float = optimisation(0, valid=at_least(0), section="3.1",
        help="epochs over which the rate grows linearly")
    warmup_lr: float = optimisation(0.0, valid=at_least(0), needs=WARMUP, section="3.1",
        help="learning rate at the start of the warmup")
    warmup_from: int = optimisation(1, choices=(0, 1), needs=WARMUP_BY_STEPS, section="3.1",
        help="the first batch's i in the warmup's i x lr / m: 1 in the paper, 0 in the authors' "
        "code")
    lr_counting: str = optimisation("steps", choices=("steps", "updates"), section="5.1",
        help="steps: as in the paper; updates: as in the authors' code since 2019, which counts "
        "from the first update to the last but one")
    lr_mode: str = optimisation("step", choices=("step", "cosine", "poly", "exp", "constant"),
        section="5.1", help="how the rate falls after the warmup")
    poly_power: float = optimisation(2.0, valid=POSITIVE, needs=POLY,
        help="poly: exponent of 1 - t / T; 2 in the authors' classification, 0.9 in their "
        "segmentation")
    lr_restarts: tuple = optimisation((0.0, 1.0), kind=numbers(2), valid=RESTARTS,
        needs=COSINE_BY_STEPS, help="cosine: T_0,T_mult: restart from the initial rate (SGDR), "
        "first after T_0 epochs, then each time after T_mult times as many; 0,1: never")
    lr_min: float = optimisation(0.0, valid=at_least(0), needs=COSINE_OR_POLY,
        help="learning rate at the end of cosine and poly")
    lr_decay: float = optimisation(0.1, valid=POSITIVE, needs=STEP_OR_EXP, section="5.1",
        help="factor of step (0.1) and exp (0.94)")
    lr_decay_epoch: tuple = optimisation((30, 60, 90), kind=numbers(of=int),
        valid=EPOCHS, needs=STEP_AT_EPOCHS, section="2.1", help="epochs at which step multiplies "
        "the rate by --lr-decay")
    lr_decay_period: int = optimisation(0, valid=at_least(0), needs=STEP_OR_EXP, section="5.1",
        help="step and exp: epochs between two decays (exp: 2); 0: step decays at "
        "--lr-decay-epoch")
    batch_growth: str = optimisation("", kind=BY_EPOCH,
        help="multiply the images per update by these factors from these epochs on, instead of "
        "decaying the rate: 30:x10,60:x10 (arXiv 1711.00489)")
    max_batch: int = optimisation(0, valid=at_least(0), needs=GROWTH,
        help="limit on the images per update with --batch-growth; beyond it, the rate is divided; "
        "0: no limit")
    init: str = optimisation("xavier", choices=("xavier", "msra", "xavier-gaussian"),
        section="2.1", help="initial weights: xavier is the paper's, msra and xavier-gaussian are "
        "those of the authors' two scripts")
    loss_scale: object = optimisation("dynamic", kind=LOSS_SCALE, valid=POSITIVE_OR_DYNAMIC,
        needs=FLOAT16, section="3.2", help="float16: factor on the loss, or 'dynamic'")
    max_skipped: int = optimisation(20, valid=at_least(1), needs=FLOAT16, section="3.2",
        help="float16: stop after this many non-finite gradients in a row")

    last_gamma: bool = tricks(False, section="3.1",
        help="gamma = 0 in the last BatchNorm of every residual block")
    no_wd: bool = tricks(False, "no weight decay on biases, gamma and beta", section="3.1")
    no_wd_form: str = tricks("paper", choices=("paper", "norms"), needs=NO_WD, section="3.1",
        help="paper: biases, gamma and beta have no decay; norms: biases have it, as in "
        "Assembled-CNN's and torchvision's code")
    label_smoothing: float = tricks(0.0, valid=BELOW_1, bare=0.1, section="5.2",
        help="epsilon, the probability spread over the other classes; a bare --label-smoothing is "
        "0.1")
    smoothing_form: str = tricks("paper", choices=("paper", "gluoncv"), needs=SMOOTHING,
        section="5.2", help="paper: epsilon / (K - 1) for each other class; gluoncv: epsilon / K "
        "for every class")
    loss: str = tricks("cross-entropy", choices=("cross-entropy", "bce"),
        help="bce: binary cross entropy, averaged over the classes; a teacher's soft loss remains "
        "a sum over them")
    bce_target_threshold: float = tricks(0.0, valid=BELOW_1, needs=BCE,
        help="after mixing, targets above this become 1 and the others 0; 0: targets are left as "
        "they are")
    aux_weight: float = tricks(0.5, valid=at_least(0), needs=SEGMENTATION, section="6.2",
        help="weight of the auxiliary head's loss")
    pixel_mean: str = tricks("paper", choices=("paper", "gluoncv"), needs=SEGMENTATION,
        section="6.2",
        help="paper: the loss is the mean over the labelled pixels of a device's part of the "
        "batch; gluoncv: that divided by the number of its images, which is what the authors' "
        "step amounts to")
    rpn_sample: int = tricks(256, valid=at_least(2), needs=DETECTION, section="6.1",
        help="anchors per image in the loss, at most half of them objects")
    roi_sample: int = tricks(128, valid=at_least(4), needs=DETECTION, section="6.1",
        help="regions per image in the loss, at most a quarter of them objects")
    mixup: bool = mixing(False, "mix pairs of images and labels", section="5.4")
    mixup_alpha: float = mixing(0.2, valid=at_least(0), section="5.4",
        help="lambda ~ Beta(alpha, alpha); giving it turns --mixup on, or with 0 off")
    mixup_off_epoch: int = mixing(0, valid=at_least(0), needs=PAIRS, section="5.4",
        help="no mixup or CutMix in the last N epochs")
    mixup_partner: str = mixing("random", choices=("random", "reverse"), needs=PARTNERS,
        section="5.4", help="random: a random permutation of the batch; reverse: the reversed "
        "batch, as in the authors' code")
    mixup_type: int = mixing(0, choices=(0, 1, 2), needs=MIXUP, section="5.4",
        help="0: one lambda per batch, as in the paper; 1 and 2: one per pair, as in "
        "Assembled-CNN: 1 reads two images for each mixed one, 2 makes two mixed images of "
        "each pair")
    cutmix: float = mixing(0.0, valid=at_least(0),
        help="CutMix, lambda ~ Beta(X, X); with mixup, each step uses one of the two; 0: none")
    progressive_resizing: int = mixing(0, valid=at_least(0),
        help="start with images of this size, resized on the device; 0: always --input-size")
    resizing_ramp: tuple = mixing((0.4, 0.8), kind=numbers(2), valid=RAMP, needs=RESIZING,
        help="the size grows between these fractions of the run")
    resizing_multiple: int = mixing(4, valid=at_least(1), needs=RESIZING,
        help="the size is rounded to a multiple of this")
    ema: float = tricks(0.0, valid=BELOW_1,
        help="validate and save an exponential moving average of the weights with this decay; 0: "
        "the weights themselves")
    ema_every: int = tricks(1, valid=at_least(1), needs=EMA,
        help="steps between updates of the average")
    teacher: str = tricks("", kind=PATH, section="5.3",
        help="distil from this network: a run's folder, a parameter file, a folder in timm's "
        "layout, or a name (published parameters)")
    teacher_model: str = tricks("", needs=TEACHER, section="5.3",
        help="the teacher's network, if --teacher is only a parameter file")
    teacher_logits: str = tricks("", kind=PATH,
        help="distil from the logits that 'gluon-tricks logits' stored in this file")
    temperature: float = tricks(20.0, valid=POSITIVE, needs=DISTILLATION, section="5.3",
        help="softens the outputs of teacher and student")
    hard_weight: float = tricks(-1.0, valid=SHARE_OR_MINUS_1, needs=DISTILLATION, section="5.3",
        help="h: h x hard + (1 - h) x soft loss, as in the authors' code; -1: their plain sum, as "
        "in the paper")

    num_gpus: int = devices(0, valid=at_least(0), free=True, names=["--ngpus"],
        help="GPUs of this process; 0: CPU. A Horovod worker uses one, that of its local rank")
    deterministic: bool = devices(False, free=True,
        help="bit-identical runs of the same seed on GPUs, too: sets MXNET_ENFORCE_DETERMINISM=1 "
        "and MXNET_CUDNN_AUTOTUNE_DEFAULT=0")
    cpu_contexts: int = devices(0, valid=at_least(0, 256), free=True,
        help="train on this many CPU contexts as if they were GPUs")
    kvstore: str = devices("device", kind=KVSTORE, free=True,
        choices=("local", "device", "dist_sync", "dist_device_sync", "horovod"),
        help="how gradients are exchanged: within this process (local, device), over MXNet's "
        "parameter server (dist_sync, dist_device_sync), or between Horovod's workers")
    elastic: str = devices("none", choices=("none", "keep-batch", "scale-lr"), needs=RESUME,
        free=True, help="a run resumed by more or fewer workers keeps its global batch "
        "(keep-batch), or scales it with them, and the learning rate with it (scale-lr)")
    gradient_compression: str = devices("none", choices=("none", "fp16"), needs=HOROVOD,
        help="Horovod: fp16 sends gradients as float16")
    stall_timeout: int = devices(120, valid=at_least(1), needs=WORKERS, free=True,
        help="seconds that a worker waits for the others before it gives up")

    fidelity: str = run("paper", choices=("paper", "gluoncv"),
        help="gluoncv selects the authors' form wherever it differs from the paper's")
    seed: int = run(0, "seed of everything random",
        valid=at_least(0, math.inf))
    save_dir: str = run("", "the run's folder; default: runs/MODEL", kind=PATH, free=True)
    save_frequency: int = run(1, valid=at_least(0), free=True,
        help="epochs between checkpoints; 0: only at the end")
    save_interval: int = run(0, valid=at_least(0), free=True,
        help="steps between additional checkpoints; 0: only those of --save-frequency")
    keep_checkpoints: int = run(2, valid=at_least(1), free=True,
        help="checkpoints to keep, besides the best and the last")
    val_frequency: int = run(1, valid=at_least(1), free=True, names=["--eval-frequency"],
        help="epochs between validations")
    log_interval: int = run(50, "steps between two lines of the log", valid=at_least(1), free=True)
    logging_file: str = run("", kind=PATH, free=True,
        help="also write the log as plain text to this file (a relative path starts at the run's "
        "folder)")
    tensorboard: bool = run(False, free=True,
        help="also write TensorBoard events (extra: tensorboard)")
    max_steps: int = run(0, valid=at_least(0), free=True,
        help="stop after this many steps of this command, with a checkpoint; 0: run to the end")
    resume: str = run("", kind=PATH, free=True,
        help="auto: resume from the last complete checkpoint in --save-dir, if any; or the folder "
        "of a checkpoint")
    resume_epoch: int = run(0, valid=at_least(0), needs=RESUME_PARAMS,
        help="GluonCV's: the epoch to start from, with --resume-params")
    resume_params: str = run("", kind=PATH, free=True,
        help="GluonCV's: parameters to start from at --resume-epoch, with fresh momentum")
    resume_states: str = run("", kind=PATH, free=True,
        help="GluonCV's pickled optimizer states: refused")
    # fmt: on


FLAGS = {field.name: field for field in dataclasses.fields(Config)}


def in_groups(*groups: str) -> List[str]:
    """The names of the flags under these headings of the help."""
    return [name for name, field in FLAGS.items() if field.metadata["group"] in groups]


# ---- reading flags


def add_arguments(
    parser: Any, only: Sequence[str] = (), defaults: flags.Defaults = DEFAULTS_OF_TASKS
) -> None:
    """Add the flags (or only those named in ``only``) to a parser, without defaults, so its result
    has only the flags that were given. ``defaults`` are those shown in the help.
    """
    flags.add_arguments(parser, [FLAGS[name] for name in only or FLAGS], defaults)
    for name in fidelity.FOREIGN_FLAGS if not only else ():
        unset = argparse.SUPPRESS
        parser.add_argument(
            name, nargs="?", action=_Foreign, dest=unset, default=unset, help=argparse.SUPPRESS
        )


class _Foreign(argparse.Action):
    """A flag of the authors' scripts that this package lacks: refused with the reason, unless it is
    off or has no effect in their scripts either.
    """

    def __call__(self, parser, namespace, values, option_string=None):
        if fidelity.FOREIGN_FLAGS[option_string] and values not in ("0", "0.0"):
            raise ConfigError(f"{option_string}: {fidelity.FOREIGN_FLAGS[option_string]}")


def parse(argv: Sequence[str]) -> Config:
    """The resolved :class:`Config` of a list of arguments."""
    parser = argparse.ArgumentParser(prog="gluon-tricks train", allow_abbrev=False)
    add_arguments(parser)
    return resolve(vars(parser.parse_args(argv)))


def resolve(given: Dict[str, Any]) -> Config:
    """The checked :class:`Config` of the given flags, which override the defaults and the values
    that ``--fidelity`` selects.

    Raises :class:`ConfigError` for values out of range, for flags that contradict each other, and
    for given flags that would have no effect.
    """
    given = {name: value for name, value in given.items() if name in FLAGS}
    model = given.get("model", Config.model).lower()
    task = given.get("task", Config.task)
    theirs = dict(fidelity.TASKS.get(task, {}))
    if given.get("fidelity") == "gluoncv":
        theirs.update(fidelity.settings(model, task))
    if "lr" in given:  # the rate itself
        theirs.pop("linear_scaling", None)
    config = Config(**{**theirs, **given})
    asked = fidelity.without_defaults(given)

    _resolve_mixup(config, given, asked)
    _resolve_decay(config, given)
    for name in fidelity.turned_off(config):
        setattr(config, name, False)
    # train_horovod.py: only at the end
    if config.fidelity == "gluoncv" and config.val_frequency == 0:
        config.val_frequency = config.num_epochs
    _resolve_paths(config)

    check_ranges(config)
    _check_contradictions(config, asked)
    flags.check_effects(config, asked)
    return config


def _resolve_mixup(config, given, asked):
    """An alpha turns mixup on or off, unless --mixup is given."""
    if "mixup_alpha" in given and "mixup" not in given:
        config.mixup = config.mixup_alpha != 0
    if not config.mixup:
        if asked.get("mixup") is False and asked.get("mixup_alpha", 0) > 0:
            raise ConfigError(
                f"--mixup 0 and --mixup-alpha {config.mixup_alpha} contradict each other"
            )
        config.mixup_alpha = 0.0
    config.mixup = config.mixup_alpha != 0


def _resolve_decay(config, given):
    if config.lr_mode == "exp":
        config.lr_decay = given.get("lr_decay", 0.94)
        config.lr_decay_period = given.get("lr_decay_period", 2)
    elif config.lr_mode == "step" and config.lr_decay_period > 0:
        config.lr_decay_epoch = tuple(
            range(config.lr_decay_period, config.num_epochs, config.lr_decay_period)
        )


def _resolve_paths(config):
    """Fill in the paths that were not given: record files, their indices, and the run's folder."""
    folder = ""
    if not config.synthetic and (config.data_dir or not config.rec_train):
        folder = fidelity.data_folder(config.data_dir)
    for split in ("train", "val"):
        path = getattr(config, f"rec_{split}") or (
            os.path.join(folder, f"{split}.rec") if folder else ""
        )
        setattr(config, f"rec_{split}", path)
        if path and not getattr(config, f"rec_{split}_idx"):
            stem = path[:-4] if path.endswith(".rec") else path
            setattr(config, f"rec_{split}_idx", stem + ".idx")
    config.save_dir = config.save_dir or "runs/" + config.model


# ---- checks of several flags together


def check_ranges(config: Config) -> None:
    """Raise :class:`ConfigError` for the first flag whose value is out of range.

    Also for commands that take only some of the flags: the others have their defaults, which are in
    range.
    """
    flags.check_ranges(config)
    if config.warmup_epochs > config.num_epochs:
        raise ConfigError(
            f"--warmup-epochs {config.warmup_epochs:g} is longer than "
            f"--num-epochs {config.num_epochs}"
        )
    if config.classes < 2 and config.label_smoothing:
        raise ConfigError(
            f"--label-smoothing needs at least 2 classes, not --classes {config.classes}"
        )


# Flags of classification that do not apply to masks.
NOT_FOR_MASKS = (
    *("mixup", "cutmix", "progressive_resizing", "random_erasing", "cutout"),
    *("label_smoothing", "loss", "teacher", "teacher_logits"),
    *("synthetic", "data_backend", "val_last_batch"),
)
# Flags that do not apply to a detector, by reason.
NOT_FOR_BOXES = {
    "whose labels are boxes": NOT_FOR_MASKS,
    "whose images are only resized and mirrored": (
        *("auto_augment", "color_jitter", "pca_noise", "crop_ratio", "test_size"),
    ),
    "whose norms are frozen": ("sync_bn", "bn_momentum", "last_gamma"),
    "whose box coordinates need more precision than float16 has": ("dtype",),
}
MOST_CLASSES_OF_MASKS = 255  # 0 to 254; 255 marks pixels without a class
MOST_PIXELS_OF_A_PART = 1 << 24  # up to which float32 can count


def _not_for(task, why, name):
    """The contradiction between a flag and a task to which it does not apply."""
    usual = fidelity.TASKS[task].get(name, FLAGS[name].default)
    return (
        lambda config, given: config.task == task and getattr(config, name) != usual,
        f"{spelling(name)} {{0.{name}}} does not apply to --task {task}, {why}: leave it out",
    )


# Flags that cannot be combined: a test of (config, the given flags), and the message.
CONTRADICTIONS = (
    (
        lambda config, given: config.resume_states,
        "--resume-states {0.resume_states}: GluonCV's optimizer states are a pickle, which can run "
        "any code when it is loaded, so it is not loaded here. Start from the parameters with "
        "--resume-params FILE --resume-epoch N (the momentum starts at zero), or resume a run of "
        "this package with --resume auto.",
    ),
    (
        lambda config, given: config.linear_scaling and "lr" in given,
        "--lr sets the rate itself and --linear-scaling computes it from --base-lr: give one of "
        "the two",
    ),
    (
        lambda config, given: config.num_gpus and config.cpu_contexts,
        "--num-gpus and --cpu-contexts contradict each other: give one of the two",
    ),
    (
        lambda config, given: config.kvstore == "horovod" and config.cpu_contexts > 1,
        "--kvstore horovod: a worker has one device, so start more workers instead of "
        "--cpu-contexts",
    ),
    (
        lambda config, given: config.resume_params and config.resume_epoch >= config.num_epochs,
        "--resume-epoch {0.resume_epoch} leaves no epoch to train of --num-epochs {0.num_epochs}",
    ),
    (
        lambda config, given: config.use_pretrained and config.use_params,
        "--use-pretrained and --use-params contradict each other: give one of the two",
    ),
    (
        lambda config, given: (
            config.backbone_params and (config.use_pretrained or config.use_params)
        ),
        "--backbone-params and --use-params or --use-pretrained contradict each other: give one of "
        "them",
    ),
    (
        lambda config, given: (
            config.synthetic and (given.get("rec_train") or given.get("data_dir"))
        ),
        "--synthetic generates its images: leave out --rec-train and --data-dir, or --synthetic",
    ),
    (
        lambda config, given: (
            (config.auto_augment, config.auto_augment_form)
            in (("imagenet", "timm"), ("randaugment", "tpu"))
        ),
        "--auto-augment {0.auto_augment} has no --auto-augment-form {0.auto_augment_form}",
    ),
    (
        lambda config, given: (
            config.auto_augment == "randaugment"
            and config.randaugment_magnitude > (10 if config.auto_augment_form == "timm" else 30)
        ),
        "--randaugment-magnitude {0.randaugment_magnitude:g} is above the maximum, which is 10 "
        "with --auto-augment-form timm, else 30",
    ),
    (
        lambda config, given: config.mixup and config.mixup_type == 1 and config.cutmix,
        "--mixup-type 1 reads two images for each mixed one, but --cutmix reads one: leave one of "
        "the two out",
    ),
    (
        lambda config, given: config.mixup and config.mixup_type == 2 and config.batch_size % 2,
        "--mixup-type 2 mixes the two halves of a batch, but --batch-size {0.batch_size} is odd",
    ),
    (
        lambda config, given: config.progressive_resizing >= config.input_size,
        "--progressive-resizing {0.progressive_resizing} is not below --input-size {0.input_size}",
    ),
    *(_not_for("segmentation", "whose labels are masks", name) for name in NOT_FOR_MASKS),
    *(_not_for("detection", why, name) for why, names in NOT_FOR_BOXES.items() for name in names),
    (
        lambda config, given: config.task == "detection" and config.max_side < config.input_size,
        "--max-side {0.max_side} is below --input-size {0.input_size}, the shorter side",
    ),
    (
        lambda config, given: (
            config.task == "detection" and config.max_side < 16 * min(config.anchor_scales)
        ),
        "--anchor-scales: even the smallest anchor, 16 pixels times the smallest scale, does not "
        "fit in --max-side {0.max_side}",
    ),
    (
        lambda config, given: config.short_range[1] > config.max_side,
        "--max-side {0.max_side} is below {0.short_range[1]}, the upper end of --short-range",
    ),
    (
        lambda config, given: (
            config.task == "detection" and config.roi_sample > config.proposals[0]
        ),
        "--roi-sample {0.roi_sample} is more than the {0.proposals[0]} regions of --proposals in "
        "training",
    ),
    (
        lambda config, given: (
            config.task == "segmentation" and config.classes > MOST_CLASSES_OF_MASKS
        ),
        "--classes {0.classes}: masks have at most 255 classes; give the number of lines in the "
        "data's labels.txt",
    ),
    (
        lambda config, given: (
            config.task == "segmentation"
            and config.batch_size * config.input_size**2 > MOST_PIXELS_OF_A_PART
        ),
        "--batch-size {0.batch_size} at --input-size {0.input_size}: a device can count at most "
        "16,777,216 pixels at once; use a smaller --batch-size, and --accumulate",
    ),
    (
        lambda config, given: config.sync_bn and config.kvstore.startswith(("horovod", "dist")),
        "--sync-bn spans the devices of one process, but --kvstore {0.kvstore} has several "
        "processes: leave one of the two out",
    ),
    (
        lambda config, given: config.sync_bn and config.dtype == "float16",
        "--sync-bn and --dtype float16: MXNet's SyncBatchNorm takes only float32; leave one of the "
        "two out",
    ),
    (
        lambda config, given: config.cutout >= 2 * config.input_size,
        "--cutout {0.cutout} covers the whole of every image of --input-size {0.input_size}",
    ),
    (
        lambda config, given: config.teacher and config.teacher_logits,
        "--teacher and --teacher-logits contradict each other: give one of the two",
    ),
    (
        lambda config, given: (
            config.teacher_logits and (config.synthetic or config.data_backend == "native")
        ),
        "--teacher-logits are looked up by record keys, which neither --synthetic nor "
        "--data-backend native has",
    ),
    (
        lambda config, given: any(
            epoch < config.warmup_epochs for epoch, _ in flags.by_epoch(config.batch_growth)
        ),
        "--batch-growth {0.batch_growth} begins within the warmup of {0.warmup_epochs:g} epochs",
    ),
    (
        lambda config, given: (
            config.lr_mode == "step"
            and {epoch for epoch, _ in flags.by_epoch(config.batch_growth)}
            & set(config.lr_decay_epoch)
        ),
        "--batch-growth {0.batch_growth} replaces a decay of the rate, but --lr-mode step has one "
        "at the same epoch: use --lr-mode constant, or leave that epoch out of --lr-decay-epoch",
    ),
    (
        lambda config, given: any(
            epoch >= config.num_epochs for epoch, _ in flags.by_epoch(config.batch_growth)
        ),
        "--batch-growth {0.batch_growth} goes beyond --num-epochs {0.num_epochs}",
    ),
    (
        lambda config, given: config.batch_growth and config.lr_counting == "updates",
        "--lr-counting updates is the authors' schedule, which has no --batch-growth: leave one of "
        "the two out",
    ),
    (
        lambda config, given: (
            (config.mixup or config.cutmix) and config.mixup_off_epoch >= config.num_epochs
        ),
        "--mixup-off-epoch {0.mixup_off_epoch} leaves no epoch for --mixup and --cutmix of "
        "--num-epochs {0.num_epochs}",
    ),
    (
        lambda config, given: config.bce_target_threshold and config.label_smoothing,
        "--bce-target-threshold {0.bce_target_threshold:g} makes targets 0 or 1, which undoes "
        "--label-smoothing {0.label_smoothing:g}: leave one of the two out",
    ),
    (
        lambda config, given: not config.linear_scaling and config.lr_min > config.lr,
        "--lr-min {0.lr_min:g} is more than --lr {0.lr:g}",
    ),
)


def _check_contradictions(config, given):
    for holds, reason in CONTRADICTIONS:
        if holds(config, given):
            raise ConfigError(reason.format(config))


# ---- JSON


def to_json(config: Config) -> str:
    """The resolved flags as JSON text."""
    return json.dumps(dataclasses.asdict(config), indent=1) + "\n"


def from_dict(values: Dict[str, Any]) -> Config:
    """The :class:`Config` that :func:`to_json` wrote, checked; missing flags have their defaults.

    Raises :class:`ConfigError` for flags that this version does not have, and for values of the
    wrong type or out of range.
    """
    if values.get("kvstore") == "dist_async":  # a run from before it was removed
        values = dict(values, kvstore="dist_sync")
    config = flags.from_json(Config, values)
    check_ranges(config)
    return config
