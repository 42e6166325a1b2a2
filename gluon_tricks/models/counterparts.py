"""Networks that timm and torchvision have too, and their weights from and to the names there.

:data:`TABLE` has each network that computes the same, and :data:`DIFFERENT` why others that look
alike do not; docs/convert.md shows both. What is said here of timm and torchvision is from their
sources (timm 1.0, torchvision 0.20).
"""

import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..errors import UserError
from ..text import printable
from . import counterpart_names as names

TIMM, TORCHVISION = LIBRARIES = ("timm", "torchvision")

# Options that change nothing outside of training.
TRAINING_ONLY = {
    "bn_momentum",
    "last_gamma",
    "final_drop",
    "drop_block",
    "drop_block_from",
    "drop_path",
}


class Identity(NamedTuple):
    """Which network it is: its registered name, and those of its options that shape what it
    computes.
    """

    model: str
    options: Tuple[Tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, model: str, options: Mapping[str, Any]) -> "Identity":
        """That of ``get_model(model, **options)``."""
        if model.startswith("vgg") and options.get("batch_norm"):
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

    architecture: its name there. rename: our names of parameters to theirs. biases: a pattern of
    their layers that have a bias where ours have none: it is written as zeros, and has to be zeros
    in a file that is read. matrices: a pattern of their layers that are dense, where ours is a 1x1
    convolution. passed_over: a pattern of arrays that a file may have beyond ours, since they serve
    training alone.
    """

    library: str
    architecture: str
    rename: names.Rename
    biases: str = "(?!)"
    matrices: str = "(?!)"
    passed_over: str = r".*\.num_batches_tracked"


def _same(identity, architecture, rename, libraries=LIBRARIES, **more):
    return {
        (identity, library): Counterpart(library, architecture, rename, **more)
        for library in libraries
    }


def _table():
    """(Identity, library) -> Counterpart."""
    found: Dict[Tuple[Identity, str], Counterpart] = {}
    timm, torchvision = (TIMM,), (TORCHVISION,)
    for depth in (18, 34, 50, 101, 152):
        found.update(_same(Identity(f"resnet{depth}_v1b"), f"resnet{depth}", names.resnet))
        found.update(_same(Identity(f"resnet{depth}_v1d"), f"resnet{depth}d", names.resnet, timm))
        if depth >= 50:
            found.update(
                _same(Identity(f"resnet{depth}_v1c"), f"resnet{depth}c", names.resnet, timm)
            )
    for kind, theirs in (
        ("50_v1b", "50"),
        ("101_v1b", "101"),
        ("152_v1b", "152"),
        ("152_v1d", "152d"),
    ):
        identity = Identity.of(f"resnet{kind}", {"attention": "se"})
        biases = r".*\.se\.fc[12]"
        found.update(_same(identity, f"seresnet{theirs}", names.resnet, timm, biases=biases))
    for kind in ("50_32x4d", "101_32x4d", "101_64x4d"):
        both = timm if kind == "101_32x4d" else LIBRARIES
        found.update(_same(Identity(f"resnext{kind}"), f"resnext{kind}", names.resnext, both))
        identity = Identity(f"se_resnext{kind}")
        found.update(_same(identity, f"seresnext{kind}", names.resnext, timm))
    for depth in (121, 161, 169, 201):
        found.update(_same(Identity(f"densenet{depth}"), f"densenet{depth}", names.densenet))
    for depth in (11, 13, 16, 19):
        for suffix in ("", "_bn"):
            name, rename = f"vgg{depth}{suffix}", names.vgg(depth, bool(suffix))
            found.update(_same(Identity(name), name, rename, torchvision))
    for version in ("1.0", "1.1"):
        theirs = "squeezenet" + version.replace(".", "_")
        found.update(_same(Identity(f"squeezenet{version}"), theirs, names.squeezenet, torchvision))
    found.update(
        _same(
            Identity("inceptionv3"),
            "inception_v3",
            names.inception,
            passed_over=r".*\.num_batches_tracked|AuxLogits\..*",
        )
    )
    head = dict(biases=r"classifier\.1", matrices=r"classifier\.1")
    found.update(
        _same(Identity("mobilenetv2_1.0"), "mobilenet_v2", names.mobilenet_v2, torchvision, **head)
    )
    head = dict(biases="conv_head", matrices="classifier")
    found.update(
        _same(
            Identity("mobilenetv3_large"),
            "mobilenetv3_large_100",
            names.mobilenet_v3_large,
            timm,
            **head,
        )
    )
    return found


TABLE = _table()

# (pattern of Identity in words or of their architecture, why there is none), the first that matches
DIFFERENT: Sequence[Tuple[str, str]] = (
    (
        r"resnet\d+_v1\b.*|se_resnet\d+_v1",
        "its bottlenecks have the stride in the first 1x1 convolution, and biases",
    ),
    (r"resnet(18|34)_v1c", "timm has this stem from 50 layers on"),
    (
        r"resnet\w+ with anti_alias.*|resnetaa\w+|seresnetaa\w+|resnetblur\w+",
        "timm's also blurs or averages in the stem, where ours has a max pooling with stride",
    ),
    (
        r"resnet\w+ with attention sk.*|skresne\w+",
        "timm's two branches have kernels of 3x3 and 5x5, ours are halves of one 3x3 convolution",
    ),
    (
        r"resnet(18|34)\w* with attention se|seresnet(18|34)",
        "timm's attention has 8 channels at least",
    ),
    (r"resnet\w+ with use_gn.*", "timm's with GroupNorm is another network"),
    (r"resnet\w+ with gem.*", "neither library pools so"),
    (r"resnet\w+ with dilated.*", "its last stages are dilated: convert the plain network"),
    (
        r"mobilenet(0|1)\.\d+|mobilenetv1_\w+",
        "timm's clips its activations at 6, GluonCV's does not",
    ),
    (r"mobilenetv2_0\.\d+", "timm and torchvision round its widths to multiples of 8"),
    (r"mobilenetv3_small\w*", "GluonCV's last layer but one has 1,280 channels, theirs has 1,024"),
    (
        r"mobilenet_v3_large",
        "torchvision's BatchNorm has an epsilon of 0.001, GluonCV's of 0.00001",
    ),
)


def find(identity: Identity, library: Optional[str] = None) -> Counterpart:
    """The counterpart of a network in a library (default: timm, or else torchvision).

    Raises UserError that says why there is none.
    """
    for name in [library] if library else LIBRARIES:
        if (identity, name) in TABLE:
            return TABLE[identity, name]
    elsewhere = [name for name in LIBRARIES if (identity, name) in TABLE]
    if elsewhere:
        raise UserError(
            f"{library} has no {identity}; {elsewhere[0]} does: give --to {elsewhere[0]}"
        )
    reason = _why_not(str(identity)) or "docs/convert.md lists those that have"
    raise UserError(f"{identity} has no counterpart in timm or torchvision: {reason}")


def identity_of(architecture: str) -> Identity:
    """Our network that computes what their ``architecture`` does; UserError if there is none."""
    architecture = architecture.split(".", 1)[0]  # without the tag of the weights
    for (identity, _), counterpart in TABLE.items():
        if counterpart.architecture == architecture:
            return identity
    reason = _why_not(architecture) or "docs/convert.md lists those that have one"
    raise UserError(f"{printable(architecture)} has no counterpart here: {reason}")


def _why_not(name):
    return next((why for pattern, why in DIFFERENT if re.fullmatch(pattern, name)), None)


def to_theirs(counterpart: Counterpart, ours: Mapping[str, np.ndarray]) -> Dict[str, np.ndarray]:
    """Arrays by our names -> by theirs, in our order, with the biases that ours lacks."""
    found: Dict[str, np.ndarray] = {}
    for name, array in ours.items():
        theirs = counterpart.rename(name)
        layer = theirs.rpartition(".")[0]
        if re.fullmatch(counterpart.matrices, layer) and array.ndim == 4:
            array = array.reshape(array.shape[:2])
        found[theirs] = array
        if re.fullmatch(counterpart.biases, layer):
            found[layer + ".bias"] = np.zeros(len(array), array.dtype)
    return found


def to_ours(
    identity: Identity, parameters: Mapping[str, Any], theirs: Mapping[str, np.ndarray], source: str
) -> Dict[str, np.ndarray]:
    """Arrays by the names of timm or torchvision -> by ours.

    parameters: those of the network, by our names. source: what errors call the file. Raises
    UserError naming what is missing, what is too much, and a bias that ours lacks and is not zero.
    Shapes are not compared.
    """
    counterpart = _of_names(identity, parameters, theirs)
    renamed = {counterpart.rename(name): name for name in parameters}
    missing = [name for name in renamed if name not in theirs]
    surplus = [
        name
        for name in theirs
        if name not in renamed and not re.fullmatch(counterpart.passed_over, name)
    ]
    biases = [name for name in surplus if _is_bias(counterpart, name)]
    surplus = [name for name in surplus if name not in biases]
    if missing or surplus:
        raise UserError(_misfit(source, counterpart, missing, surplus))
    for name in biases:
        if np.any(theirs[name]):
            raise UserError(
                f"{printable(source)}: {name} is not zero, and {identity} has no such bias"
            )
    return {name: _shaped(theirs[other], parameters[name].shape) for other, name in renamed.items()}


def _of_names(identity, parameters, theirs):
    """The counterpart, of those of either library, whose names are most like those of the file."""
    candidates = [TABLE[identity, name] for name in LIBRARIES if (identity, name) in TABLE]
    if not candidates:
        find(identity)
    return max(candidates, key=lambda one: sum(one.rename(name) in theirs for name in parameters))


def _is_bias(counterpart, name):
    layer, _, parameter = name.rpartition(".")
    return parameter == "bias" and re.fullmatch(counterpart.biases, layer) is not None


def _shaped(array, shape):
    """A matrix as a 1x1 convolution, if ours is one."""
    return array.reshape(*array.shape, 1, 1) if array.ndim == 2 and len(shape) == 4 else array


def _misfit(source, counterpart, missing, surplus):
    reasons = []
    if missing:
        reasons.append(f"it has no {_brief(missing)}")
    if surplus:
        reasons.append(f"{counterpart.architecture} has no {_brief(surplus)}")
    there = f"{counterpart.library}'s {counterpart.architecture}"
    return f"{printable(source)} is not a file of {there}: {'; '.join(reasons)}"


def _brief(names: List[str]) -> str:
    more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
    return printable(names[0]) + more
