"""Names and shapes of timm's and torchvision's state dicts, for every network of the table.

``state_dicts.json`` has what timm 1.0.31 and torchvision 0.28 themselves say of theirs: it was
written by ``tools/check_timm.py --facts``, which also says of what the digest is.
"""

import hashlib
import json
import re
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

from gluon_tricks import models
from gluon_tricks.errors import UserError
from gluon_tricks.models.counterparts import lookup, translation
from gluon_tricks.models.counterparts.table import TABLE, Identity

FACTS = json.loads((Path(__file__).parent / "state_dicts.json").read_text())
DOCS = (Path(__file__).parents[2] / "docs" / "convert.md").read_text()
NORM = ("weight", "bias", "running_mean", "running_var")


class Shape:
    """Stands for an array of which the shape alone is asked."""

    dtype = "float32"

    def __init__(self, shape):
        self.shape = tuple(shape)

    def __len__(self):
        return self.shape[0]

    def reshape(self, shape):
        return Shape(np.broadcast_to(np.float32(0), self.shape).reshape(shape).shape)


def shapes_of(identity):
    """The shapes of our network by its names; nothing is computed or initialised."""
    model, options = identity
    net, size = models.get_model(model, **dict(options)), models.input_size(model)
    symbol = net(mx.sym.var("data"))
    arguments, _, states = symbol.infer_shape(data=(1, 3, size, size))
    known = dict(zip(symbol.list_arguments() + symbol.list_auxiliary_states(), arguments + states))
    parameters = net._collect_params_with_prefix()
    return {name: Shape(known[held.name]) for name, held in parameters.items()}


@pytest.mark.parametrize("identity", dict.fromkeys(identity for identity, _ in TABLE), ids=str)
def test_names_and_shapes_are_theirs(identity):
    ours = shapes_of(identity)
    for counterpart in lookup.of(identity):
        theirs = translation.to_theirs(counterpart, ours)
        lines = sorted(f"{name} {list(array.shape)}" for name, array in theirs.items())
        facts = FACTS[f"{counterpart.library} {counterpart.architecture}"]
        assert len(theirs) == facts["arrays"]
        numbers = sum(int(np.prod(array.shape, dtype=int)) for array in theirs.values())
        assert numbers == facts["numbers"]
        assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == facts["sha256"]


def in_docs(section):
    """The rows of the table in a section of docs/convert.md, each a list of its cells."""
    text = DOCS.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip().strip("`") for cell in row.strip("|").split(" | ")] for row in rows[1:]]


def counterparts_in_docs():
    """(identity, library, architecture) of every row: braces hold the kinds that ``{}`` stands
    for."""
    for ours, timm, torchvision, *_ in in_docs("Networks"):
        name, *flags = ours.split(" --")
        kinds = re.findall(r"\{(.*)\}", name) or ["-"]
        words = [flag.replace("-", "_").split() for flag in flags]
        options = {word[0]: word[1] if word[1:] else True for word in words}
        for kind in kinds[0].split(", "):
            identity = Identity.of(re.sub(r"\{.*\}", kind, name), options)
            for library, architecture in (("timm", timm), ("torchvision", torchvision)):
                if architecture != "–":
                    yield identity, library, architecture.replace("{}", kind)


def test_the_documentation_has_the_table():
    listed = sorted(counterparts_in_docs())
    held = [(identity, library, one.architecture) for (identity, library), one in TABLE.items()]
    assert listed == sorted(held)


def test_the_documentation_has_every_difference():
    assert {why for _, _, why in in_docs("What differs")} == {why for _, why in lookup.DIFFERENT}


def test_each_architecture_becomes_the_first_network_that_has_it():
    assert lookup.identity_of("resnet18") == Identity("resnet18_v1b")
    for counterpart in TABLE.values():
        assert counterpart in lookup.of(lookup.identity_of(counterpart.architecture)) or (
            counterpart.architecture in ("resnet18", "resnet34")
        )


@pytest.mark.parametrize(
    "model, options, said",
    [
        ("resnet50_v1", {}, "stride in the first 1x1"),
        ("resnet50_v1b", {"anti_alias": 2}, "in the stem"),
        ("resnet50_v1d", {"attention": "sk"}, "dilated kernel"),
        ("resnet50_v1d", {"attention": "se"}, "only as seresnet152d"),
        ("resnet18_v1b", {"attention": "se"}, "8 channels"),
        ("resnet50_v1d", {"dilated": True}, "convert the plain network"),
        ("mobilenet1.0", {}, "at 6"),
        ("resnet50_v1b", {"bn_eps": 1e-3}, "the network's own epsilon"),
        ("blresnet50", {}, "docs/convert.md"),
    ],
)
def test_a_network_that_differs_is_refused_with_the_difference(model, options, said):
    with pytest.raises(UserError, match=said):
        lookup.find(Identity.of(model, options))


@pytest.mark.parametrize(
    "architecture, said",
    [
        ("resnetaa50", "stem"),
        ("resnetblur50", "stem"),
        ("skresnet50", "dilated kernel"),
        ("mobilenetv3_small_100", "1,280"),
        ("darknet53", "slope of 0.01"),
        ("vit_tiny", "lists"),
    ],
)
def test_so_is_one_of_theirs(architecture, said):
    with pytest.raises(UserError, match=said):
        lookup.identity_of(architecture)


def test_the_library_without_the_network_is_named():
    with pytest.raises(UserError, match="timm has no squeezenet1.0, but torchvision does"):
        lookup.find(Identity("squeezenet1.0"), "timm")


def test_what_training_alone_uses_makes_no_other_network():
    used = {"last_gamma": True, "drop_path": 0.1, "final_drop": 0.2, "attention": "none"}
    assert Identity.of("resnet50_v1d", used) == Identity("resnet50_v1d")
    assert lookup.identity_of("resnet50d.ra2_in1k") == Identity("resnet50_v1d")


def conv_norm(conv, bn):
    return [f"{conv}.weight", *(f"{bn}.{part}" for part in NORM)]


def resnet18():
    """The names of its arrays in torchvision."""
    names = conv_norm("conv1", "bn1")
    for stage in (1, 2, 3, 4):
        for block in (0, 1):
            at = f"layer{stage}.{block}."
            for number in (1, 2):
                names += conv_norm(f"{at}conv{number}", f"{at}bn{number}")
            if block == 0 and stage > 1:
                names += conv_norm(f"{at}downsample.0", f"{at}downsample.1")
    return [*names, "fc.weight", "fc.bias"]


def parameters_of(model):
    return models.get_model(model)._collect_params_with_prefix()


def test_missing_and_surplus_arrays_are_named():
    identity, parameters = Identity("resnet18_v1b"), parameters_of("resnet18_v1b")
    there = {name: np.zeros((2, 2), "float32") for name in resnet18()}
    there["bn1.num_batches_tracked"] = np.zeros((), "int64")
    assert translation.to_ours(identity, parameters, there, "f").keys() == parameters.keys()
    there["more"] = there.pop("layer2.0.bn1.running_var")
    with pytest.raises(UserError, match="no layer2.0.bn1.running_var; resnet18 has no more"):
        translation.to_ours(identity, parameters, there, "f")
    with pytest.raises(UserError, match="no conv1.weight, bn1.weight, bn1.bias and 99 more"):
        translation.to_ours(identity, parameters, {}, "f")


def test_a_bias_that_ours_lacks_has_to_be_zero():
    identity, parameters = Identity("mobilenetv2_1.0"), parameters_of("mobilenetv2_1.0")
    counterpart = TABLE[identity, "torchvision"]
    there = {counterpart.rename(name): np.zeros((2, 2), "float32") for name in parameters}
    there["classifier.1.bias"] = np.zeros(2, "float32")
    found = translation.to_ours(identity, parameters, there, "f")
    assert len(found) == len(there) - 1 and found["output.0.weight"].shape == (2, 2, 1, 1)
    there["classifier.1.bias"] = np.ones(2, "float32")
    with pytest.raises(UserError, match="classifier.1.bias is not zero"):
        translation.to_ours(identity, parameters, there, "f")
