"""``gluon-tricks launch``: starts the processes of a run on many machines."""

import argparse

from ..config import kvstore_name, user_path
from ..distributed.hosts import read_hosts
from ..distributed.launch_plan import KVSTORES, Launch, plan
from ..distributed.launcher import run


def add_arguments(parser):
    """Add the flags of the launch; ``--`` and a worker's command follow them."""
    add = parser.add_argument
    add(
        "--kvstore",
        type=kvstore_name,
        choices=KVSTORES,
        default="dist_sync",
        help="how gradients are exchanged [dist_sync]",
    )
    add("-n", "--workers", type=int, required=True, metavar="N", help="number of workers")
    add(
        "-s",
        "--servers",
        type=int,
        metavar="N",
        help="number of servers [as many as workers]; Horovod has none",
    )
    _add_hosts(parser.add_argument_group("hosts").add_argument)
    add(
        "--restarts",
        type=int,
        default=0,
        metavar="N",
        help="if a process fails, restart all of them with --resume auto, up to N times, on the "
        "hosts that answer; fewer hosts mean fewer workers, which needs train's --elastic [0]",
    )
    add(
        "--dry-run",
        action="store_true",
        help="print environments and commands, for use with another scheduler, and start nothing",
    )
    add(
        "command",
        nargs=argparse.REMAINDER,
        metavar="-- train ...",
        help="the command of every worker",
    )


def _add_hosts(add):
    add(
        "--hosts",
        type=user_path,
        metavar="HOSTS",
        help="a:8,b:8, or a file with one such entry per line; workers and servers are assigned to "
        "these hosts in turn, and started by ssh [this machine]",
    )
    add(
        "--address",
        help="address at which the hosts reach this machine, for the scheduler to listen on "
        "[127.0.0.1]",
    )
    add(
        "--interface",
        help="network interface to listen on, with the same name on all hosts [lo; with --hosts: "
        "the first]",
    )
    add("--port", type=int, default=0, help="the scheduler's port [a free one]")


def main(args):
    """Run until all workers have ended; return the exit code of the first to fail, or 0."""
    launch = launch_of(args)
    if not args.dry_run:
        return run(launch)
    for process in plan(launch):
        print(f"# {process.label}{' on ' + process.host if process.host else ''}")
        print(process.shell_line())
    return 0


def launch_of(args):
    """The :class:`Launch` that the flags describe; :class:`UserError` if they are not valid."""
    return Launch(
        kvstore=args.kvstore,
        workers=args.workers,
        command=tuple(args.command[1:] if args.command[:1] == ["--"] else args.command),
        servers=args.servers,
        hosts=read_hosts(args.hosts) if args.hosts else {},
        address=args.address,
        interface=args.interface,
        port=args.port,
        restarts=args.restarts,
    )
