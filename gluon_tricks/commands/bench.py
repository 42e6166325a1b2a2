"""``gluon-tricks bench``: one of the measurements of :mod:`gluon_tricks.bench`."""

import importlib
import math

from ..errors import UserError
from ..flags import MOST, output_file

# Each is a module of gluon_tricks.bench with add_arguments(parser) and main(args).
MEASUREMENTS = {
    "step": "our training loop against a bare record / backward / update loop of the same network",
    "data": "our loader, decoding alone, ImageRecordIter and GluonCV's DataLoader",
    "detection": "our training step of Faster-RCNN against that of GluonCV's script",
    "infer": "inference: plain, hybridized, fused, INT8 and onnxruntime",
    "scaling": "images per second with 1 to N workers, over KVStore and over Horovod",
}

AT_LEAST_ONE = ("batch_size", "images", "input_size", "repeats", "rounds", "steps", "workers")


def add_arguments(parser):
    """A sub-parser for each measurement."""
    commands = parser.add_subparsers(dest="measurement", metavar="MEASUREMENT", required=True)
    for name, help in MEASUREMENTS.items():
        command = commands.add_parser(name, help=help, description=help)
        module(name).add_arguments(command)
        command.add_argument(
            "--json",
            type=output_file("JSON"),
            metavar="FILE",
            help="also write the figures as JSON; - for standard output",
        )


def main(args):
    """Run one measurement."""
    for name in AT_LEAST_ONE:
        value = getattr(args, name, 1)
        if not 1 <= value <= MOST:
            flag = "--" + name.replace("_", "-")
            raise UserError(f"{flag} {value}: has to be from 1 to {MOST}")
    if not 0 < getattr(args, "seconds", 1) < math.inf:
        raise UserError(f"--seconds {args.seconds}: has to be a positive number")
    return module(args.measurement).main(args)


def module(name):
    return importlib.import_module(f"gluon_tricks.bench.{name}")
