"""Networks by name: the properties of each, and the function that builds it.

A family registers its networks where it defines them, and nothing else lists them::

    @register("tiny", options=("last_gamma",), input_size=32)
    def tiny(name, classes, last_gamma=False):
        ...

GluonCV's other classifiers are a :class:`Source`, which is consulted only for a name that no family
has registered.
"""

import difflib
import functools
from dataclasses import dataclass, field
from typing import (
    Any,
    Callable,
    Dict,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    TypeVar,
)

import mxnet as mx
from mxnet.gluon.block import HybridBlock

from ..config import FLAGS, Config, spelling
from ..errors import UserError
from .batch_norm import set_batch_norms
from .counterparts import lookup
from .dropout import follow_seed
from .sync_batch_norm import synchronise

# Options by which networks differ, and the networks that have each, for the error of the others.
# options_of passes those that are flags of the command line to get_model.
OPTIONS = {
    "last_gamma": "resnet*, se_resnet*, resnext*, se_resnext*, resnest*, bl* and assemble_*",
    "use_se": "resnext*; se_resnet50_v1, se_resnext50_32x4d and their kin have it without the flag",
    "use_gn": "resnet*_v1, v1b, v1c, v1d and resnest*",
    "batch_norm": "vgg11, vgg13, vgg16 and vgg19",
    "dilated": "resnet*_v1b, v1c, v1d, resnest*, bl* and assemble_*",
    "final_drop": "resnet*, resnest*, bl* and assemble_*",
    "features_only": "resnet*_v1, v1b, v1c and v1d, bl* and assemble_*",
    "attention": "resnet*_v1b, v1c and v1d, blresnet* and mobilenet* (V1)",
    "attention_reduction": "resnet*_v1b, v1c and v1d, blresnet* and mobilenet* (V1)",
    "anti_alias": "resnet*_v1b, v1c and v1d, and bl*",
    "anti_alias_shortcut": "resnet*_v1b and v1c; the others pool there",
    "drop_block": "resnet*_v1b, v1c and v1d, bl*, assemble_* and mobilenet* (V1)",
    "drop_block_from": "resnet*_v1b, v1c and v1d, bl*, assemble_* and mobilenet* (V1)",
    "drop_path": "resnet*_v1b, v1c and v1d",
    "gem": "resnet*_v1b, v1c and v1d, bl* and assemble_*",
    "head_rate": "fcn_*",
    **dict.fromkeys(
        ("anchor_scales", "rpn_channels", "roi_size", "proposals", "rpn_sample", "roi_sample"),
        "faster_rcnn_*",
    ),
    "bl_alpha": "bl*",
    "bl_beta": "bl*",
    "bl_projection": "bl*",
    "bn_momentum": "networks with BatchNorm",
    "bn_eps": "networks with BatchNorm",
}
# Options that are applied after a network is built.
AFTERWARDS = ("bn_momentum", "bn_eps")


@dataclass(frozen=True)
class Network:
    """A network's properties.

    Parameters
    ----------
    name : str
        The name that builds it.
    build : callable
        ``build(name, classes=..., **options)`` returns the HybridBlock, images (N, 3, H, W) to
        logits (N, classes), not initialised.
    options : sequence of str, or None
        The options that it accepts; None: ``build`` itself refuses those that it lacks.
    input_size : int
        Height and width in pixels of the images for which it is made.
    takes_input_size : bool
        Whether ``build`` also takes ``input_size``, that of the training images.
    published_file : callable
        ``published_file(name, **options)`` is GluonCV's name for the file of its parameters; None
        if none are published.
    load_published : callable, or None
        ``load_published(net, file, **options)`` sets ``net`` to the parameters in that file and
        returns the names of those that it did not set; only called if there is a file.
    other_networks : dict
        Option -> the name of the network that has it.
    fixed_classes : int, or None
        Its number of classes, if that cannot be chosen.
    untrainable_on_onednn : bool
        Its backward pass fails in oneDNN, MXNet's library for CPUs; without oneDNN the network
        trains.
    for_task : str, or None
        The only task for which it has outputs; None: it is a classifier, for every other task.
    sizes_vary : bool
        The images of a run have many sizes, so no memory is reserved for one size.
    """

    name: str
    build: Callable[..., HybridBlock]
    options: Optional[Sequence[str]] = ()
    input_size: int = 224
    takes_input_size: bool = False
    published_file: Callable[..., Optional[str]] = lambda name, **options: None
    load_published: Optional[Callable[..., List[str]]] = None
    other_networks: Mapping[str, str] = field(default_factory=dict)
    fixed_classes: Optional[int] = None
    untrainable_on_onednn: bool = False
    for_task: Optional[str] = None
    sizes_vary: bool = False


class Source(NamedTuple):
    """Networks that take long to list.

    ``networks()`` returns them by name; ``explain(name)`` returns the reason why an unknown name is
    not among them, or None.
    """

    networks: Callable[[], Mapping[str, Network]]
    explain: Callable[[str], Optional[str]]


Build = TypeVar("Build", bound=Callable[..., HybridBlock])

_networks: Dict[str, Network] = {}
_aliases: Dict[str, Tuple[str, Dict[str, Any]]] = {}
_sources: List[Source] = []


def register(
    *names: str, suffixes: Optional[Mapping[str, Mapping[str, Any]]] = None, **about: Any
) -> Callable[[Build], Build]:
    """A decorator that registers a function under these names.

    Parameters
    ----------
    names : str
        The names for :func:`get_model`, in lower case.
    suffixes : dict
        Suffix -> the options that a name with this suffix means.
    about
        The other fields of :class:`Network`.
    """

    def decorate(build: Build) -> Build:
        for name in names:
            if name in _networks:
                raise ValueError(f"two networks are called {name}")
            _networks[name] = Network(name, build, **about)
            for suffix, options in (suffixes or {}).items():
                _aliases[name + suffix] = name, dict(options)
        return build

    return decorate


def add_source(source: Source) -> None:
    """Look up unregistered names in ``source``."""
    networks = functools.lru_cache(maxsize=None)(source.networks)
    _sources.append(source._replace(networks=networks))


def names(sources: bool = True, task: Optional[str] = None) -> List[str]:
    """The names of all classifiers, the registered ones first, or without ``sources`` only those.
    With ``task``, the names of the networks for that task.
    """
    own = [name for name, network in _networks.items() if network.for_task == task]
    more = {name for source in _sources for name in source.networks()}
    return own + (sorted(more - _networks.keys()) if sources and not task else [])


def names_for_tasks() -> List[str]:
    """The names of the networks that are for only one task."""
    return [name for name, network in _networks.items() if network.for_task]


def get(name: str) -> Network:
    """The :class:`Network` called ``name``; UserError if there is none."""
    name, _ = _aliases.get(name.lower(), (name.lower(), {}))
    if name in _networks:
        return _networks[name]
    for source in _sources:
        if name in source.networks():
            return source.networks()[name]
    for source in _sources:
        reason = source.explain(name)
        if reason:
            raise UserError(reason)
    raise UserError(f"no network is called {name}{closest(name)}")


def closest(name: str) -> str:
    """The end of a message about an unknown name. It suggests first our networks that timm or
    torchvision calls so.
    """
    same = [_with_flags(identity) for identity in lookup.identities_of(name.lower())]
    close = list(dict.fromkeys(same + _near(name.lower())))[:3]
    question = f": did you mean {' or '.join(close)}?" if close else ";"
    return question + " 'gluon-tricks models --all' lists them"


def _with_flags(identity):
    """``resnet50_v1b --attention se``, for instance."""
    given = (
        spelling(name) if value is True else f"{spelling(name)} {value}"
        for name, value in identity.options
    )
    return " ".join([identity.model, *given])


def _near(name):
    """The names that are spelled most like ``name``. The sort is stable, so that equally near names
    stay in the order of registration: the paper's networks come first.
    """
    ratios = {
        known: difflib.SequenceMatcher(a=known, b=name).ratio()
        for known in [*names(), *names_for_tasks()]
    }
    near = [known for known, ratio in ratios.items() if ratio >= 0.5]
    return sorted(near, key=ratios.__getitem__, reverse=True)


def input_size(name: str) -> int:
    """Height and width in pixels of the images for which the network called ``name`` is made."""
    return get(name).input_size


def options_of(config: Config) -> Dict[str, Any]:
    """The flags of a :class:`gluon_tricks.config.Config` that change the network, as options of
    :func:`get_model`.
    """
    values = {option: getattr(config, option) for option in OPTIONS if option in FLAGS}
    return {option: value for option, value in values.items() if value != FLAGS[option].default}


def arguments_of(config: Config) -> Dict[str, Any]:
    """The arguments of :func:`get_model` for a run, after the name. UserError if the network is not
    for the run's task.
    """
    task, wanted = config.task, get(config.model).for_task
    if wanted and wanted != task:
        raise UserError(f"--model {config.model} is for --task {wanted}, not {task}")
    if not wanted and names(task=task):
        (nearest,) = difflib.get_close_matches(config.model, names(task=task), n=1, cutoff=0)
        raise UserError(
            f"--model {config.model} is a classifier; --task {task} has {nearest}, for example"
        )
    return dict(classes=config.classes, input_size=config.input_size, **options_of(config))


def synchronised(net: HybridBlock, config: Config, devices: int = 1) -> HybridBlock:
    """The network, with SyncBatchNorm over ``devices`` if ``--sync-bn`` is on; UserError if it has
    no BatchNorm.
    """
    if config.sync_bn and not synchronise(net, devices):
        raise UserError(f"--sync-bn does not apply to {config.model}: it has no BatchNorm")
    return net


def get_model(
    name: str,
    classes: int = 1000,
    pretrained: bool = False,
    input_size: Optional[int] = None,
    **options: Any,
) -> HybridBlock:
    """The network called ``name``, a HybridBlock from images (N, 3, H, W) to (N, classes).

    Parameters
    ----------
    name : str
        One of :func:`names`, in any case; ``resnet50_v1b_gn`` is ``resnet50_v1b`` with ``use_gn``.
    classes : int
        Outputs of the last layer.
    pretrained : bool
        Whether to load GluonCV's published parameters, on the CPU. If they are for another number
        of classes, the last layer is new, and ``net.not_loaded`` names its parameters. If False,
        nothing is initialised.
    input_size : int
        Height and width of the training images, if they differ from those for which the network is
        made (:func:`input_size`): ResNeSt's DropBlock needs them. Outside training they make no
        difference.
    options
        Of our ResNets those of :class:`gluon_tricks.models.resnet.ResNet`, and of these and
        GluonCV's those that apply; one that is False, None, 0 or "none" is off:

        - last_gamma: gamma = 0 in the last BatchNorm of every residual block (section 3.1)
        - use_gn: GroupNorm (32 groups) replaces BatchNorm
        - use_se: squeeze-and-excitation in ResNeXt
        - batch_norm: BatchNorm in VGG
        - those of :class:`gluon_tricks.models.additions.Additions` and of
          :class:`gluon_tricks.models.big_little.Shape`
        - bn_momentum, bn_eps: of all BatchNorms

        and further keywords of GluonCV's constructors.

    Raises
    ------
    UserError
        For an option that the network lacks or ignores, and for an unknown name.
    """
    if classes < 1:
        raise UserError(f"a network needs at least 1 class, not {classes}")
    norm = {option: options[option] for option in AFTERWARDS if options.get(option)}
    network, options = _resolve(name, options)
    for option in options:
        if network.options is not None and option not in network.options:
            raise refusal(option, network.name)
    if classes != (network.fixed_classes or classes):
        raise UserError(
            f"--classes {classes} does not apply to {network.name}: it has "
            f"{network.fixed_classes} classes"
        )
    sizes = {"input_size": input_size or network.input_size} if network.takes_input_size else {}
    net = network.build(network.name, classes=classes, **sizes, **options)
    follow_seed(net)
    if norm and not set_batch_norms(net, norm.get("bn_momentum", 0), norm.get("bn_eps", 0)):
        raise refusal(next(iter(norm)), network.name)
    # its counterparts in timm and torchvision depend on it
    net.made_as = network.name, {**options, **norm}
    if pretrained:
        # for what the file lacks; the paper's (section 2.1)
        net.initialize(mx.init.Xavier())
        net.not_loaded = load_pretrained(net, network.name, **options)
    return net


def load_pretrained(net: HybridBlock, name: str, **options: Any) -> List[str]:
    """Set ``net``, made by ``get_model(name, **options)``, to GluonCV's published parameters.

    Returns the names of parameters that were not set: those of the last layer, if the published one
    has another number of classes. Raises UserError if nothing is published, or if it cannot be
    downloaded.
    """
    file = published_file(name, **options)
    network, options = _resolve(name, options)
    assert network.load_published, "a network with a published file can load it"
    return network.load_published(net, file, **options)


def published_file(name: str, **options: Any) -> str:
    """GluonCV's name for the file of the parameters of ``get_model(name, pretrained=True,
    **options)``; UserError if none are published.
    """
    network, options = _resolve(name, options)
    file = network.published_file(network.name, **options)
    if file is None:
        raise UserError(
            f"nobody publishes parameters of {name}: train it, or give a file with --use-params"
        )
    return file


def refusal(option: str, name: str) -> UserError:
    """The error for an option that the network called ``name`` does not have."""
    if option not in OPTIONS:  # a constructor's keyword, not a flag
        return UserError(f"{name} has no option {option}, or ignores it")
    flag = spelling(option) if option in FLAGS else option
    return UserError(f"{flag} does not apply to {name}: it is for {OPTIONS[option]}")


def _resolve(name: str, options: Mapping[str, Any]) -> Tuple[Network, Dict[str, Any]]:
    """The requested network and its options, with aliases and options that mean another network
    resolved.
    """
    _, meant = _aliases.get(name.lower(), (name, {}))
    network, options = get(name), {**options, **meant}
    options = {
        option: value
        for option, value in options.items()
        if value and value != "none" and option not in AFTERWARDS
    }
    for option, other in network.other_networks.items():
        if options.pop(option, False):
            network = get(other)
    return network, options
