"""The paper's published figures on ImageNet as data, and the recipe of each row.

He et al., Bag of Tricks for Image Classification with Convolutional Neural Networks, arXiv
1812.01187. ``plan``, ``report``, recipes/README.md and the tests read the figures here.
"""

from dataclasses import dataclass, field
from typing import Any, Dict, NamedTuple, Optional

TRAINING_IMAGES, VALIDATION_IMAGES = 1281167, 50000  # ImageNet-1k


class Score(NamedTuple):
    """Accuracy on ImageNet's 50,000 validation images, in percent; None: not published."""

    top1: float
    top5: Optional[float] = None

    @property
    def words(self):
        """For example ``top-1 77.16 %, top-5 93.52 %``."""
        named = zip(("top-1", "top-5"), self)
        return ", ".join(f"{name} {value:.2f} %" for name, value in named if value is not None)


class Speed(NamedTuple):
    """Minutes per epoch, and where they are published."""

    minutes: float
    source: str


@dataclass(frozen=True)
class Row:
    """A row of Tables 2 to 6, the backbone of Table 8 that is in none of these, or a teacher's run:
    its training, its result, and its recipe.

    ``settings`` holds all that determines the result: flags of :mod:`gluon_tricks.config` with the
    row's values, ``global_batch`` (images per step), ``peak`` (the learning rate after the warmup),
    and ``distilled``.
    """

    table: int  # 0: a teacher, which is in no table of the paper
    network: str  # the paper's name
    row: str
    score: Optional[Score]
    recipe: str  # recipes/NAME.sh
    settings: dict = field(hash=False)
    speed: Optional[Speed] = None
    needs: str = ""  # the recipe of its teacher
    same_run_as: str = ""  # the recipe of an earlier row that is the same run
    digits = 2  # decimals of its accuracies

    @property
    def hours(self):
        """Hours of training on the 8 GPUs of the published speed, or None."""
        return self.speed and self.speed.minutes * self.settings["num_epochs"] / 60

    @property
    def title(self):
        """For example ``Table 6, ResNet-50-D, + cosine``."""
        return "{}, {}, {}".format(
            f"Table {self.table}" if self.table else "Teacher", self.network, self.row
        )


# Table 2: accuracy of the authors' baseline and of the reference implementation.
TABLE2 = {
    "ResNet-50": (Score(75.87, 92.70), Score(75.3, 92.2)),
    "Inception-V3": (Score(77.32, 93.43), Score(78.8, 94.4)),
    "MobileNet": (Score(69.03, 88.71), Score(70.6)),
}

# Table 3: minutes per epoch on 8 V100, and accuracy, by (global batch, dtype).
TABLE3 = {
    "ResNet-50": {
        (256, "float32"): (13.3, Score(75.87, 92.70)),
        (1024, "float16"): (4.4, Score(76.21, 92.97)),
    },
    "Inception-V3": {
        (256, "float32"): (19.8, Score(77.32, 93.43)),
        (1024, "float16"): (8.0, Score(77.50, 93.60)),
    },
    "MobileNet": {
        (256, "float32"): (6.2, Score(69.03, 88.71)),
        (1024, "float16"): (3.7, Score(71.90, 90.47)),
    },
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

# Table 6: each refinement added to those above it up to label smoothing; the last three are added
# to that.
TABLE6 = {
    "efficient": (Score(77.16, 93.52), Score(77.50, 93.60), Score(71.90, 90.53)),
    "+ cosine": (Score(77.91, 93.81), Score(78.19, 94.06), Score(72.83, 91.00)),
    "+ label smoothing": (Score(78.31, 94.09), Score(78.40, 94.13), Score(72.93, 91.14)),
    "+ distillation, no mixup": (Score(78.67, 94.36), Score(78.26, 94.01), Score(71.97, 90.89)),
    "+ mixup, no distillation": (Score(79.15, 94.58), Score(78.77, 94.39), Score(73.28, 91.30)),
    "+ distillation and mixup": (Score(79.29, 94.63), Score(78.34, 94.16), Score(72.51, 91.02)),
}
TABLE6_NETWORKS = ("ResNet-50-D", "Inception-V3", "MobileNet")
TABLE8_STANDARD = Score(76.14)  # ResNet-50-B, trained as in section 2.1; from memory


class Log(NamedTuple):
    """A training log published by the authors, of 8 GPUs: best accuracy, median images/s."""

    epochs: int
    score: Score
    images_per_second: int
    global_batch: int = 1024
    dtype: str = "float16"


AUTHORS_LOGS = {  # by network, and whether trained with mixup
    ("resnet50_v1b", False): Log(120, Score(77.71, 93.82), 5122),
    ("resnet50_v1c", False): Log(120, Score(78.04, 94.06), 4737),
    ("resnet50_v1d", False): Log(120, Score(78.52, 94.24), 4993),
    ("resnet50_v1d", True): Log(200, Score(79.09, 94.60), 4950),
    ("resnet101_v1d", True): Log(200, Score(80.50, 95.09), 2882),
    ("resnet152_v1d", True): Log(200, Score(80.62, 95.29), 738, 256, "float32"),
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
BASELINE: Dict[str, Any] = dict(
    global_batch=256,
    peak=0.1,
    dtype="float32",
    warmup_epochs=0,
    last_gamma=False,
    no_wd=False,
    num_epochs=120,
    lr_mode="step",
    lr_decay=0.1,
    lr_decay_epoch=(30, 60, 90),
    label_smoothing=0.0,
    mixup_alpha=0.0,
    distilled=False,
    optimizer="nag",
    momentum=0.9,
    wd=1e-4,
    init="xavier",
    input_size=224,
)
LARGE_BATCH = dict(global_batch=1024, peak=0.4)
HEURISTICS: Dict[str, Dict[str, Any]] = {  # Table 4 adds them in this order
    "linear scaling": {},
    "+ warmup": dict(warmup_epochs=5),
    "+ zero gamma": dict(last_gamma=True),
    "+ no bias decay": dict(no_wd=True),
    "+ FP16": dict(dtype="float16"),
}
COSINE = dict(lr_mode="cosine")
SMOOTHING: Dict[str, Any] = dict(label_smoothing=0.1)
DISTILLATION = dict(distilled=True, temperature=20.0, hard_weight=-1.0)
MIXUP: Dict[str, Any] = dict(mixup_alpha=0.2, num_epochs=200)
# Table 6: the end of the recipe's name, and what is added to the efficient training
REFINEMENTS = {
    "efficient": ("efficient", ()),
    "+ cosine": ("cosine", (COSINE,)),
    "+ label smoothing": ("label_smoothing", (COSINE, SMOOTHING)),
    "+ distillation, no mixup": ("distill", (COSINE, SMOOTHING, DISTILLATION)),
    "+ mixup, no distillation": ("mixup", (COSINE, SMOOTHING, MIXUP)),
    "+ distillation and mixup": ("distill_mixup", (COSINE, SMOOTHING, DISTILLATION, MIXUP)),
}


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


def _trainings():
    """Table, network, row, score, the recipe's name without its table, and settings of each row."""
    for network, (score, _) in TABLE2.items():
        yield 2, network, "baseline", score, "baseline", _settings(network)
    for network, columns in TABLE3.items():
        for (batch, dtype), (_, score) in columns.items():
            settings = _efficient(network) if batch == 1024 else _settings(network)
            short = dtype.replace("float", "FP")
            yield (
                3,
                network,
                f"BS = {batch}, {short}",
                score,
                f"bs{batch}_{short.lower()}",
                settings,
            )
    for batch, start in ((256, {}), (1024, LARGE_BATCH)):
        parts = (start,)
        for title, heuristic in HEURISTICS.items():
            parts += (heuristic,)
            name = "bs{}_{}".format(batch, title.strip("+ ").lower().replace(" ", "_"))
            row = f"{title}, BS = {batch}"
            yield 4, "ResNet-50", row, TABLE4[title][batch], name, _settings("ResNet-50", *parts)
    for network, (_, _, score) in TABLE5.items():
        yield 5, network, "efficient", score, "", _efficient(network)
    for column, network in enumerate(TABLE6_NETWORKS):
        for title, (name, parts) in REFINEMENTS.items():
            yield 6, network, title, TABLE6[title][column], name, _efficient(network, *parts)
    # the one backbone of Tables 8 and 9 that is in no other table
    yield 8, "ResNet-50-B", "standard", TABLE8_STANDARD, "standard", _settings("ResNet-50-B")
    # Section 5.3's teachers. Batch, rate and float32 come from the authors' log; the paper does not
    # give them.
    parts = tuple(part for title, part in HEURISTICS.items() if title != "+ FP16") + (
        COSINE,
        SMOOTHING,
    )
    for size, students in ((224, "ResNet-50-D and MobileNet"), (299, "Inception-V3")):
        for mixed in (False, True):
            settings = dict(_settings("ResNet-152-D", *(parts + (MIXUP,) * mixed)), input_size=size)
            row = "{}{} px, for {}".format("mixup, " if mixed else "", size, students)
            yield 0, "ResNet-152-D", row, None, "", settings


def _rows():
    rows, first = [], {}
    for table, network, row, score, name, settings in _trainings():
        if table:
            slug = MODELS[network].replace("mobilenet1.0", "mobilenet")
            recipe = "_".join(filter(None, [f"table{table}", slug, name]))
        else:
            recipe = _teacher(settings)
        earlier = first.setdefault(repr(sorted(settings.items())), recipe)
        rows.append(
            Row(
                table,
                network,
                row,
                score,
                recipe,
                settings,
                speed=_speed(network, settings),
                needs=_teacher(settings) if settings["distilled"] else "",
                same_run_as="" if earlier == recipe else earlier,
            )
        )
    return tuple(rows)


def _teacher(settings):
    """The recipe of the teacher of a student with these settings, or of a teacher with them."""
    size, mixed = settings["input_size"], settings["mixup_alpha"] > 0
    return "teacher_resnet152_v1d" + ("_299" if size == 299 else "") + ("_mixup" if mixed else "")


def _speed(network, settings):
    if settings["distilled"]:
        return None  # nobody has published the time of the teacher's forward pass
    batch_and_dtype = settings["global_batch"], settings["dtype"]
    if batch_and_dtype in TABLE3.get(network, {}):
        return Speed(TABLE3[network][batch_and_dtype][0], "Table 3")
    mixed = settings["mixup_alpha"] > 0
    # Mixup takes hardly any time, so the network's other log is just as good.
    log = AUTHORS_LOGS.get((settings["model"], mixed)) or AUTHORS_LOGS.get(
        (settings["model"], not mixed)
    )
    if log and (log.global_batch, log.dtype) == batch_and_dtype and settings["input_size"] == 224:
        return Speed(TRAINING_IMAGES / log.images_per_second / 60, "the authors' log")
    return None


ROWS = _rows()
