"""The paper's published figures once, as data, and the recipe that reproduces each row of Tables 2 to 6.

He et al., Bag of Tricks for Image Classification with Convolutional Neural Networks, arXiv 1812.01187. The recipes'
table, ``report`` and the tests read the figures here. A figure whose ``confirmed`` is False was not seen in the
paper's own text by whoever wrote it down.

recipes/README.md is made from it by :mod:`gluon_tricks.reporting.recipes`.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, Optional

TRAINING_IMAGES, VALIDATION_IMAGES = 1281167, 50000  # ImageNet-1k


class Score(NamedTuple):
    """Accuracy on ImageNet's 50,000 validation images, in percent; None: not published."""

    top1: float
    top5: Optional[float] = None
    confirmed: bool = True


class Speed(NamedTuple):
    """How long an epoch takes, and where that stands."""

    minutes: float
    source: str


@dataclass(frozen=True)
class Row:
    """A row of Tables 2 to 6, or a teacher's run: what is trained, what came out, and its recipe.

    ``settings`` holds what decides the result: the names of :mod:`gluon_tricks.config` with the row's values,
    ``global_batch`` (images in a step), ``peak`` (the learning rate after the warmup), and ``distilled``.
    """

    table: int  # 0: a teacher, which the paper has in no table
    network: str  # the paper's name
    row: str
    score: Optional[Score]
    recipe: str  # recipes/NAME.sh
    settings: dict = field(hash=False)
    speed: Optional[Speed] = None
    needs: str = ""  # the recipe of its teacher
    same_run_as: str = ""  # the recipe of an earlier row that is the same run

    @property
    def hours(self):
        """Hours of training on the 8 GPUs of the published speed, or None."""
        return self.speed and self.speed.minutes * self.settings["num_epochs"] / 60

    @property
    def title(self):
        """For example ``Table 6, ResNet-50-D, + cosine``."""
        return "{}, {}, {}".format("Table {}".format(self.table) if self.table else "Teacher", self.network, self.row)


# Table 1: multiply-adds in 10^9 and accuracy of networks of this size.
TABLE1 = {
    "ResNet-50": (3.9, Score(75.3, 92.2)),
    "ResNeXt-50": (4.2, Score(77.8)),
    "SE-ResNet-50": (3.9, Score(76.71, 93.38)),
    "SE-ResNeXt-50": (4.3, Score(78.90, 94.51)),
    "DenseNet-201": (4.3, Score(77.42, 93.66)),
    "ResNet-50 + tricks": (4.3, Score(79.29, 94.63)),
}

# Table 2: the authors' baseline, and the reference implementation's accuracy.
TABLE2 = {
    "ResNet-50": (Score(75.87, 92.70), Score(75.3, 92.2)),
    "Inception-V3": (Score(77.32, 93.43), Score(78.8, 94.4)),
    "MobileNet": (Score(69.03, 88.71), Score(70.6)),
}

# Table 3: minutes an epoch on 8 V100 and accuracy, by (global batch, dtype).
TABLE3 = {
    "ResNet-50": {(256, "float32"): (13.3, Score(75.87, 92.70)), (1024, "float16"): (4.4, Score(76.21, 92.97))},
    "Inception-V3": {(256, "float32"): (19.8, Score(77.32, 93.43)), (1024, "float16"): (8.0, Score(77.50, 93.60))},
    "MobileNet": {(256, "float32"): (6.2, Score(69.03, 88.71)), (1024, "float16"): (3.7, Score(71.90, 90.47))},
}

# Table 4: ResNet-50, each heuristic added to those above it; accuracy by global batch.
TABLE4 = {
    "linear scaling": {256: Score(75.87, 92.70), 1024: Score(75.17, 92.54)},
    "+ warmup": {256: Score(76.03, 92.81), 1024: Score(75.93, 92.84)},
    "+ zero gamma": {256: Score(76.19, 93.03), 1024: Score(76.37, 92.96)},
    "+ no bias decay": {256: Score(76.16, 92.97), 1024: Score(76.03, 92.86)},
    "+ FP16": {256: Score(76.15, 93.09), 1024: Score(76.21, 92.97)},
}

# Table 5: parameters in 10^6, multiply-adds in 10^9, accuracy.
TABLE5 = {
    "ResNet-50": (25, 3.8, Score(76.21, 92.97)),
    "ResNet-50-B": (25, 4.1, Score(76.66, 93.28)),
    "ResNet-50-C": (25, 4.3, Score(76.87, 93.48)),
    "ResNet-50-D": (25, 4.3, Score(77.16, 93.52)),
}

# Table 6: each refinement added to those above it up to label smoothing; the last three are added to that.
TABLE6 = {
    "efficient": (Score(77.16, 93.52), Score(77.50, 93.60), Score(71.90, 90.53)),
    "+ cosine": (Score(77.91, 93.81), Score(78.19, 94.06), Score(72.83, 91.00)),
    "+ label smoothing": (Score(78.31, 94.09), Score(78.40, 94.13), Score(72.93, 91.14)),
    "+ distillation, no mixup": (Score(78.67, 94.36), Score(78.26, 94.01), Score(71.97, 90.89)),
    "+ mixup, no distillation": (Score(79.15, 94.58), Score(78.77, 94.39), Score(73.28, 91.30)),
    "+ distillation and mixup": (Score(79.29, 94.63), Score(78.34, 94.16), Score(72.51, 91.02)),
}
TABLE6_NETWORKS = ("ResNet-50-D", "Inception-V3", "MobileNet")

# Table 7: Places365, ResNet-50-D.
TABLE7 = {
    "efficient": Score(56.34, 86.87, confirmed=False),
    "with the refinements": Score(56.70, 87.33, confirmed=False),
}

# Table 8: Faster-RCNN on VOC 2007 test; the backbone's ImageNet top-1, and mAP.
TABLE8 = {
    "ResNet-50-B, standard": (76.14, 77.54),
    "ResNet-50-D, efficient": (77.16, 78.30),
    "+ cosine": (77.91, 79.23),
    "+ label smoothing": (78.34, 80.71),
    "+ distillation": (78.67, 80.96),
    "+ mixup": (79.16, 81.10),
    "+ distillation and mixup": (79.29, 81.33),
}

# Table 9: FCN on ADE20K; pixel accuracy and mean intersection over union.
TABLE9 = {
    "ResNet-50-B, standard": (78.08, 37.05),
    "ResNet-50-D, efficient": (78.88, 38.88),
    "+ cosine": (79.25, 39.33),
    "+ label smoothing": (78.64, 38.75),
    "+ distillation": (78.97, 38.90),
    "+ mixup": (78.47, 37.99),
    "+ distillation and mixup": (78.72, 38.40),
}

# The authors' published training logs (8 GPUs): epochs, best accuracy in the log, median images a second.
AUTHORS_LOGS = {
    "resnet50_v1b": (120, Score(77.71, 93.82), 5122),
    "resnet50_v1c": (120, Score(78.04, 94.06), 4737),
    "resnet50_v1d": (120, Score(78.52, 94.24), 4993),
    "resnet50_v1d, mixup": (200, Score(79.09, 94.60), 4950),
    "resnet101_v1d, mixup": (200, Score(80.50, 95.09), 2882),
    "resnet152_v1d, mixup": (200, Score(80.62, 95.29), 738),  # float32, 8 x 32, learning rate 0.1
}

MODELS = {
    "ResNet-50": "resnet50_v1",
    "ResNet-50-B": "resnet50_v1b",
    "ResNet-50-C": "resnet50_v1c",
    "ResNet-50-D": "resnet50_v1d",
    "ResNet-152-D": "resnet152_v1d",
    "Inception-V3": "inceptionv3",
    "MobileNet": "mobilenet1.0",
}

# Section 2.1, and what sections 3 and 5 add to it.
BASELINE = dict(
    global_batch=256, peak=0.1, dtype="float32", warmup_epochs=0, last_gamma=False, no_wd=False, num_epochs=120, lr_mode="step",
    lr_decay=0.1, lr_decay_epoch=(30, 60, 90), label_smoothing=0.0, mixup_alpha=0.0, distilled=False, optimizer="nag", momentum=0.9,
    wd=1e-4, init="xavier", input_size=224,
)  # fmt: skip
LARGE_BATCH = dict(global_batch=1024, peak=0.4)
HEURISTICS = {  # of Table 4, in its order
    "+ warmup": dict(warmup_epochs=5),
    "+ zero gamma": dict(last_gamma=True),
    "+ no bias decay": dict(no_wd=True),
    "+ FP16": dict(dtype="float16"),
}
COSINE = dict(lr_mode="cosine")
SMOOTHING = dict(label_smoothing=0.1)
MIXUP = dict(mixup_alpha=0.2, num_epochs=200)
DISTILLATION = dict(distilled=True, temperature=20.0, hard_weight=-1.0)


def _settings(network, *parts):
    settings = dict(BASELINE, model=MODELS[network])
    for part in parts:
        settings.update(part)
    if network == "Inception-V3":
        settings["input_size"] = 299
    if not network.startswith("ResNet"):
        settings["last_gamma"] = False  # zero gamma needs residual blocks
    return settings


def _efficient(network, *parts):
    """Section 3's training, the starting point of Tables 5 and 6."""
    return _settings(network, LARGE_BATCH, *(tuple(HEURISTICS.values()) + parts))


def _minutes(network, settings):
    """Table 3's speed, where the row's batch, dtype and network are Table 3's."""
    found = TABLE3.get(network, {}).get((settings["global_batch"], settings["dtype"]))
    return found and Speed(found[0], "Table 3")


def _authors_minutes(name):
    return Speed(TRAINING_IMAGES / AUTHORS_LOGS[name][2] / 60, "the authors' log")


def _rows():
    for network in TABLE2:
        settings = _settings(network)
        yield Row(2, network, "baseline", TABLE2[network][0], "table2_{}_baseline".format(_slug(network)), settings,
                  _minutes(network, settings))  # fmt: skip
    for network, columns in TABLE3.items():
        for (batch, dtype), (_, score) in columns.items():
            large = batch == 1024
            settings = _efficient(network) if large else _settings(network)
            yield Row(3, network, "BS = {}, {}".format(batch, "FP16" if large else "FP32"), score,
                      "table3_{}_bs{}_{}".format(_slug(network), batch, "fp16" if large else "fp32"), settings, _minutes(network, settings),
                      same_run_as="" if large else "table2_{}_baseline".format(_slug(network)))  # fmt: skip
    for batch in (256, 1024):
        parts = (LARGE_BATCH,) if batch == 1024 else ()
        for title, scores in TABLE4.items():
            parts += (HEURISTICS.get(title, {}),)
            settings = _settings("ResNet-50", *parts)
            same = {("linear scaling", 256): "table2_resnet50_v1_baseline", ("+ FP16", 1024): "table3_resnet50_v1_bs1024_fp16"}
            yield Row(4, "ResNet-50", "{}, BS = {}".format(title, batch), scores[batch],
                      "table4_resnet50_v1_bs{}_{}".format(batch, title.strip("+ ").lower().replace(" ", "_")), settings,
                      _minutes("ResNet-50", settings), same_run_as=same.get((title, batch), ""))  # fmt: skip
    for network, (_, _, score) in TABLE5.items():
        settings = _efficient(network)
        plain = network == "ResNet-50"
        yield Row(5, network, "efficient", score, "table5_{}".format(_slug(network)), settings,
                  _minutes(network, settings) if plain else _authors_minutes(MODELS[network]),
                  same_run_as="table3_resnet50_v1_bs1024_fp16" if plain else "")  # fmt: skip
    for column, network in enumerate(TABLE6_NETWORKS):
        for title, scores in TABLE6.items():
            yield _table6_row(network, title, scores[column])
    for size, student in ((224, "ResNet-50-D and MobileNet"), (299, "Inception-V3")):
        for mixed in (False, True):
            yield _teacher_row(size, student, mixed)


def _table6_row(network, title, score):
    parts = ()
    if title != "efficient":
        parts += (COSINE,)
    if title not in ("efficient", "+ cosine"):
        parts += (SMOOTHING,)
    distilled = title in ("+ distillation, no mixup", "+ distillation and mixup")
    mixed = title in ("+ mixup, no distillation", "+ distillation and mixup")
    parts += (DISTILLATION,) * distilled + (MIXUP,) * mixed
    short = {"+ distillation, no mixup": "distill", "+ mixup, no distillation": "mixup", "+ distillation and mixup": "distill_mixup"}
    settings = _efficient(network, *parts)
    speed = _minutes(network, settings)
    if network == "ResNet-50-D":
        speed = _authors_minutes("resnet50_v1d, mixup" if mixed else "resnet50_v1d")
    same = {"ResNet-50-D": "table5_resnet50_v1d"}.get(network, "table3_{}_bs1024_fp16".format(_slug(network)))
    return Row(6, network, title, score, "table6_{}_{}".format(_slug(network), short.get(title, title.strip("+ ").replace(" ", "_"))),
               settings, None if distilled else speed,  # the teacher's forward pass takes a time that nobody published
               needs=_teacher_recipe(299 if network == "Inception-V3" else 224, mixed) if distilled else "",
               same_run_as=same if title == "efficient" else "")  # fmt: skip


def _teacher_row(size, student, mixed):
    """Section 5.3's teacher. Batch, rate and float32 are those of the authors' log of this network; the paper has none."""
    parts = tuple(part for name, part in HEURISTICS.items() if name != "+ FP16") + (COSINE, SMOOTHING) + (MIXUP,) * mixed
    settings = dict(_settings("ResNet-152-D", *parts), input_size=size)
    return Row(0, "ResNet-152-D", "{}{} px, for {}".format("mixup, " if mixed else "", size, student), None,
               _teacher_recipe(size, mixed), settings, _authors_minutes("resnet152_v1d, mixup") if size == 224 else None)  # fmt: skip


def _teacher_recipe(size, mixed):
    return "teacher_resnet152_v1d" + ("_299" if size == 299 else "") + ("_mixup" if mixed else "")


def _slug(network):
    return MODELS[network].replace("mobilenet1.0", "mobilenet")


ROWS = tuple(_rows())


def row_of(recipe):
    """The :class:`Row` of a recipe's name."""
    for row in ROWS:
        if row.recipe == recipe:
            return row
    raise KeyError(recipe)
