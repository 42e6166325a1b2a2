"""``gluon-tricks plan``: explains what a train command would do, without training."""

from .. import config as flags
from ..errors import UserError
from ..flags import output_file
from ..tasks import registry
from ..text import printable
from ..training.plan import RunPlan


def add_arguments(parser):
    flags.add_arguments(parser)
    group = parser.add_argument_group("plan")
    group.add_argument(
        "--workers",
        type=int,
        default=0,
        metavar="N",
        help="number of workers in the launch [that of the current launch, or 1]",
    )
    group.add_argument(
        "--plot",
        type=output_file("picture"),
        metavar="FILE.png",
        help="also draw the learning rate into this file",
    )
    group.add_argument(
        "--lr-csv",
        type=output_file("CSV"),
        metavar="FILE",
        help="also write a CSV of epoch,batch,lr, with the rate of each batch's update",
    )
    group.add_argument(
        "--every",
        type=int,
        default=1,
        metavar="N",
        help="--lr-csv: only batches 0, N, 2N ... of each epoch [1]",
    )


def main(args):
    """Print the plan, and write the files that were asked for."""
    if args.every < 1:
        raise UserError(f"--every is {args.every}, but has to be at least 1")
    if args.every > 1 and not args.lr_csv:
        raise UserError("--every has no effect without --lr-csv: leave one out or add the other")
    config = flags.resolve(vars(args))
    registry.of(vars(config))  # UserError if there is no such task
    plan = RunPlan(config, args.workers)
    for line in "\n".join(plan.lines()).split("\n"):
        print(printable(line))  # one contains a teacher's path
    if args.lr_csv:
        _write("--lr-csv", args.lr_csv, lambda path: plan.write_rates(path, args.every))
    if args.plot:
        _write("--plot", args.plot, plan.draw)
    return 0


def _write(flag, path, write):
    try:
        write(path)
    except (OSError, ValueError) as error:  # ValueError: matplotlib cannot write this format
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{flag} {path} cannot be written: {reason}") from None
    print(f"{printable(path)} is written")
