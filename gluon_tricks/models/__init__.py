"""Networks by name: our ResNets (:mod:`.resnet`), and every other classification network of
GluonCV's zoo.
"""

import difflib
import inspect
import json
import os

import mxnet as mx

from ..config import FLAGS, spelling
from ..errors import UserError
from . import resnet
from .complexity import infer_shapes, trace
from .dropout import follow_seed
from .group_norm import GroupNorm
from .parameters import ParameterError, assign, classes_of, load_parameters

__all__ = [
    "ParameterError",
    "classes_in",
    "get_model",
    "input_size",
    "load_parameters",
    "load_pretrained",
    "names",
]

# Modules of gluoncv.model_zoo whose networks classify images; the others detect, segment, estimate
# poses.
CLASSIFIERS = """
    alexnet cifarresnet cifarresnext cifarwideresnet darknet densenet dla googlenet hrnet inception mobilenet
    mobilenetv3 nasnet residual_attentionnet resnest resnet resnetv1b resnetv1b_pruned resnext senet
    shufflenet squeezenet vgg xception
""".split()

# Which networks have an option, for the message that refuses it.
APPLIES_TO = {
    "last_gamma": "it is for resnet*, se_resnet*, resnext*, se_resnext* and resnest*",
    "use_se": "it is for resnext*; se_resnet50_v1, se_resnext50_32x4d and their kin have it without the flag",
    "use_gn": "it is for resnet*_v1, v1b, v1c, v1d and resnest*",
    "batch_norm": "it is for vgg11, vgg13, vgg16 and vgg19",
    "dilated": "it is for resnet*_v1b, v1c, v1d and resnest*",
    "final_drop": "it is for resnet* and resnest*",
    "features_only": "it is for resnet*_v1, v1b, v1c and v1d",
}


def names():
    """The names of all classification networks, ours first."""
    return resnet.NAMES + sorted(name for name in _zoo() if name not in resnet.NAMES)


def input_size(name):
    """Height and width in pixels of the images that the network called ``name`` is made for."""
    if name.startswith("cifar"):
        return 32
    if name in ("inceptionv3", "xception", "xception71"):
        return 299
    return 331 if name == "nasnet_6_4032" else 224


def options_of(config):
    """The flags of a :class:`gluon_tricks.config.Config` that shape the network, for
    :func:`get_model`.
    """
    return {
        name: True
        for name in ("last_gamma", "use_se", "use_gn", "batch_norm")
        if getattr(config, name)
    }


def get_model(name, classes=1000, pretrained=False, input_size=None, **options):
    """The network called ``name`` (:func:`names`): a HybridBlock from images (N, 3, H, W) to (N,
    classes).

    pretrained: with GluonCV's published parameters, on the CPU. If they are for another number of
    classes the
        last layer is new: ``net.not_loaded`` names its parameters. Without it nothing is
        initialised.
    input_size: height and width of the images to train on, where they are not those that the
    network is made
        for (:func:`input_size`): ResNeSt's DropBlock has to know. Outside of training it makes no
        difference.
    options: of our ResNets those of :class:`.resnet.ResNet`, and of these and the zoo's where they
    apply

        last_gamma  gamma = 0 in the last BatchNorm of every residual block (section 3.1)
        use_gn      GroupNorm (32 groups) in place of BatchNorm
        use_se      squeeze-and-excitation in ResNeXt
        batch_norm  BatchNorm in VGG

    and further keywords of GluonCV's constructors. An option that is False, None or 0 is off.
    Raises UserError for an option that the network has not, or takes and ignores, and for an
    unknown name.
    """
    if classes < 1:
        raise UserError(f"a network of {classes} classes")
    name, options = _resolve(name, options)
    net = _build(name, classes, input_size, options)
    follow_seed(net)
    if pretrained:
        # for what the file does not have; it is the paper's (section 2.1)
        net.initialize(mx.init.Xavier())
        net.not_loaded = load_pretrained(net, name, **options)
    return net


def classes_in(path, name, **options):
    """The number of classes that a parameter file of the network called ``name`` has in its last
    layer.
    """
    net = get_model(name, **options)
    return classes_of(net, path) or FLAGS["classes"].default


def load_pretrained(net, name, **options):
    """Set ``net``, made by ``get_model(name, **options)``, to GluonCV's published parameters.

    Returns the names of parameters that stay as they were: those of the last layer, where the
    published one has another number of classes. Raises UserError where nothing is published, or
    cannot be downloaded.
    """
    from gluoncv.model_zoo import model_store

    name, options = _resolve(name, options)
    ours = name in resnet.NAMES
    file = name + ("_gn" if ours and options.get("use_gn") else "")
    try:
        if ours:
            path = model_store.get_model_file(file)
        else:
            source = _zoo()[name](
                pretrained=True, **({"batch_norm": True} if options.get("batch_norm") else {})
            )
    except (
        Exception
    ) as error:  # requests, zipfile and the file system raise many kinds; the way out is one
        raise UserError(_no_download(file, error, model_store)) from error
    if ours:
        return load_parameters(net, path, new_head=True)
    published = {
        key: parameter.data() for key, parameter in source._collect_params_with_prefix().items()
    }
    wanted = net._collect_params_with_prefix()  # published networks may have an auxiliary head more
    return assign(
        net, {key: published[key] for key in wanted}, "the published " + name, new_head=True
    )


def _no_download(file, error, store):
    reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
    if "not available" in reason:
        return (
            f"GluonCV publishes no parameters of {file}: train it, or give a file with --use-params"
        )
    way_out = (
        f"Where there is a network, gluoncv.model_zoo.get_model({file!r}, pretrained=True) puts them into "
        "~/.mxnet/models: copy the file and pass it with --use-params"
    )
    if file in store._model_sha1:
        repository = os.environ.get("MXNET_GLUON_REPO", store.apache_repo_url).rstrip("/") + "/"
        archive = store._url_format.format(
            repo_url=repository, file_name=file + "-" + store.short_hash(file)
        )
        way_out = (
            f"Download {archive} on another machine, unpack it here and pass the .params file with "
            "--use-params"
        )
    return f"the published parameters of {file} could not be had ({reason}). {way_out}"


def _resolve(name, options):
    """Other ways to ask for a network: capitals, resnet50_v1b_gn, and use_se with a ResNeXt."""
    name = name.lower()
    options = {option: value for option, value in options.items() if value}
    if name.endswith("_gn") and name[: -len("_gn")] in resnet.NAMES:
        name, options["use_gn"] = name[: -len("_gn")], True
    # GluonCV's resnext* take use_se and set it to False.
    if name.startswith("resnext") and options.pop("use_se", False):
        name = "se_" + name
    return name, options


def _build(name, classes, pixels, options):
    if name in resnet.NAMES:
        return _ours(name, classes, dict(options))
    zoo = _zoo()
    if name in zoo:
        return _theirs(zoo[name], name, classes, pixels or input_size(name), options)
    from gluoncv.model_zoo import get_model_list

    if name in get_model_list():
        raise UserError(f"{name} of GluonCV's zoo is none that classifies images in float")
    raise UserError(f"no network is called {name}{closest(name)}")


def closest(name):
    """The end of a message about an unknown name."""
    close = difflib.get_close_matches(name.lower(), names(), n=3, cutoff=0.5)
    question = ": did you mean {}?".format(" or ".join(close)) if close else ";"
    return question + " 'gluon-tricks models --all' lists them"


def _ours(name, classes, options):
    if options.pop("use_gn", False):
        options["norm_layer"] = GroupNorm
    for option in options:
        if option not in inspect.signature(resnet.ResNet).parameters:
            raise _refusal(option, name)
    return resnet.resnet(name, classes=classes, **options)


def _theirs(build, name, classes, pixels, options):
    """A network of the zoo, each option of which is seen to change it.

    Many of the zoo's constructors take any keyword and drop those that they do not know.
    """
    keywords = {
        "pretrained": False,
        ("num_classes" if name.startswith("hrnet") else "classes"): classes,
    }
    if name.startswith("resnest"):
        keywords["input_size"] = pixels
    if name.startswith("nasnet"):
        keywords["use_aux"] = False  # GluonCV's default makes it return a pair
    # GluonCV's ResNeXt has it the wrong way round: gamma is 0 without last_gamma, and 1 with it.
    inverted = name.startswith(("resnext", "se_resnext"))
    if inverted:
        keywords["last_gamma"] = True
    plain = build(**keywords)
    if classes != 1000:
        try:
            output = trace(plain)
            fixed = infer_shapes(output, name, input_size(name))[output.list_outputs()[0]] != (
                1,
                classes,
            )
        except UserError:  # the pruned ResNets: their last layer contradicts the one before
            fixed = True
        if fixed:
            raise UserError(f"--classes {classes} does not apply to {name}: it has 1000 classes")
    for option, value in options.items():
        if option == "use_gn":
            keyword, setting = "norm_layer", GroupNorm
        else:
            keyword, setting = option, (not value if option == "last_gamma" and inverted else value)
        changed = {**keywords, keyword: setting}
        try:
            net = build(**changed)
        except Exception as error:  # mostly TypeError, but the zoo raises even Warning
            raise _refusal(option, name) from error
        same = _description(net) == _description(plain)
        if same or (option == "last_gamma" and not _zero_gammas(net)):
            raise _refusal(option, name)
        keywords, plain = changed, net
    if name.startswith("resnest"):
        from . import drop_block

        drop_block.repair(plain, name)
    if name.startswith(("densenet", "googlenet", "inceptionv3", "squeezenet")):
        _pool_globally(plain)
    return plain


def _pool_globally(net):
    """Average over all of the last features, whose size these networks have fixed: 7x7 for 224x224
    pixels, say.
    """
    for part in (net, *net._children.values()):
        for layer in part._children.values():
            if type(layer) is mx.gluon.nn.AvgPool2D:
                layer._kwargs["global_pool"] = True


def _zero_gammas(net):
    gammas = [
        parameter for name, parameter in net.collect_params().items() if name.endswith("gamma")
    ]
    return sum(gamma.init == "zeros" for gamma in gammas)


def _description(net):
    """What tells two networks apart before they are initialised: operations, settings, initial
    values.
    """
    nodes = json.loads(trace(net).tojson())["nodes"]
    return [(node["op"], node.get("attrs"), node["inputs"]) for node in nodes]


def _refusal(option, name):
    if option not in APPLIES_TO:  # a constructor's keyword, not a flag
        return UserError(f"{name} has no option {option}, or ignores it")
    flag = spelling(option) if option in FLAGS else option
    return UserError(f"{flag} does not apply to {name}: {APPLIES_TO[option]}")


def _zoo():
    """Name -> constructor of GluonCV's classification networks; imported on demand, it takes a
    second.
    """
    from gluoncv.model_zoo import model_zoo

    return {
        name: build
        for name, build in model_zoo._models.items()
        # hrnet_*_s are HRNets for segmentation.
        if build.__module__.rsplit(".", 1)[-1] in CLASSIFIERS
        and not (name.startswith("hrnet") and name.endswith("_s"))
    }
