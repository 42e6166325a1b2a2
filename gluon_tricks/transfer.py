"""Published figures on data sets other than ImageNet, as data, and the recipe of each row.

They are the paper's on Places365 (Table 7) and in section 6, and Assembled-CNN's on fine-grained
data sets. ``plan``, recipes/README.md and the tests read the rows here, as they read those on
ImageNet in :mod:`gluon_tricks.paper` and :mod:`gluon_tricks.literature`.
"""

import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Dict, Iterator, Mapping, NamedTuple, Optional, Tuple

from . import literature, paper
from .literature import NO_COLOR, NORMS, OUTSIDE, PAIRS, SMOOTHING
from .paper import COSINE, Score


class Data(NamedTuple):
    """A data set: its published name, its name in ``gluon-tricks prepare``, and the numbers of its
    classes and training images.
    """

    name: str
    prepare: str
    classes: int
    images: int


ADE20K_IMAGES = 20210, 2000  # training, validation
VOC_IMAGES = 16551, 4952  # trainval of 2007 and 2012, test of 2007
PLACES = Data("Places365", "places365", 365, 1803460)
VOC = Data("VOC 2007", "voc", 20, VOC_IMAGES[0])
ADE20K = Data("ADE20K", "ade20k", 150, ADE20K_IMAGES[0])


@dataclass(frozen=True)
class Row:
    """A published training on a data set, its result, and its recipe.

    ``settings`` are like those of :class:`gluon_tricks.paper.Row`.
    """

    work: str  # a table of the paper, or a key of literature.WORKS
    data: Data
    row: str
    scores: Dict[str, float] = field(hash=False)  # in percent, by metric
    recipe: str
    settings: Dict[str, Any] = field(hash=False)
    origin: str  # where the figure was published
    hardware: str
    backbone: str = ""  # the recipe of the run that it starts from; "": random weights
    all_differences: Tuple[str, ...] = ()  # what cannot be reproduced here, or is not known
    digits: int = 2  # decimals of its scores, as published

    @property
    def title(self) -> str:
        """For example ``Table 7, Places365, ResNet-50-D, efficient``."""
        return f"{self.work}, {self.data.name}, {self.row}"

    @property
    def network(self) -> str:
        """The prefix of the backbone's name in the network's name; "" for a classifier."""
        return {"segmentation": "fcn_", "detection": "faster_rcnn_"}.get(
            self.settings.get("task", ""), ""
        )

    @property
    def figures(self) -> Tuple[str, ...]:
        """The scores in percent with their names, with as many digits as were published."""
        return tuple(f"{name} {value:.{self.digits}f}" for name, value in self.scores.items())

    @property
    def figure(self) -> str:
        """The scores in words."""
        return ", ".join(f"{figure} %" for figure in self.figures)


# ---- the paper

FROM_MEMORY = "the paper, from memory"
ON_IMAGENET = {row.recipe: row.settings for row in paper.ROWS}

# Table 7: ResNet-50-D on Places365's validation and test images.
TABLE7 = {
    "efficient": (Score(56.34, 86.87), Score(57.18, 87.28)),
    "best": (Score(56.70, 87.33), Score(57.63, 87.82)),
}


def _places() -> Iterator[Row]:
    trained_as = dict(efficient="table5_resnet50_v1d", best="table6_resnet50_v1d_mixup")
    for name, (validation, _) in TABLE7.items():
        yield Row(
            "Table 7",
            PLACES,
            f"ResNet-50-D, {name}",
            {"top-1": validation.top1, "top-5": validation.top5},
            f"table7_resnet50_v1d_{name}",
            dict(ON_IMAGENET[trained_as[name]], classes=PLACES.classes),
            FROM_MEMORY,
            "8 V100",
            all_differences=("epochs and learning rate are taken to be those on ImageNet",),
        )


class Elsewhere(NamedTuple):
    """A row of Tables 8 and 9: the recipe of a backbone, its top-1 on ImageNet, and its results on
    VOC and ADE20K, all in percent.
    """

    backbone: str
    top1: float
    mean_ap: float  # of Faster-RCNN on VOC 2007's test images
    pixel_accuracy: float  # of FCN on ADE20K's validation images
    mean_iou: float


TABLES_8_AND_9 = {
    "ResNet-50-B, standard": Elsewhere("table8_resnet50_v1b_standard", 76.14, 77.54, 78.08, 37.05),
    "ResNet-50-D, efficient": Elsewhere("table5_resnet50_v1d", 77.16, 78.30, 78.88, 38.88),
    "ResNet-50-D, + cosine": Elsewhere("table6_resnet50_v1d_cosine", 77.91, 79.23, 79.25, 39.33),
    "ResNet-50-D, + label smoothing": Elsewhere(
        "table6_resnet50_v1d_label_smoothing", 78.34, 80.71, 78.64, 38.75
    ),
    "ResNet-50-D, + distillation, no mixup": Elsewhere(
        "table6_resnet50_v1d_distill", 78.67, 80.96, 78.97, 38.90
    ),
    "ResNet-50-D, + mixup, no distillation": Elsewhere(
        "table6_resnet50_v1d_mixup", 79.16, 81.10, 78.47, 37.99
    ),
    "ResNet-50-D, + distillation and mixup": Elsewhere(
        "table6_resnet50_v1d_distill_mixup", 79.29, 81.33, 78.72, 38.40
    ),
}

# GluonCV's published training of faster_rcnn_resnet50_v1b_voc. The flags' defaults add the gradient
# clipping of its code at the time of the paper.
FASTER_RCNN: Dict[str, Any] = dict(
    task="detection",
    classes=VOC.classes,
    dtype="float32",
    optimizer="sgd",
    global_batch=4,
    peak=0.001,
    wd=5e-4,
    lr_decay_epoch=(14, 20),
    num_epochs=20,
    input_size=600,
    color_jitter=0.0,
    pca_noise=0.0,
)


def _detection() -> Iterator[Row]:
    for row, each in TABLES_8_AND_9.items():
        yield Row(
            "Table 8",
            VOC,
            row,
            {"mAP": each.mean_ap},
            re.sub(r"^table\d", "table8_voc", each.backbone),
            dict(FASTER_RCNN, model="faster_rcnn_" + ON_IMAGENET[each.backbone]["model"]),
            FROM_MEMORY,
            "4 V100",
            each.backbone,
            (
                "epochs, batch and rate are taken to be those of GluonCV's "
                "faster_rcnn_resnet50_v1b_voc",
                "whether there was a warmup is not known: there is none here",
            ),
        )


# GluonCV's published training of fcn_resnet50_ade.
FCN: Dict[str, Any] = dict(
    task="segmentation",
    classes=ADE20K.classes,
    dtype="float32",
    optimizer="sgd",
    global_batch=16,
    peak=0.01,
    lr_mode="poly",
    poly_power=0.9,
    num_epochs=120,
    input_size=480,
    crop_ratio=1.0,
    color_jitter=0.0,
    pca_noise=0.0,
)


def _segmentation() -> Iterator[Row]:
    for row, each in TABLES_8_AND_9.items():
        model = "fcn_" + ON_IMAGENET[each.backbone]["model"]
        yield Row(
            "Table 9",
            ADE20K,
            row,
            {"pixel accuracy": each.pixel_accuracy, "mIoU": each.mean_iou},
            re.sub(r"^table\d", "table9", each.backbone),
            dict(FCN, model=model),
            FROM_MEMORY,
            "4 V100",
            each.backbone,
            (
                "epochs, batch and rate are taken to be those of GluonCV's fcn_resnet50_ade",
                "BatchNorm's statistics are those of all GPUs there: --sync-bn",
                "whether the figures are of one scale or of several is not known",
            ),
        )


# ---- Assembled-CNN, fine-tuned: its two scripts for Food-101, and the published facts about the
# other data sets

FINE_TUNED: Dict[str, Any] = dict(
    **COSINE,
    **NO_COLOR,
    **NORMS,
    **OUTSIDE,
    dtype="float32",
    optimizer="sgd",
    global_batch=256,
    peak=0.01,
    wd=1e-3,
    warmup_epochs=5,
    warmup_from=0,
    crop_area=(0.1, 1.0),
    rgb_std=(1.0, 1.0, 1.0),
)
# Each is added to those above it.
REGULARISATION: Dict[str, Dict[str, Any]] = {
    "DropBlock": dict(drop_block=0.3, drop_block_from=0.1),
    "mixup": PAIRS,
    "AutoAugment": dict(auto_augment="imagenet", auto_augment_form="tpu"),
    "label smoothing": SMOOTHING,
}


class FineGrained(NamedTuple):
    """A data set in Assembled-CNN's table: epochs, and top-1 of both networks."""

    data: Data
    epochs: int
    resnet50: float
    assembled: float  # with all of REGULARISATION
    digits: int = 1  # decimals of both

    @property
    def settings(self) -> Dict[str, Any]:
        """The settings of all trainings on it."""
        momentum = max(0.9, round(1 - 10 * FINE_TUNED["global_batch"] / self.data.images, 3))
        own = dict(classes=self.data.classes, num_epochs=self.epochs, bn_momentum=momentum)
        return dict(FINE_TUNED, **own)


FOOD = FineGrained(Data("Food-101", "food101", 101, 75750), 100, 86.99, 92.47, digits=2)
FINE_GRAINED = (
    FOOD,
    FineGrained(Data("Cars", "cars", 196, 8144), 1000, 89.1, 94.4),
    FineGrained(Data("Flowers", "flowers", 102, 2040), 1000, 96.1, 98.9),
    FineGrained(Data("Aircraft", "aircraft", 100, 6667), 800, 78.8, 92.4),
    FineGrained(Data("Pets", "pets", 37, 3680), 1300, 92.5, 94.3),
)
FOOD_STEPS = (90.63, 91.62, 92.11, 92.21)  # Assemble-ResNet-50: plain, + each but the last


def _fine_tuned() -> Iterator[Row]:
    everything = {name: value for added in REGULARISATION.values() for name, value in added.items()}
    for each in FINE_GRAINED:
        yield _tuned(each, "ResNet-50", each.resnet50, "assembled_e0")
        if each is FOOD:
            yield _tuned(each, "ResNet-50-D", 87.63, "assembled_e1")
            yield from _food_steps()
        yield _tuned(each, "Assemble-ResNet-50", each.assembled, "assembled_e11", everything)


def _food_steps() -> Iterator[Row]:
    added: Dict[str, Any] = {}
    yield _tuned(FOOD, "Assemble-ResNet-50, plain", FOOD_STEPS[0], "assembled_e11")
    for (name, more), top1 in zip(REGULARISATION.items(), FOOD_STEPS[1:]):
        added.update(more)
        yield _tuned(FOOD, f"Assemble-ResNet-50, + {name}", top1, "assembled_e11", dict(added))


def _tuned(
    each: FineGrained,
    row: str,
    top1: float,
    backbone: str,
    added: Mapping[str, Any] = MappingProxyType({}),
) -> Row:
    model = {r.recipe: r.settings["model"] for r in literature.ROWS}[backbone]
    differs = literature.WORKS["Assembled-CNN"].differs
    differs += ("weight decay is that of the scripts; an author's write-up has 0.01",)
    if each is not FOOD:
        differs += ("all but epochs and BatchNorm's momentum is taken to be as for Food-101",)
    if "auto_augment" in added:
        differs += ("AutoAugment's policy is that for CIFAR-10 there (95 pairs of operations)",)
    return Row(
        "Assembled-CNN",
        each.data,
        row,
        {"top-1": top1},
        "_".join(["finetune", each.data.prepare, _slug(row)]),
        dict(each.settings, model=model, **added),
        literature.WORKS["Assembled-CNN"].source,
        "4 GPUs",
        backbone,
        differs,
        each.digits,
    )


def _slug(row):
    """``Assemble-ResNet-50, + label smoothing`` -> ``assemble_resnet50_label_smoothing``."""
    words = row.lower().replace("assemble-", "assemble ").replace("-", "").replace("+", "")
    return "_".join(words.replace(",", "").split())


ROWS: Tuple[Row, ...] = (*_places(), *_detection(), *_segmentation(), *_fine_tuned())


def data_with(classes: int, task: str) -> Optional[Data]:
    """The data set here with this many classes for this task, if any."""
    for row in ROWS:
        if row.data.classes == classes and row.settings.get("task", "classification") == task:
            return row.data
    return None
