"""The flags of ``evaluate``, ``predict`` and ``export`` for opening a model."""

import argparse
import sys
from typing import Any, Tuple

from .. import config as flags
from ..data.class_names import said_otherwise
from ..errors import UserError
from ..text import counted
from ..threads import in_words
from . import manifest as manifests
from .opened import Opened
from .opening import NETWORK, open_model
from .tasks import TASKS

# The preprocessing flags of all tasks, each once.
IMAGES = dict.fromkeys(name for task in TASKS.values() for name in task.preprocessing._fields)
DESCRIPTION = (*NETWORK, *(name for name in IMAGES if name in flags.FLAGS))
# Help of flags whose default comes from the file or its run.
HELP = dict(
    model="name of the network; 'gluon-tricks models --all' lists them",
    classes="number of classes [those of the file's last layer]",
    input_size="height and width of the images [those of the file or its network]",
    base_size="segmentation, several scales: length of the image's longer side at scale 1 [that of "
    "the run; 520 without one]",
)


def add_arguments(parser: argparse.ArgumentParser, exports: bool = True) -> None:
    """Add the flags; ``exports``: whether exported folders can be opened."""
    add = parser.add_argument
    add(
        "source",
        type=flags.user_path,
        metavar="MODEL",
        help="a run's folder, a checkpoint, a .params or .safetensors file, a folder in the layout "
        "of timm's hub, "
        + ("an exported folder, an .onnx file, " if exports else "")
        + "or the name of a network with published parameters",
    )
    add(
        "--params",
        choices=("best", "last"),
        default="best",
        help="which checkpoint of a run [best]",
    )
    if exports:
        add(
            "--format",
            dest="opened_format",
            choices=tuple(manifests.FILES),
            help="which format of an exported folder [its first]",
        )
    add(
        "--labels",
        type=flags.user_path,
        metavar="FILE",
        help="names of the classes, one per line [labels.txt of the export or the data]",
    )
    add(
        "--gpu",
        type=int,
        metavar="N",
        help="compute on this GPU, counted from 0; not for exported folders or ONNX files [the "
        "CPU]",
    )
    group = parser.add_argument_group("what a parameter file does not contain")
    one_group: Any = _OneGroup(group)  # all that config needs of a parser
    flags.add_arguments(one_group, only=DESCRIPTION)


class _OneGroup:
    """Puts the flags of all groups of ``config`` into one, with this module's help."""

    def __init__(self, group):
        self._group = group

    def add_argument_group(self, title):
        return self

    def add_argument(self, *names, dest, help, **keywords):
        self._group.add_argument(*names, dest=dest, help=HELP.get(dest, help), **keywords)


def open_from(args: argparse.Namespace) -> Opened:
    """The model that a command's flags name."""
    given = {name: value for name, value in vars(args).items() if name in DESCRIPTION}
    device = None if args.gpu is None else gpu(args.gpu)
    format = getattr(args, "opened_format", None)
    return open_model(args.source, args.params, format, args.labels, device, **given)


def validation_file(args: argparse.Namespace, model: Opened) -> Tuple[str, str]:
    """(RecordIO file, its index) of ``--rec-val``, or else of the model's run; UserError if there
    is none, or if its classes are the model's in another order. Prints a warning if they have other
    names.
    """
    record, index = args.rec_val, args.rec_val_idx or ""
    if not record and model.trained and model.trained.run:
        record, index = model.trained.run.validation_file(index)
    if not record:
        raise UserError(f"--rec-val FILE.rec is needed: {args.source} names no validation file")
    compare_names(args, model, record)
    return record, index


def compare_names(args: argparse.Namespace, model: Opened, record: str) -> None:
    """Print a warning if the class names next to a RecordIO file differ from the model's, unless
    ``--labels`` was given; UserError if they are the same in another order.
    """
    if args.labels or not model.labels:
        return
    said = said_otherwise(model.labels, "the model", record)
    if said:
        print(said, file=sys.stderr)


def device_in_words(args: argparse.Namespace) -> str:
    """The device on which a model computes, as it is printed with its speed."""
    return in_words() if args.gpu is None else f"GPU {args.gpu}"


def gpu(number: int) -> Any:
    """The GPU with this number; UserError if MXNet does not see it."""
    import mxnet as mx

    seen = mx.context.num_gpus()
    if not 0 <= number < seen:
        raise UserError(
            f"--gpu {number}, but MXNet sees {counted(seen, 'GPU')} here; 'gluon-tricks doctor' "
            "shows why"
        )
    return mx.gpu(number)
