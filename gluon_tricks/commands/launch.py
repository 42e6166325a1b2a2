"""``gluon-tricks launch``: starts the processes of a run on many machines."""

import argparse

from ..config import kvstore_name, user_path
from ..distributed.hosts import read_hosts
from ..distributed.launch_plan import KVSTORES, Launch, plan
from ..distributed.launcher import run


def add_arguments(parser):
    """The flags of the launch, then ``--`` and the command of a worker."""
    add = parser.add_argument
    add(
        "--kvstore",
        type=kvstore_name,
        choices=KVSTORES,
        default="dist_sync",
        help="how gradients are exchanged [dist_sync]",
    )
    add("-n", "--workers", type=int, required=True, metavar="N", help="workers")
    add(
        "-s",
        "--servers",
        type=int,
        metavar="N",
        help="servers [as many as workers]; Horovod has none",
    )
    _add_hosts(parser.add_argument_group("hosts").add_argument)
    add(
        "--restarts",
        type=int,
        default=0,
        metavar="N",
        help="when a process fails, start all again up to N times with --resume auto, on the hosts "
        "that answer; with fewer hosts there are fewer workers, which needs train's --elastic [0]",
    )
    add(
        "--dry-run",
        action="store_true",
        help="print environment and commands, for other schedulers, and start nothing",
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
        help="a:8,b:8, or a file with one such entry a line; workers and servers are started on "
        "them in turn, by ssh [this machine]",
    )
    add(
        "--address",
        help="address of this machine that the hosts reach; the scheduler listens there "
        "[127.0.0.1]",
    )
    add(
        "--interface",
        help="network interface, of the same name on all hosts, to listen on [lo; with --hosts: "
        "the first]",
    )
    add("--port", type=int, default=0, help="the scheduler's port [a free one]")


def main(args):
    """Run until all workers have ended; the exit code is that of the first process that failed, or
    0.
    """
    launch = launch_of(args)
    if not args.dry_run:
        return run(launch)
    for process in plan(launch):
        print(f"# {process.label}{' on ' + process.host if process.host else ''}")
        print(process.shell_line())
    return 0


def launch_of(args):
    """The :class:`Launch` that the flags ask for; :class:`UserError` for flags that cannot be."""
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
