"""What to load: a trained classifier from any form it is kept in, behind one interface.

A run's folder, a checkpoint, a parameter file, an exported folder, an ONNX file and an INT8 model
all become a :class:`Classifier`, whose ``predict`` takes normalised images and gives logits.
"""

import dataclasses
import os
from typing import Callable, Optional

from .. import config as flags
from ..errors import UserError
from ..text import printable
from ..training import checkpoint, run_folder
from . import manifest as manifests
from .predictors import block_predictor, session_predictor

PREPROCESSING = ("input_size", "crop_ratio", "rgb_mean", "rgb_std")
NETWORK = ("model", "classes", "use_se", "use_gn", "batch_norm")
PARAMETERS = "net.params"


@dataclasses.dataclass
class Classifier:
    """A classifier ready to run.

    ``predict`` maps float32 (N, 3, input_size, input_size), normalised with ``rgb_mean`` and
    ``rgb_std``, to float32 logits (N, classes).
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
    # of the run, or of the flags that a bare parameter file needs
    config: Optional[flags.Config] = None
    run: Optional[object] = None  # the gluon_tricks.training.run_folder.RunFolder, where it is one

    def data_config(self, **fields):
        """A :class:`gluon_tricks.config.Config` whose evaluation images are as this classifier
        wants them.
        """
        own = {name: getattr(self, name) for name in PREPROCESSING}
        config = flags.Config(classes=self.classes, **own, **fields)
        flags.check_ranges(config)
        return config

    def label(self, index):
        """The name of a class, or its number."""
        return self.labels[index] if self.labels else str(index)

    def compute_on(self, device):
        """Let ``predict`` compute on a context of MXNet; the parameters stay on the CPU as well,
        for an export.
        """
        import mxnet as mx

        if self.net is None:
            raise UserError(
                f"--gpu: {printable(self.path)} is of kind {self.kind}, which is run on the CPU; leave the flag out"
            )
        self.net.collect_params().reset_ctx([mx.cpu(), device])
        self.predict = block_predictor(self.net, self.path, device=device)


def add_arguments(parser, forms=True):
    """The flags that say what to load, for :func:`from_arguments`; ``forms``: exported folders are
    fine.
    """
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
    parser.add_argument(
        "--gpu",
        type=int,
        metavar="N",
        help="compute on this GPU, counted from 0 (not an export, nor ONNX) [the CPU]",
    )
    group = parser.add_argument_group("what a bare .params or .onnx file does not say")
    flags.add_arguments(_Flat(group), only=NETWORK + PREPROCESSING)


# Help of flags whose default comes from the file, and not from the run's flags.
HELP = dict(
    model="name of the network; 'gluon-tricks models --all' lists them",
    classes="number of classes [those of the file's last layer]",
    input_size="height and width of the images [those that the file or its network is made for]",
)


class _Flat:
    """Lets the flags of all groups of ``config`` appear in one."""

    def __init__(self, group):
        self._group = group

    def add_argument_group(self, title):
        return self

    def add_argument(self, *names, dest, help, **keywords):
        self._group.add_argument(*names, dest=dest, help=HELP.get(dest, help), **keywords)


def from_arguments(args):
    """The :class:`Classifier` that a command's flags name."""
    given = {name: value for name, value in vars(args).items() if name in NETWORK + PREPROCESSING}
    device = None if args.gpu is None else gpu(args.gpu)
    return open_classifier(
        args.source, args.params, getattr(args, "form", None), args.labels, device, **given
    )


def gpu(number):
    """The GPU of that number; UserError if MXNet sees none."""
    import mxnet as mx

    there = mx.context.num_gpus()
    if not 0 <= number < there:
        raise UserError(
            f"--gpu {number}, but MXNet sees {there} GPUs here; 'gluon-tricks doctor' says why"
        )
    return mx.gpu(number)


def open_classifier(path, params="best", format=None, labels=None, device=None, **given):
    """Load a classifier.

    Parameters
    ----------
    path : str
        A run's folder, a checkpoint's folder, a parameter file, an exported folder, or an ONNX
        file.
    params : "best" or "last"
        Which checkpoint of a run; a run without validation has no best and gives its last.
    format : "symbol", "onnx" or "int8"
        Which form of an exported folder; default: the first of these that it has.
    labels : str
        A file of class names instead of the one that is found.
    device : mxnet.Context
        What a network that is not exported computes on; default: the CPU.
    given : fields of :class:`gluon_tricks.config.Config`
        model, classes and the input's, for a file whose folder does not say them. Where it does, a
        different value is an error; only the images of a network that is not exported may be made
        otherwise than in training.

    Raises UserError where there is nothing, something else, or it is damaged.
    """
    path = os.fspath(path)
    if not os.path.exists(path):
        raise UserError(f"{path}: there is no such model, neither a folder nor a file")
    if os.path.isfile(path):
        folder, name = os.path.split(os.path.abspath(path))
        owner = [f for f, files in manifests.FILES.items() if name in files]
        if owner and manifests.is_export(folder):
            found = _open_export(folder, owner[0], given)
        elif name.endswith(".onnx"):
            found = _open_onnx(path, given)
        elif name.endswith(".params"):
            found = _open_parameters(run_folder.checked(path), given)
        else:
            raise UserError(f"{path}: is neither a .params nor an .onnx file, nor a folder")
    elif manifests.is_export(path):
        found = _open_export(path, format, given)
    elif os.path.isfile(os.path.join(path, PARAMETERS)):
        found = _open_checkpoint(path, checkpoint.read_state(path), given)
    elif os.path.isfile(os.path.join(path, "config.json")):
        found = _open_run(path, params, given)
    else:
        raise UserError(
            f"{path}: holds no run (config.json), no checkpoint ({PARAMETERS}) and no export ({manifests.NAME})"
        )
    if format and format != found.kind:
        raise UserError(
            f"{path}: is of kind {found.kind}; --format {format} asks for a form of an exported folder"
        )
    found.path = path
    flags.check_ranges(found.data_config())
    if found.net is not None:
        from ..models.parameters import check_finite

        check_finite(
            {name: held.data() for name, held in found.net._collect_params_with_prefix().items()},
            found.params_path,
        )
    if device is not None:
        found.compute_on(device)
    if labels:
        found.labels = manifests.read_labels(labels, found.classes)
    return found


def _open_run(folder, params, given):
    return _open_checkpoint(*run_folder.RunFolder(folder).checkpoint(params), given)


def _open_checkpoint(folder, state, given):
    found = _open_parameters(os.path.join(folder, PARAMETERS), given)
    found.step = state["step"]
    best = state.get("best")
    if best and best.get("step") == found.step:
        found.measured = {name: best.get(name) for name in ("top1", "top5", "images")}
    return found


def _open_parameters(path, given):
    import mxnet as mx

    from .. import models

    run = run_folder.run_of(path)
    if run is None:
        if "model" not in given:
            raise UserError(
                f"{path}: of which network? There is no config.json beside or above it that says so: give --model"
            )
        given.setdefault("input_size", models.input_size(given["model"]))
        config = flags.Config(**given)
        if "classes" not in given:
            config.classes = models.classes_in(path, config.model, **models.options_of(config))
    else:
        _refuse_other(given, {name: getattr(run.config, name) for name in NETWORK}, path)
        config = dataclasses.replace(run.config, **given)
    flags.check_ranges(config)
    net = models.get_model(config.model, classes=config.classes, **models.options_of(config))
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
        labels=run and run.labels(),
        net=net,
        params_path=path,
        config=config,
        run=run,
        **own,
    )


def _open_export(folder, format, given):
    manifest = manifests.read(folder, [format] if format else None)
    manifests.check(manifest, os.path.join(folder, manifests.NAME))
    format = format or next(name for name in manifests.FILES if name in manifest["formats"])
    _refuse_other(given, manifest, folder)
    own = {name: manifest[name] for name in PREPROCESSING}
    files = [os.path.join(folder, name) for name in manifests.FILES[format]]
    pixels = (own["rgb_mean"], own["rgb_std"]) if manifest["options"]["preprocess"] else None
    if format == "onnx":
        from . import onnx, onnx_file

        onnx_file.check(files[0], own["input_size"])
        predict = session_predictor(onnx.session(files[0]), files[0], pixels)
    else:
        from . import graph

        shape = (own["input_size"],) * 2 + (3,) if pixels else (3,) + (own["input_size"],) * 2
        predict = block_predictor(graph.block(graph.load(*files, shape)), files[0], pixels)
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
    from . import onnx, onnx_file

    size = given.get("input_size", flags.Config.input_size)
    flags.check_ranges(flags.Config(**given))
    graph = onnx_file.check(path, size).graph
    made = onnx.session(path)
    about = onnx.about(made)
    if "classes" in about:
        return _open_own_onnx(path, given, made, manifests.check(about, path))
    shape = _image_shape(path, made)
    classes = made.get_outputs()[0].shape[-1:]
    found = zip(("classes", "input_size"), [*classes, shape[2]] if classes else [None, shape[2]])
    known = {name: value for name, value in found if isinstance(value, int)}
    _refuse_other(given, known, path)
    config = flags.Config(**dict(given, **known))
    own = {name: getattr(config, name) for name in PREPROCESSING}
    predict = session_predictor(made, path, probabilities=onnx_file.gives_probabilities(graph))
    return Classifier(path, "onnx", given.get("model"), config.classes, predict=predict, **own)


def _open_own_onnx(path, given, session, about):
    """A file of ``gluon-tricks export`` without its folder."""
    _refuse_other(given, about, path)
    own = {name: about[name] for name in PREPROCESSING}
    pixels = (own["rgb_mean"], own["rgb_std"]) if about["options"]["preprocess"] else None
    labels = about.get("labels")
    if labels is not None and (not isinstance(labels, list) or len(labels) != about["classes"]):
        raise UserError(
            f"{printable(path)}: damaged, its labels are not {about['classes']}; export again"
        )
    return Classifier(
        path,
        "onnx",
        about["model"],
        about["classes"],
        predict=session_predictor(session, path, pixels),
        labels=labels and [str(label) for label in labels],
        **own,
    )


def _image_shape(path, session):
    """The shape of a foreign ONNX file's input; UserError unless it is float images (N, 3, H, W), H
    = W.
    """
    (images,) = session.get_inputs()
    shape, where = (
        images.shape,
        f"{printable(path)}: its input {printable(images.name)} is {images.type} {images.shape}",
    )
    if len(shape) == 4 and shape[3] == 3 and shape[1] != 3:
        raise UserError(
            f"{where}, images in the order NHWC; only NCHW, (N, 3, H, W), is run: convert the model to it"
        )
    if (
        len(shape) != 4
        or images.type != "tensor(float)"
        or isinstance(shape[1], int)
        and shape[1] != 3
    ):
        raise UserError(f"{where}, but float images (N, 3, H, W) are needed")
    if isinstance(shape[2], int) and isinstance(shape[3], int) and shape[2] != shape[3]:
        raise UserError(f"{where}, but only square images are made here")
    return shape


def _refuse_other(given, known, path):
    for name, value in given.items():
        if name in known and value != (
            tuple(known[name]) if isinstance(known[name], list) else known[name]
        ):
            raise UserError(
                f"{flags.spelling(name)} {value}: but {path} says {known[name]}; leave the flag out"
            )
