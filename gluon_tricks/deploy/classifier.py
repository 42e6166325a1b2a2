"""What to load: a trained classifier from any form it is kept in, behind one interface.

A run's folder, a checkpoint, a parameter file, an exported folder, an ONNX file and an INT8 model all become
a :class:`Classifier`, whose ``predict`` takes normalised images and gives logits.
"""

import dataclasses
import json
import os
from typing import Callable, Optional

from .. import config as flags
from ..errors import UserError
from . import manifest as manifests
from .predictors import block_predictor, session_predictor

PREPROCESSING = ("input_size", "crop_ratio", "rgb_mean", "rgb_std")
NETWORK = ("model", "classes", "use_se", "use_gn", "batch_norm")
PARAMETERS = "net.params"


@dataclasses.dataclass
class Classifier:
    """A classifier ready to run.

    ``predict`` maps float32 (N, 3, input_size, input_size), normalised with ``rgb_mean`` and ``rgb_std``, to
    float32 logits (N, classes).
    """

    path: str
    kind: str  # "gluon", "symbol", "onnx" or "int8"
    model: Optional[str]  # the network's name, where it is known
    classes: int
    input_size: int
    crop_ratio: float
    rgb_mean: tuple
    rgb_std: tuple
    predict: Callable
    labels: Optional[list] = None
    net: object = None  # the Gluon network of kind "gluon", and the file of its parameters
    params_path: Optional[str] = None
    measured: Optional[dict] = None  # top1, top5, images, as training or export measured them
    step: Optional[int] = None
    config: Optional[flags.Config] = None  # of the run, where it is one

    def data_config(self, **fields):
        """A :class:`gluon_tricks.config.Config` whose evaluation images are as this classifier wants them."""
        own = {name: getattr(self, name) for name in PREPROCESSING}
        return flags.Config(classes=self.classes, **own, **fields)

    def label(self, index):
        """The name of a class, or its number."""
        return self.labels[index] if self.labels else str(index)


def add_arguments(parser, forms=True):
    """The flags that say what to load, for :func:`from_arguments`; ``forms``: exported folders are fine."""
    parser.add_argument(
        "source",
        type=flags.user_path,
        metavar="MODEL",
        help="a run's folder, a checkpoint, a .params file, an exported folder, or an .onnx file",
    )
    parser.add_argument(
        "--params",
        choices=("best", "last"),
        default="best",
        help="of a run: its best or its last checkpoint [best]",
    )
    if forms:
        parser.add_argument(
            "--format",
            dest="form",
            choices=tuple(manifests.FILES),
            help="of an exported folder: which of its forms [the first it has]",
        )
    parser.add_argument(
        "--labels",
        type=flags.user_path,
        metavar="FILE",
        help="names of the classes, one a line [labels.txt of the export or the data]",
    )
    group = parser.add_argument_group("what a bare .params or .onnx file does not say")
    flags.add_arguments(_Flat(group), only=NETWORK + PREPROCESSING)


class _Flat:
    """Lets the flags of all groups of ``config`` appear in one."""

    def __init__(self, group):
        self._group = group

    def add_argument_group(self, title):
        return self._group


def from_arguments(args):
    """The :class:`Classifier` that a command's flags name."""
    given = {name: value for name, value in vars(args).items() if name in NETWORK + PREPROCESSING}
    return open_classifier(
        args.source, params=args.params, format=getattr(args, "form", None), labels=args.labels, **given
    )


def open_classifier(path, params="best", format=None, labels=None, **given):
    """Load a classifier.

    Parameters
    ----------
    path : str
        A run's folder, a checkpoint's folder, a parameter file, an exported folder, or an ONNX file.
    params : "best" or "last"
        Which checkpoint of a run; a run without validation has no best and gives its last.
    format : "symbol", "onnx" or "int8"
        Which form of an exported folder; default: the first of these that it has.
    labels : str
        A file of class names instead of the one that is found.
    given : fields of :class:`gluon_tricks.config.Config`
        model, classes and the input's, for a file whose folder does not say them. Where it does, a different
        value is an error; only the images of a network that is not exported may be made otherwise than in
        training.

    Raises UserError where there is nothing, something else, or it is damaged.
    """
    path = os.fspath(path)
    if not os.path.exists(path):
        raise UserError("{}: there is no such model, neither a folder nor a file".format(path))
    if os.path.isfile(path):
        folder, name = os.path.split(os.path.abspath(path))
        owner = [f for f, files in manifests.FILES.items() if name in files]
        if owner and manifests.is_export(folder):
            found = _open_export(folder, owner[0], given)
        elif name.endswith(".onnx"):
            found = _open_onnx(path, given)
        elif name.endswith(".params"):
            found = _open_parameters(path, given)
        else:
            raise UserError("{}: is neither a .params nor an .onnx file, nor a folder".format(path))
    elif manifests.is_export(path):
        found = _open_export(path, format, given)
    elif os.path.isfile(os.path.join(path, PARAMETERS)):
        found = _open_checkpoint(path, given)
    elif os.path.isfile(os.path.join(path, "config.json")):
        found = _open_run(path, params, given)
    else:
        raise UserError(
            "{}: holds no run (config.json), no checkpoint ({}) and no export ({})".format(
                path, PARAMETERS, manifests.NAME
            )
        )
    if format and format != found.kind:
        raise UserError(
            "{}: is of kind {}; --format {} asks for a form of an exported folder".format(
                path, found.kind, format
            )
        )
    found.path = path
    if labels:
        found.labels = manifests.read_labels(labels, found.classes)
    return found


def _open_run(folder, params, given):
    from ..training import checkpoint

    best = os.path.join(folder, "best")
    chosen = best if params == "best" and os.path.exists(best) else None
    if chosen is None:
        whole = checkpoint.latest(folder)
        if whole is None:
            raise UserError("{}: this run has no whole checkpoint yet".format(folder))
        chosen = whole[0]
    return _open_checkpoint(chosen, given)


def _open_checkpoint(folder, given):
    from ..training import checkpoint

    state = checkpoint.read_state(folder)
    found = _open_parameters(os.path.join(folder, PARAMETERS), given)
    found.step = state["step"]
    best = state.get("best")
    if best and best.get("step") == found.step:
        found.measured = {name: best.get(name) for name in ("top1", "top5", "images")}
    return found


def _open_parameters(path, given):
    import mxnet as mx

    from .. import models

    config = run_config(path)
    if config is None:
        missing = [name for name in ("model", "classes") if name not in given]
        if missing:
            raise UserError(
                "{}: of which network? There is no config.json beside or above it that says so: give {}"
                .format(path, " and ".join(flags.spelling(name) for name in missing))
            )  # fmt: skip
        given.setdefault("input_size", models.input_size(given["model"]))
        config = flags.Config(**given)
    else:
        _refuse_other(given, {name: getattr(config, name) for name in NETWORK}, path)
        config = dataclasses.replace(config, **given)
    options = {name: True for name in ("use_se", "use_gn", "batch_norm") if getattr(config, name)}
    net = models.get_model(config.model, classes=config.classes, **options)
    models.load_parameters(net, path, ctx=mx.cpu())
    net.cast("float32")
    net.hybridize(static_alloc=True, static_shape=True)
    own = {name: getattr(config, name) for name in PREPROCESSING}
    return Classifier(
        path,
        "gluon",
        config.model,
        config.classes,
        predict=block_predictor(net, path),
        labels=_labels_of(config),
        net=net,
        params_path=path,
        config=config,
        **own,
    )


def _open_export(folder, format, given):
    manifest = manifests.read(folder, [format] if format else None)
    format = format or next(name for name in manifests.FILES if name in manifest["formats"])
    _refuse_other(given, manifest, folder)
    own = {name: manifest[name] for name in PREPROCESSING}
    files = [os.path.join(folder, name) for name in manifests.FILES[format]]
    pixels = (own["rgb_mean"], own["rgb_std"]) if manifest["options"]["preprocess"] else None
    if format == "onnx":
        predict = session_predictor(files[0], pixels)
    else:
        from . import graph

        predict = block_predictor(graph.block(graph.load(*files)), files[0], pixels)
    labels = os.path.join(folder, manifests.LABELS)
    classes = manifest["classes"]
    return Classifier(
        folder,
        format,
        manifest["model"],
        classes,
        predict=predict,
        measured=manifest["measured"],
        labels=manifests.read_labels(labels, classes) if os.path.isfile(labels) else None,
        **own,
    )


def _open_onnx(path, given):
    from . import onnx

    made = onnx.session(path)
    shape = made.get_inputs()[0].shape
    if len(shape) != 4 or made.get_inputs()[0].type != "tensor(float)":
        raise UserError(
            "{}: its input is {} {}, but float images (N, 3, H, W) are needed".format(
                path, made.get_inputs()[0].type, shape
            )
        )
    classes = made.get_outputs()[0].shape[-1]
    size = shape[2] if isinstance(shape[2], int) else None
    known = {
        name: value for name, value in (("classes", classes), ("input_size", size)) if isinstance(value, int)
    }
    _refuse_other(given, known, path)
    config = flags.Config(**dict(given, **known))
    own = {name: getattr(config, name) for name in PREPROCESSING}
    return Classifier(
        path, "onnx", given.get("model"), config.classes, predict=session_predictor(path, None, made), **own
    )


def run_config(path):
    """The :class:`gluon_tricks.config.Config` in the ``config.json`` beside or above a file, or None."""
    folder = os.path.dirname(os.path.abspath(path))
    for _ in range(3):  # RUN/checkpoints/step-N/net.params
        file = os.path.join(folder, "config.json")
        if os.path.isfile(file):
            try:
                with open(file) as opened:
                    return flags.from_dict(json.load(opened)["flags"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise UserError(
                    "{}: damaged or not a run's: {}: {}".format(file, type(error).__name__, error)
                ) from None
        folder = os.path.dirname(folder)
    return None


def _refuse_other(given, known, path):
    for name, value in given.items():
        if name in known and value != (tuple(known[name]) if isinstance(known[name], list) else known[name]):
            raise UserError(
                "{} {}: but {} says {}; leave the flag out".format(
                    flags.spelling(name), value, path, known[name]
                )
            )


def _labels_of(config):
    """The labels.txt beside the run's records, where it fits the number of classes."""
    for record in (config.rec_val, config.rec_train):
        path = os.path.join(os.path.dirname(record), manifests.LABELS) if record else ""
        if path and os.path.isfile(path):
            labels = manifests.read_labels(path)
            return labels if len(labels) == config.classes else None
    return None
