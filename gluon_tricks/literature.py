"""Figures published since the paper, as data, and the recipe of each.

``plan``, recipes/README.md and the tests read the rows here, as they read the paper's in
:mod:`gluon_tricks.paper`. A row's settings determine its result; flags not among them have this
package's defaults. ``differs`` lists what cannot be reproduced here, or is not known.
"""

from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, NamedTuple, Optional, Tuple

from .paper import COSINE, LARGE_BATCH, MIXUP, Score

SUCCESSORS, BASELINES = "successors", "baselines"


class Work(NamedTuple):
    """A publication with rows."""

    group: str  # SUCCESSORS of the paper, or BASELINES of today
    source: str  # where the figures were published
    hardware: str
    differs: Tuple[str, ...] = ()
    digits: int = 2  # decimals of its accuracies


@dataclass(frozen=True)
class Row:
    """A published training, its result, and its recipe.

    ``settings`` are like those of :class:`gluon_tricks.paper.Row`. ``teacher`` names the file of
    stored logits in the data folder, without its extension.
    """

    work: str  # a key of WORKS
    row: str
    score: Score
    recipe: str
    settings: Dict[str, Any] = field(hash=False)
    mce: Optional[float] = None  # on ImageNet-C
    teacher: str = ""
    differs: Tuple[str, ...] = ()
    source: str = ""  # where the figure was published, if not with the work's others

    @property
    def title(self) -> str:
        """For example ``Assembled-CNN, E2, ResNet-50-D + label smoothing``."""
        return f"{self.work}, {self.row}"

    @property
    def digits(self) -> int:
        """Decimals of its accuracies."""
        return WORKS[self.work].digits

    @property
    def figures(self) -> Tuple[str, ...]:
        """Top-1, and top-5 if it is known, in percent, with as many digits as were published."""
        return tuple(f"{value:.{self.digits}f}" for value in self.score if value is not None)

    @property
    def figure(self) -> str:
        """The score in words."""
        return ", ".join(f"top-{k} {value} %" for k, value in zip((1, 5), self.figures))

    @property
    def origin(self) -> str:
        """Where the figure was published."""
        return self.source or WORKS[self.work].source

    @property
    def all_differences(self) -> Tuple[str, ...]:
        """The work's differences, and the row's own."""
        return WORKS[self.work].differs + self.differs


_INITIAL = "initial weights: "
_EVERY_STEP = "the rate changes once an epoch there, at every step here"
_NEAREST = "shears, shifts and rotations interpolate there, and take the nearest pixel here"
# torchvision's RandomResizedCrop, which Big-Little's code uses, too, and timm's
_FALLBACK = (
    "if ten crops do not fit, the whole image cropped to the nearest allowed aspect ratio is taken "
    "there, the largest square here"
)
WORKS = {
    "Assembled-CNN": Work(
        SUCCESSORS,
        "arXiv 2001.06268, version 1",
        "8 P40",
        (
            "1001 classes there, of which the first is empty",
            _INITIAL + "truncated normal with variance 1 / fan-in; dense layer: Glorot's uniform",
            "TensorFlow resizes without align_corners: other pixels than OpenCV's",
            "100 random crops are tried there, ten here, and then the whole image is taken there, "
            "the largest square here",
        ),
    ),
    "Big-Little Net": Work(
        SUCCESSORS,
        "github IBM/BigLittleNet, README",
        "hardware not stated",
        (
            _INITIAL + "Kaiming's normal by fan-out",
            _EVERY_STEP,
            "the order of the colour operations is random there",
            _FALLBACK,
        ),
    ),
    "batch growth": Work(
        SUCCESSORS,
        "arXiv 1711.00489, abstract",
        "TPU",
        ("augmentation and weight decay are Goyal et al.'s (arXiv 1706.02677), from memory",),
        digits=1,
    ),
    "NVIDIA": Work(
        BASELINES,
        "github NVIDIA/DeepLearningExamples, MxNet/Classification/RN50v1.5",
        "8 GPUs",
        ("initial weights and the form of label smoothing were not compared",),
    ),
    "torchvision": Work(
        BASELINES,
        "the blog post of 2021-11-18",
        "8 GPUs",
        (
            _INITIAL + "Kaiming's normal by fan-out",
            _EVERY_STEP,
            "mixup and CutMix take the image before in the batch there, a random one here",
            _NEAREST,
            _FALLBACK,
        ),
        digits=3,
    ),
    "timm": Work(
        BASELINES,
        "arXiv 2110.00476; results-imagenet.csv of timm",
        "4 V100",
        (
            _INITIAL + "Kaiming's normal by fan-out",
            "bicubic interpolation there, bilinear here",
            _EVERY_STEP,
            _NEAREST,
            _FALLBACK,
        ),
        digits=3,
    ),
}

NO_COLOR: Dict[str, Any] = dict(color_jitter=0.0, pca_noise=0.0)
NORMS: Dict[str, Any] = dict(no_wd=True, no_wd_form="norms")  # biases have weight decay
OUTSIDE: Dict[str, Any] = dict(momentum_form="outside")  # TensorFlow's and PyTorch's momentum
# The normalisation of PyTorch's recipes, for values from 0 to 255.
PYTORCH: Dict[str, Any] = dict(rgb_mean=(123.675, 116.28, 103.53), rgb_std=(58.395, 57.12, 57.375))
SMOOTHING: Dict[str, Any] = dict(label_smoothing=0.1, smoothing_form="gluoncv")  # eps / K

# ---- Assembled-CNN: scripts of github clovaai/assembled-cnn; figures of version 1, from an
# author's own write-up (github norman3/papers)

ASSEMBLED: Dict[str, Any] = dict(
    LARGE_BATCH,
    **COSINE,
    **NO_COLOR,
    **OUTSIDE,
    model="resnet50_v1d",
    dtype="float16",
    loss_scale=128.0,
    optimizer="sgd",
    warmup_epochs=5,
    warmup_from=0,
    last_gamma=True,
    **NORMS,
    bn_momentum=0.997,
    # there, 5 to 100 % of the image, and the crop has to contain 10 % of an object; as no boxes are
    # given, the object is the whole image
    crop_area=(0.1, 1.0),
    rgb_std=(1.0, 1.0, 1.0),
    num_epochs=120,
)
PAIRS: Dict[str, Any] = dict(mixup_alpha=MIXUP["mixup_alpha"], mixup_type=1)
KD: Dict[str, Any] = dict(temperature=1.0)
AT_256: Dict[str, Any] = dict(test_size=256)
_AMOEBA, _B7 = "amoebanet_a", "efficientnet_b7"


def _assembled() -> Iterator[Row]:
    """E0 to E12, each with additions to the row above it."""
    steps = (
        ("ResNet-50", 76.87, 75.55, dict(ASSEMBLED, model="resnet50_v1b")),
        ("ResNet-50-D", 77.37, 75.73, dict(model="resnet50_v1d")),
        ("+ label smoothing", 78.35, 74.27, SMOOTHING),
        ("+ mixup", 79.10, 68.19, dict(PAIRS, num_epochs=200)),
        ("+ SE", 79.71, 64.48, dict(attention="se")),
        ("+ DropBlock", 80.40, 62.64, dict(drop_block=0.1, num_epochs=270)),
        ("SK instead of SE", 81.40, 58.34, dict(attention="sk")),
        ("+ distillation", 81.69, 57.08, KD),
        ("600 epochs", 82.10, 56.48, dict(num_epochs=600)),
        (
            "+ Big-Little, tested at 256 pixels",
            82.44,
            55.20,
            dict(AT_256, model="blresnet50", bl_projection=True),
        ),
        ("+ anti-alias", 82.69, 54.12, dict(model="assemble_resnet50")),
        (
            "+ AutoAugment: Assemble-ResNet-50",
            82.78,
            48.89,
            dict(auto_augment="imagenet", auto_augment_form="tpu"),
        ),
        ("Assemble-ResNet-152", 84.19, 43.27, dict(model="assemble_resnet152", crop_ratio=0.9961)),
    )
    settings: Dict[str, Any] = {}
    for number, (name, top1, mce, added) in enumerate(steps):
        settings = dict(settings, **added) if number else dict(added)
        if settings["model"].startswith("assemble"):  # these are part of it
            settings.pop("attention", None)
            settings.pop("bl_projection", None)
        yield Row(
            "Assembled-CNN",
            f"E{number}, {name}",
            Score(top1),
            f"assembled_e{number}",
            settings,
            mce,
            "" if number < 7 else _B7 if number == 12 else _AMOEBA,
            _assembled_differences(number),
        )


def _assembled_differences(number):
    found: Tuple[str, ...] = ()
    if 1 <= number < 9:
        found += ("the shortcut of stage 1 is pooled there too, with stride 1",)
    if number >= 7:
        teacher = "EfficientNet-B7" if number == 12 else "AmoebaNet-A, 83.9 % top-1"
        found += (f"the teacher is {teacher}: bring it as an ONNX file",)
    return found


def _mobilenets() -> Iterator[Row]:
    """M0 to M8, of the README and of Table 9 of version 2."""
    plain = {k: v for k, v in ASSEMBLED.items() if k != "last_gamma"}
    plain["model"] = "mobilenet1.0"
    mixed = dict(plain, **SMOOTHING, **PAIRS, num_epochs=200)
    distilled = dict(mixed, **KD)
    long = dict(distilled, num_epochs=360)
    se, se2 = dict(attention="se"), dict(attention="se", attention_reduction=2)
    dropping = dict(drop_block=0.1, num_epochs=900)
    rows = (
        ("MobileNet", 72.59, 83.85, "", plain),
        (
            "SE-MobileNet (r = 16), 360 epochs",
            74.28,
            78.86,
            "_se",
            dict(plain, **se, num_epochs=360),
        ),
        ("MobileNet + label smoothing", 72.66, 83.05, "_label_smoothing", dict(plain, **SMOOTHING)),
        ("MobileNet + mixup", 73.54, 78.56, "_mixup", mixed),
        ("MobileNet + distillation", 74.18, 77.51, "_distill", distilled),
        ("MobileNet, 360 epochs", 74.37, 76.39, "_distill_360", long),
        ("SE-MobileNet (r = 16)", 76.42, 71.67, "_se_distill", dict(long, **se)),
        ("SE-MobileNet (r = 2)", 76.82, 70.67, "_se2_distill", dict(long, **se2)),
        (
            "SE-MobileNet (r = 2) + DropBlock, 900 epochs",
            77.30,
            68.12,
            "_se2_drop_block",
            dict(long, **se2, **dropping),
        ),
    )
    for number, (name, top1, mce, recipe, settings) in enumerate(rows):
        distils = "temperature" in settings
        yield Row(
            "Assembled-CNN",
            f"M{number}, {name}",
            Score(top1),
            "assembled_mobilenet" + (recipe or "_baseline"),
            settings,
            mce,
            teacher=_AMOEBA if distils else "",
            differs=_mobilenets_differences(settings),
            source="github clovaai/assembled-cnn, README",
        )


def _mobilenets_differences(settings):
    found: Tuple[str, ...] = ("batch, rate and decay are taken to be those of E0",)
    if "temperature" in settings:
        found += ("the teacher is not named; taken to be that of E7",)
    if "attention" in settings:
        found += ("the place of SE in a MobileNet is not stated; taken to be as in its ResNets",)
    if "drop_block" in settings:
        found += ("the place and rate of DropBlock are not stated; taken to be as in E5",)
    return found


# ---- Big-Little Net: imagenet-train.py; figures: README, and the paper's for other alpha and beta

BIG_LITTLE: Dict[str, Any] = dict(
    **COSINE,
    **OUTSIDE,
    **PYTORCH,
    global_batch=256,
    peak=0.1,
    last_gamma=True,
    num_epochs=110,
    color_form="gluoncv",
    pca_noise=0.0,
)


ROTATED = ("rotated by up to 10 degrees before the crop there",)


def _big_little() -> Iterator[Row]:
    paper = "arXiv 1807.03848, quoted by github k0pch4/big-little-net"
    for name, error, recipe, settings, source in (
        ("ResNet-50", 23.66, "resnet50", dict(model="resnet50_v1b"), paper),
        ("bL-ResNet-50 (2, 4)", 22.41, "blresnet50", {}, ""),
        ("bL-ResNet-50 (2, 2)", 22.72, "blresnet50_a2_b2", dict(bl_beta=2), paper),
        ("bL-ResNet-50 (4, 2)", 23.20, "blresnet50_a4_b2", dict(bl_alpha=4, bl_beta=2), paper),
        ("bL-ResNet-50 (4, 4)", 23.15, "blresnet50_a4_b4", dict(bl_alpha=4), paper),
        ("bL-ResNet-101", 21.34, "blresnet101", {}, ""),
        ("bL-ResNeXt-50 32x4d", 21.62, "blresnext50_32x4d", {}, ""),
        ("bL-ResNeXt-101 32x4d", 20.87, "blresnext101_32x4d", {}, ""),
        ("bL-ResNeXt-101 64x4d", 20.34, "blresnext101_64x4d", {}, ""),
        ("bL-SE-ResNeXt-50 32x4d", 21.44, "blseresnext50_32x4d", {}, ""),
        ("bL-SE-ResNeXt-101 32x4d", 21.04, "blseresnext101_32x4d", {}, ""),
    ):
        model = dict(model=recipe.partition("_a")[0])
        yield Row(
            "Big-Little Net",
            name,
            Score(round(100 - error, 2)),
            f"biglittle_{recipe}",
            dict(BIG_LITTLE, **dict(model, **settings)),
            differs=ROTATED if "SE" in name else (),
            source=source,
        )


# ---- Don't decay the learning rate, increase the batch size

GOYAL: Dict[str, Any] = dict(
    **NO_COLOR,
    **OUTSIDE,
    **PYTORCH,
    model="resnet50_v1b",
    dtype="float16",
    warmup_epochs=5,
    last_gamma=True,
    num_epochs=90,
    lr_decay_epoch=(30, 60, 80),
)


def _growth() -> Iterator[Row]:
    memory = "arXiv 1711.00489, from memory"
    grown = dict(lr_mode="constant", batch_growth="30:x10,60:x10,80:x10", max_batch=16384)
    for name, top1, recipe, batch, more, source in (
        ("8,192, from epoch 30 on 16,384", 76.1, "8192_to_16384", 8192, grown, ""),
        ("8,192 throughout", 76.1, "8192", 8192, {}, memory),
        ("16,384 throughout", 75.0, "16384", 16384, {}, memory),
    ):
        settings = dict(GOYAL, global_batch=batch, peak=0.1 * batch / 256, **more)
        if more:  # growth replaces the decay
            del settings["lr_decay_epoch"]
        yield Row(
            "batch growth",
            f"ResNet-50, {name}",
            Score(top1),
            f"growth_resnet50_{recipe}",
            settings,
            source=source,
        )


# ---- NVIDIA's ResNet-50 v1.5 on MXNet

NVIDIA: Dict[str, Any] = dict(
    **COSINE,
    **NO_COLOR,
    model="resnet50_v1b",
    optimizer="sgd",
    momentum=0.875,
    wd=1 / 32768,
    warmup_epochs=5,
    **NORMS,
    label_smoothing=0.1,
)


def _nvidia() -> Iterator[Row]:
    top1 = {50: (76.31, 76.33), 90: (77.15, 77.31), 250: (78.46, 78.48)}
    for epochs, scores in top1.items():
        for dtype, batch, score in zip(("float16", "float32"), (8 * 192, 8 * 96), scores):
            short = dtype.replace("float", "FP")
            more = dict(mixup_alpha=MIXUP["mixup_alpha"]) if epochs == 250 else {}
            yield Row(
                "NVIDIA",
                f"ResNet-50 v1.5, {epochs} epochs, {short}",
                Score(score),
                f"nvidia_resnet50_{epochs}_{short.lower()}",
                dict(
                    NVIDIA,
                    num_epochs=epochs,
                    dtype=dtype,
                    global_batch=batch,
                    peak=0.256 * batch / 256,
                    **more,
                ),
            )


# ---- torchvision's weights V2, references/classification

TORCHVISION: Dict[str, Any] = dict(
    **COSINE,
    **NO_COLOR,
    **OUTSIDE,
    **PYTORCH,
    **SMOOTHING,
    model="resnet50_v1b",
    optimizer="sgd",
    global_batch=1024,
    peak=0.5,
    wd=2e-5,
    **NORMS,
    warmup_epochs=5,
    warmup_lr=0.005,
    num_epochs=600,
    auto_augment="trivial",
    random_erasing=0.1,
    mixup_alpha=0.2,
    cutmix=1.0,
    repeated_augmentation=4,
    # decay 0.99998 there, scaled by 32 x 1024 / 600: steps between averages x batch / epochs
    ema=0.998908,
    ema_every=32,
    input_size=176,
    test_size=224,
    crop_ratio=0.9655,  # 232 pixels
)


# ---- timm's A1 to A3, ResNet strikes back

TIMM: Dict[str, Any] = dict(
    **COSINE,
    **NO_COLOR,
    **PYTORCH,
    dtype="float16",
    optimizer="lamb",
    clip_norm=1.0,
    global_batch=2048,
    no_wd=True,
    warmup_epochs=5,
    lr_min=1e-6,
    loss="bce",
    auto_augment="randaugment",
    auto_augment_form="timm",
    randaugment_std=0.5,
    cutmix=1.0,
    mixup_partner="reverse",
    crop_ratio=0.95,
)
STRONG: Dict[str, Any] = dict(
    peak=5e-3, randaugment_magnitude=7.0, repeated_augmentation=3, drop_path=0.05
)
PROCEDURES: Dict[str, Dict[str, Any]] = {
    "A1": dict(STRONG, num_epochs=600, wd=0.01, mixup_alpha=0.2, **SMOOTHING),
    "A2": dict(STRONG, num_epochs=300, wd=0.02, mixup_alpha=0.1, bce_target_threshold=0.2),
    "A3": dict(
        num_epochs=100,
        peak=8e-3,
        wd=0.02,
        randaugment_magnitude=6.0,
        mixup_alpha=0.1,
        bce_target_threshold=0.2,
        input_size=160,
        test_size=224,
    ),
}


def _timm() -> Iterator[Row]:
    scores = dict(A1=(80.382, 80.730), A2=(79.828, 80.268), A3=(78.052, 78.742))
    smoothing = (
        "label smoothing and the loss are from memory: one reimplementation uses cross entropy",
    )
    threshold = ("the threshold of 0.2 for targets is that of reimplementations",)
    for procedure, settings in PROCEDURES.items():
        for network, model, score in zip(
            ("ResNet-50", "ResNet-50-D"), ("resnet50_v1b", "resnet50_v1d"), scores[procedure]
        ):
            slug = network.lower().replace("-", "")
            yield Row(
                "timm",
                f"{network}, {procedure}",
                Score(score),
                f"timm_{slug}_{procedure.lower()}",
                dict(TIMM, model=model, **settings),
                differs=smoothing if procedure == "A1" else threshold,
            )


ROWS: Tuple[Row, ...] = (
    *_assembled(),
    *_mobilenets(),
    *_big_little(),
    *_growth(),
    *_nvidia(),
    Row(
        "torchvision",
        "ResNet-50, IMAGENET1K_V2",
        Score(80.858, 95.434),
        "torchvision_resnet50_v2",
        TORCHVISION,
    ),
    *_timm(),
)
