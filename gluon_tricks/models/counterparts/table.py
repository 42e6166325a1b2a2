"""The networks that compute the same as one of timm's or torchvision's."""

import re
from typing import Any, Dict, Iterator, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import inceptions, mobiles, plain, resnets
from .rules import Rename

TIMM, TORCHVISION = LIBRARIES = ("timm", "torchvision")

# Options that have no effect outside training.
TRAINING_ONLY = {
    "bn_momentum",
    "last_gamma",
    "final_drop",
    "drop_block",
    "drop_block_from",
    "drop_path",
}


class Identity(NamedTuple):
    """The identity of a network: its registered name, and the options that change what it
    computes.
    """

    model: str
    options: Tuple[Tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, model: str, options: Mapping[str, Any]) -> "Identity":
        """The identity of ``get_model(model, **options)``."""
        if re.fullmatch(r"vgg\d+", model) and options.get("batch_norm"):
            model, options = f"{model}_bn", dict(options, batch_norm=False)
        kept = [
            (option, value)
            for option, value in sorted(options.items())
            if value and value != "none" and option not in TRAINING_ONLY
        ]
        return cls(model, tuple(kept))

    def __str__(self) -> str:
        return " with ".join([self.model, *(f"{name} {value}" for name, value in self.options)])


class Counterpart(NamedTuple):
    """A network of another library that computes the same.

    Attributes
    ----------
    library, architecture : str
        The library, and the network's name there.
    rename : Rename
        The function from our names of parameters to theirs.
    biases : str
        A pattern of their layers that have a bias where ours do not: it is written as zeros, and
        has to be zero in a file that is read.
    shapes : dict
        Pattern of their layers -> the shape of a weight there, without its first dimension; for
        dense layers that are 1x1 convolutions on the other side.
    passed_over : str
        A pattern of additional arrays that a file may have, used only in training.
    """

    library: str
    architecture: str
    rename: Rename
    biases: str = "(?!)"
    shapes: Mapping[str, Tuple[int, ...]] = {}
    passed_over: str = r".*\.num_batches_tracked"


class Row(NamedTuple):
    """Networks with the same renaming: ``{}`` in the three names stands for each of the ``kinds``,
    if any.

    ``more`` has further attributes of :class:`Counterpart`, ``options`` those of our network.
    """

    ours: str
    kinds: str
    timm: Optional[str]
    torchvision: Optional[str]
    rename: Rename
    options: Mapping[str, Any] = {}
    more: Mapping[str, Any] = {}

    def counterparts(self) -> Iterator[Tuple[Identity, Counterpart]]:
        """Each network of the row with each of its counterparts."""
        for kind in self.kinds.split() or [""]:
            identity = Identity.of(self.ours.format(kind), self.options)
            for library, name in zip(LIBRARIES, (self.timm, self.torchvision)):
                if name:
                    found = Counterpart(library, name.format(kind), self.rename, **self.more)
                    yield identity, found


SE = {"attention": "se"}
SE_BIASES = dict(biases=r".*\.se\.fc[12]")
DENSE_THERE: Tuple[int, ...] = (-1,)
AUXILIARY = dict(passed_over=r".*\.num_batches_tracked|(AuxLogits|aux[12])\..*")
VGG_TIMM = "pre_logits.fc1 pre_logits.fc2 head.fc"
VGG_TORCHVISION = "classifier.0 classifier.3 classifier.6"
VGG_SHAPES = dict(shapes={r"pre_logits\.fc1": (512, 7, 7), r"pre_logits\.fc2": (4096, 1, 1)})
V2_HEAD = dict(biases=r"classifier(\.1)?", shapes={r"classifier(\.1)?": DENSE_THERE})
V3_LARGE = "mobilenetv3_large_100"
V3_HEAD = dict(biases="conv_head", shapes={"classifier": DENSE_THERE})


def _vgg(depth: int, suffix: str) -> Sequence[Row]:
    ours, batch_norm = f"vgg{depth}{suffix}", bool(suffix)
    of_timm = plain.vgg(depth, batch_norm, VGG_TIMM)
    of_torchvision = plain.vgg(depth, batch_norm, VGG_TORCHVISION)
    return (
        Row(ours, "", ours, None, of_timm, more=VGG_SHAPES),
        Row(ours, "", None, ours, of_torchvision),
    )


# Of our networks that differ only in the names of parameters, the first is the counterpart of
# theirs: see identity_of.
ROWS = (
    Row("resnet{}_v1b", "18 34 50 101 152", "resnet{}", "resnet{}", resnets.resnet),
    Row("resnet{}_v1", "18 34", "resnet{}", "resnet{}", resnets.numbered),
    Row("resnet{}_v1c", "50 101 152", "resnet{}c", None, resnets.resnet),
    Row("resnet{}_v1d", "18 34 50 101 152", "resnet{}d", None, resnets.resnet),
    Row("resnet{}_v1s", "50 101 152", "resnet{}s", None, resnets.resnet),
    Row("resnet{}_v1b", "50 101 152", "seresnet{}", None, resnets.resnet, SE, SE_BIASES),
    Row("resnet{}_v1d", "152", "seresnet{}d", None, resnets.resnet, SE, SE_BIASES),
    Row("resnet{}_v1b", "50", "resnet{}_gn", None, resnets.resnet, {"use_gn": True}),
    Row("resnext{}", "50_32x4d 101_64x4d", "resnext{}", "resnext{}", resnets.numbered),
    Row("resnext{}", "101_32x4d", "resnext{}", None, resnets.numbered),
    Row("se_resnext{}", "50_32x4d 101_32x4d 101_64x4d", "seresnext{}", None, resnets.numbered),
    Row("senet_{}", "154", "legacy_senet{}", None, resnets.senet),
    Row("resnest{}", "14 26 50", "resnest{}d", None, resnets.resnest),
    Row("resnest{}", "101 200 269", "resnest{}e", None, resnets.resnest),
    Row("hrnet_w{}_c", "18 30 32 40 44 48 64", "hrnet_w{}", None, resnets.hrnet),
    Row("hrnet_w18_small_v1_c", "", "hrnet_w18_small", None, resnets.hrnet),
    Row("hrnet_w18_small_v2_c", "", "hrnet_w18_small_v2", None, resnets.hrnet),
    Row("densenet{}", "121 161 169 201", "densenet{}", "densenet{}", plain.densenet),
    *(row for depth in (11, 13, 16, 19) for suffix in ("", "_bn") for row in _vgg(depth, suffix)),
    Row("alexnet", "", None, "alexnet", plain.alexnet),
    Row("squeezenet1.{}", "0 1", None, "squeezenet1_{}", plain.squeezenet),
    Row("inceptionv3", "", "inception_v3", "inception_v3", inceptions.inception, more=AUXILIARY),
    Row("googlenet", "", None, "googlenet", inceptions.googlenet, more=AUXILIARY),
    Row("mobilenetv2_1.0", "", "mobilenetv2_100", None, mobiles.mobilenet_v2_timm, more=V2_HEAD),
    Row("mobilenetv2_1.0", "", None, "mobilenet_v2", mobiles.mobilenet_v2, more=V2_HEAD),
    Row("mobilenetv3_large", "", V3_LARGE, None, mobiles.mobilenet_v3_large, more=V3_HEAD),
    Row("shufflenet_v2", "", None, "shufflenet_v2_x1_0", mobiles.shufflenet_v2),
)

TABLE: Dict[Tuple[Identity, str], Counterpart] = {
    (identity, counterpart.library): counterpart
    for row in ROWS
    for identity, counterpart in row.counterparts()
}
