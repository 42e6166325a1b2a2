"""The differences between the paper and GluonCV's training scripts, the authors' own code.

``--fidelity gluoncv`` selects all of them; docs/fidelity.md explains them. The facts come from
GluonCV's train_imagenet.py and train_horovod.py (scripts/classification/imagenet), and from the
published commands and logs in dmlc/web-data (gluoncv/logs/classification/imagenet).
"""

import os
from typing import Any, Dict, List, Mapping, Sequence, Set

# Flags whose default in the authors' script differs from ours.
SETTINGS = dict(
    smoothing_form="gluoncv",
    color_form="gluoncv",
    crop_fallback="window",
    init="msra",
    hard_weight=0.5,
    mixup_partner="reverse",
    warmup_from=0,
    val_last_batch="wrap",
    lr_decay_epoch=(40, 60),
    num_epochs=3,
)

# Defaults of GluonCV's scripts for the other tasks, where they differ from classification's. The
# paper follows these scripts and names no other values.
TASKS = dict(
    segmentation=dict(
        model="fcn_resnet50_v1d",
        lr=0.01,
        lr_mode="poly",
        poly_power=0.9,
        optimizer="sgd",
        batch_size=4,
        input_size=480,
        crop_ratio=1.0,
        color_jitter=0.0,
        pca_noise=0.0,
    ),
    detection=dict(
        model="faster_rcnn_resnet50_v1d",
        classes=20,
        linear_scaling=True,  # their rate of 0.001 is for 4 images
        base_lr=0.064,
        lr_decay_epoch=(14, 20),
        num_epochs=20,
        optimizer="sgd",
        wd=5e-4,
        batch_size=1,
        input_size=600,
        color_jitter=0.0,
        pca_noise=0.0,
    ),
)

# What --fidelity gluoncv changes for such a task; see docs/segmentation.md.
TASK_SETTINGS: Dict[str, Dict[str, Any]] = dict(
    segmentation=dict(pixel_mean="gluoncv", aux_weight=1.0),
    detection=dict(linear_scaling=False, lr=0.001),
)

# Both scripts' defaults of flags that need others to have an effect. Their logs print these values,
# so a command may give them.
DEFAULTS = dict(
    lr_decay=0.1, lr_decay_epoch=(40, 60), temperature=20.0, hard_weight=0.5, mixup_alpha=0.2
)

# Networks whose published logs come from the script of 2019 or later, which counts updates in its
# schedule.
COUNTED_BY_UPDATES = ("googlenet", "mobilenetv3_large", "mobilenetv3_small")

# Flags in published commands for networks that ignore them (mobilenetv3) or have the feature anyway
# (vgg*_bn): accepted, and turned off.
IGNORED_BY_NETWORK = dict(
    last_gamma=("mobilenetv3_large", "mobilenetv3_small"),
    batch_norm=("vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"),
)

# Flags that work here but are ignored by GluonCV's own networks, so the published runs trained
# without them.
IGNORED_BY_AUTHORS = dict(last_gamma=("resnet18_v1b", "resnet34_v1b"))

# Flags of the authors' scripts that this package lacks: the reason, or None if the scripts ignore
# the flag, too.
FOREIGN_FLAGS = {
    "--logging-dir": None,
    "--auto_aug": "GluonCV does not include the code of that AutoAugment, so the published ResNeSt "
    "figures cannot be reproduced exactly: leave the flag out, or use --auto-augment imagenet",
    "--use_sk": "selective kernels are not in GluonCV's zoo: leave it out",
    "--use_avd": "the ResNeSt of GluonCV's zoo has its average pooling built in: leave it out",
    "--dropblock-prob": "leave it out; our own networks have --drop-block",
    "--no-cuda": "without --num-gpus a run is on the CPU: leave it out",
    # of the script for segmentation
    "--aux": None,  # an FCN always has the auxiliary head
    "--dataset": "leave it out: 'gluon-tricks prepare' makes RecordIO files of a data set, and "
    "--data-dir names their folder",
    "--backbone": "leave it out: --model fcn_resnet50_v1s is GluonCV's FCN with --backbone "
    "resnet50",
    "--checkname": "leave it out: --save-dir names the run's folder",
    "--model-zoo": "leave it out, and use --use-pretrained or 'gluon-tricks evaluate'",
    "--eval": "leave it out, and use 'gluon-tricks evaluate'",
    "--no-val": "leave it out: without --rec-val there is no validation",
}

# Where the authors' scripts look for ImageNet if no file is given.
DATA_FOLDER = "~/.mxnet/datasets/imagenet/rec"


def settings(model: str, task: str = "classification") -> Dict[str, Any]:
    """The values that ``--fidelity gluoncv`` gives to flags for a task and the network called
    ``model``.
    """
    if task in TASK_SETTINGS:
        return dict(TASK_SETTINGS[task])
    return dict(SETTINGS, lr_counting="updates") if model in COUNTED_BY_UPDATES else dict(SETTINGS)


def without_defaults(given: Dict[str, Any]) -> Dict[str, Any]:
    """``given`` (a dict of flags) without those values that ``--fidelity gluoncv`` allows although
    they have no effect.
    """
    if given.get("fidelity") != "gluoncv":
        return given
    return {
        name: value
        for name, value in given.items()
        if name not in DEFAULTS or value != DEFAULTS[name]
    }


def turned_off(config: Any) -> Set[str]:
    """The flags that are turned off in the run of ``config`` even if they were given."""
    tables: List[Mapping[str, Sequence[str]]] = [IGNORED_BY_NETWORK]
    if config.fidelity == "gluoncv":
        tables.append(IGNORED_BY_AUTHORS)
    return {
        name
        for table in tables
        for name, networks in table.items()
        if config.model.lower() in networks
    }


def data_folder(folder: str) -> str:
    """The folder that holds train.rec.

    ``folder``, or its ``rec`` as in GluonCV's data set; if none is named, the authors' default, if
    that exists.
    """
    if not folder:
        default = os.path.expanduser(DATA_FOLDER)
        return default if os.path.exists(os.path.join(default, "train.rec")) else ""
    folder = os.path.expanduser(folder).rstrip("/") or "/"
    inner = os.path.join(folder, "rec")
    outside = os.path.exists(os.path.join(folder, "train.rec"))
    return inner if not outside and os.path.exists(os.path.join(inner, "train.rec")) else folder
