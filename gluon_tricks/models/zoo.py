"""All other classification networks of GluonCV's zoo, with the peculiarities of each kind."""

import json
import re
from functools import partial
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional

from mxnet import gluon

from . import published
from .complexity import trace
from .group_norm import GroupNorm
from .parameters import assign
from .registry import Network, Source, add_source, refusal


class Kind(NamedTuple):
    """The common properties of the networks in one module of gluoncv.model_zoo."""

    input_size: int = 224
    classes: str = "classes"  # the constructor's keyword for the classes
    keywords: Mapping[str, Any] = {}  # of every constructor call
    takes_input_size: bool = False
    fixed_classes: Optional[int] = None
    # GluonCV's ResNeXt has it inverted: gamma is 0 without last_gamma, and 1 with it.
    inverted_last_gamma: bool = False
    finish: Callable = lambda net, name: None  # changes to a network after its construction


def _pool_globally(net, name):
    """Average over the whole last feature map, for which these networks assume a fixed size, such
    as 7x7 for 224x224 pixels.
    """
    for part in (net, *net._children.values()):
        for layer in part._children.values():
            if type(layer) is gluon.nn.AvgPool2D:
                layer._kwargs["global_pool"] = True


def _repair_drop_block(net, name):
    from . import resnest_drop_block  # it imports GluonCV's, which takes a second

    resnest_drop_block.repair(net, name)


# The modules with classifiers; the others have networks for detection, segmentation and poses.
KINDS = {
    "alexnet": Kind(),
    "cifarresnet": Kind(input_size=32),
    "cifarresnext": Kind(input_size=32),
    "cifarwideresnet": Kind(input_size=32),
    "darknet": Kind(),
    "densenet": Kind(finish=_pool_globally),
    "dla": Kind(),
    "googlenet": Kind(finish=_pool_globally),
    "hrnet": Kind(classes="num_classes"),
    "inception": Kind(input_size=299, finish=_pool_globally),
    "mobilenet": Kind(),
    "mobilenetv3": Kind(),
    "nasnet": Kind(keywords={"use_aux": False}),  # with GluonCV's default it returns a pair
    "residual_attentionnet": Kind(),
    "resnest": Kind(takes_input_size=True, finish=_repair_drop_block),
    "resnet": Kind(),
    "resnetv1b": Kind(),
    "resnetv1b_pruned": Kind(fixed_classes=1000),
    "resnext": Kind(keywords={"last_gamma": True}, inverted_last_gamma=True),
    "senet": Kind(),
    "shufflenet": Kind(),
    "squeezenet": Kind(finish=_pool_globally),
    "vgg": Kind(),
    "xception": Kind(input_size=299),
}

# Networks that differ from their kind.
INPUT_SIZES = {
    "nasnet_6_4032": 331,
    "cifar_residualattentionnet56": 32,
    "cifar_residualattentionnet92": 32,
    "cifar_residualattentionnet452": 32,
}
# GluonCV names the parameter files of pruned networks by their speed-up.
OTHER_FILES = {
    "resnet18_v1b_0.89": "resnet18_v1b_2.6x",
    "resnet50_v1d_0.11": "resnet50_v1d_8.8x",
    "resnet50_v1d_0.37": "resnet50_v1d_5.9x",
    "resnet50_v1d_0.48": "resnet50_v1d_3.6x",
    "resnet50_v1d_0.86": "resnet50_v1d_1.8x",
    "resnet101_v1d_0.73": "resnet101_v1d_2.2x",
    "resnet101_v1d_0.76": "resnet101_v1d_1.9x",
}
# oneDNN "could not construct a sub-memory" in their backward pass.
UNTRAINABLE_ON_ONEDNN = ("nasnet_4_1056", "nasnet_6_4032", "nasnet_7_1920")


def networks() -> Dict[str, Network]:
    """The zoo's classifiers by name; imports GluonCV, which takes a second."""
    from gluoncv.model_zoo import model_zoo

    found = {}
    for name, constructor in model_zoo._models.items():
        kind = KINDS.get(constructor.__module__.rsplit(".", 1)[-1])
        # hrnet_*_s are for segmentation.
        if kind and not (name.startswith("hrnet") and name.endswith("_s")):
            found[name] = _network(name, kind, constructor)
    return found


def _network(name, kind, constructor):
    return Network(
        name,
        partial(_build, kind, constructor),
        options=None,
        input_size=INPUT_SIZES.get(name, kind.input_size),
        takes_input_size=kind.takes_input_size,
        published_file=_published_file,
        load_published=partial(_load_published, constructor),
        # GluonCV's resnext* accept use_se but set it to False.
        other_networks={"use_se": "se_" + name} if name.startswith("resnext") else {},
        fixed_classes=kind.fixed_classes,
        untrainable_on_onednn=name in UNTRAINABLE_ON_ONEDNN,
    )


def _build(kind, constructor, name, classes, **options):
    """A network of the zoo; each option is checked to have an effect.

    Many of the zoo's constructors accept any keyword and ignore those that they do not know.
    """
    keywords = {"pretrained": False, kind.classes: classes, **kind.keywords}
    if kind.takes_input_size:
        keywords["input_size"] = options.pop("input_size")
    net = constructor(**keywords)
    for option, value in options.items():
        before = net
        keywords.update(_keyword(kind, option, value))
        try:
            net = constructor(**keywords)
        except Exception as error:  # mostly TypeError, but the zoo raises even Warning
            raise refusal(option, name) from error
        ignored = _description(net) == _description(before)
        if ignored or (option == "last_gamma" and not _has_zero_gammas(net)):
            raise refusal(option, name)
    kind.finish(net, name)
    return net


def _keyword(kind, option, value):
    if option == "use_gn":
        return {"norm_layer": GroupNorm}
    return {option: not value if option == "last_gamma" and kind.inverted_last_gamma else value}


def _has_zero_gammas(net):
    parameters = net.collect_params().items()
    return any(name.endswith("gamma") and gamma.init == "zeros" for name, gamma in parameters)


def _description(net):
    """The properties that distinguish two networks before they are initialised: operations,
    settings, initial values.
    """
    nodes = json.loads(trace(net).tojson())["nodes"]
    return [(node["op"], node.get("attrs"), node["inputs"]) for node in nodes]


def _published_file(name, batch_norm=False, **_):
    name = re.sub("^(hrnet_.*)_c$", r"\1_cls", name)
    return published.file_called(OTHER_FILES.get(name, name + "_bn" * batch_norm))


def _load_published(constructor, net, file, batch_norm=False, **_):
    with published.download(file):
        source = constructor(pretrained=True, **({"batch_norm": True} if batch_norm else {}))
    arrays = {key: held.data() for key, held in source._collect_params_with_prefix().items()}
    wanted = net._collect_params_with_prefix()  # published networks may also have an auxiliary head
    return assign(net, {key: arrays[key] for key in wanted}, f"the published {file}", new_head=True)


def _explain(name):
    from gluoncv.model_zoo import get_model_list

    if name in get_model_list():
        return f"{name} of GluonCV's zoo is not a float32 image classifier"
    return None


add_source(Source(networks, _explain))
