"""``gluon-tricks bench``: measurements that print ratios of one run, because machines are noisy and
shared.
"""

import importlib
import math

from ..config import user_path
from ..errors import UserError

BENCHES = {
    "step": "our training loop beside a bare record / backward / update loop of the same network",
    "data": "our loader beside decoding alone, ImageRecordIter and GluonCV's DataLoader",
    "infer": "inference: plain, hybridized, fused, INT8 and onnxruntime",
    "scaling": "images a second for 1 to N workers, KVStore beside Horovod",
}

AT_LEAST_ONE = ("batch_size", "images", "input_size", "repeats", "rounds", "steps", "workers")


def add_arguments(parser):
    """A sub-parser a measurement; each is imported when it is asked for."""
    commands = parser.add_subparsers(dest="bench", metavar="MEASUREMENT", required=True)
    for name, help in BENCHES.items():
        command = commands.add_parser(name, help=help, description=help, allow_abbrev=False)
        importlib.import_module(__name__ + "." + name).add_arguments(command)
        command.add_argument(
            "--json",
            type=user_path,
            metavar="FILE",
            help="also write the figures as JSON; - for standard output",
        )


def main(args):
    """Run one measurement."""
    for name in AT_LEAST_ONE:
        if getattr(args, name, 1) < 1:
            raise UserError(
                f"--{name.replace('_', '-')} {getattr(args, name)}: at least 1 is needed"
            )
    if not 0 < getattr(args, "seconds", 1) < math.inf:
        raise UserError(f"--seconds {args.seconds}: a positive number is needed")
    return importlib.import_module(__name__ + "." + args.bench).main(args)
