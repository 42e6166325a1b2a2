"""The processes of a launch: their hosts, environments and commands. Nothing is started here.

The parameter server (ps-lite) comes with MXNet: :mod:`gluon_tricks.distributed.server` is its
scheduler and its servers. Horovod's workers are started by ``horovodrun``, which is a single
process here.
"""

import os
import re
import socket
import sys
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Tuple

from .. import threads
from ..errors import UserError
from .process_group import Process

MOST_PROCESSES = 100_000  # workers, and as many servers
KVSTORES = ("dist_sync", "dist_device_sync", "horovod")
# The variables that the parameter server's processes on other hosts need: ssh does not pass them
# on.
PASSED_ON = re.compile("(MXNET|PS|OMP)_|NVIDIA_TF32_OVERRIDE$|PYTHONPATH$|PATH$")


@dataclass(frozen=True)
class Launch:
    """What ``gluon-tricks launch`` was asked for. Raises :class:`UserError` if it is impossible."""

    kvstore: str
    workers: int
    command: Tuple[str, ...]  # a worker's: train and its flags
    servers: Optional[int] = None  # None: as many as workers
    hosts: Dict[str, int] = field(default_factory=dict)  # {host: slots}; empty: this machine
    address: Optional[str] = None  # of the scheduler
    interface: Optional[str] = None
    port: int = 0  # of the scheduler; 0: a free one
    restarts: int = 0

    def __post_init__(self):
        for flag, count in (("-n", self.workers), ("-s", self.servers)):
            if count is not None and not 1 <= count <= MOST_PROCESSES:
                raise UserError(f"{flag} {count}: has to be from 1 to {MOST_PROCESSES:,}")
        if not 0 <= self.port < 1 << 16:
            raise UserError(f"--port {self.port}: is not between 0 and 65535")
        if self.restarts < 0:
            raise UserError(f"--restarts {self.restarts}: has to be at least 0")
        if self.command[:1] != ("train",):
            raise UserError(
                "gluon-tricks launch -n N -s N -- train FLAGS: what follows -- has to begin "
                "with train"
            )
        if any(argument.split("=")[0] == "--kvstore" for argument in self.command):
            raise UserError(
                "--kvstore belongs before the --, to launch, which passes it on to the workers"
            )
        if self.kvstore == "horovod":
            self._check_horovod()
        elif self.hosts and not self.address:
            raise UserError(
                "--hosts needs --address, the address of this machine that the hosts reach"
            )

    def _check_horovod(self):
        if self.servers or self.address or self.port:
            raise UserError(
                "--servers, --address and --port are the parameter server's: Horovod has none of "
                "them"
            )
        if not self.hosts and self.interface not in (None, "lo"):
            raise UserError(
                f"--interface {self.interface}: on one machine Horovod's workers use lo alone"
            )


def plan(launch: Launch, resume: bool = False) -> List[Process]:
    """The processes of a launch: scheduler, servers and workers, or ``horovodrun`` alone.

    With ``resume``, the run continues from its last checkpoint.
    """
    worker = [sys.executable, "-m", "gluon_tricks", *launch.command, "--kvstore", launch.kvstore]
    if resume:
        worker += ["--resume", "auto"]
    if launch.kvstore == "horovod":
        return [Process("horovodrun", 0, "", _threads(launch), _horovodrun(launch) + worker)]
    return _parameter_server(launch, worker, dict(_ps_environment(launch), **_threads(launch)))


def _threads(launch):
    """The variables that share out the cores of this machine among its workers, unless the user has
    set their threads. On other hosts the workers count the cores themselves.
    """
    if os.environ.get(threads.NAME) and not os.environ.get(threads.CHOSEN_HERE):
        return {}
    if launch.hosts:
        return {threads.NAME: None, threads.CHOSEN_HERE: None}
    return {threads.NAME: str(max(1, threads.cores() // launch.workers)), threads.CHOSEN_HERE: "1"}


def _horovodrun(launch):
    """The command that starts Horovod's workers."""
    hosts, interface = launch.hosts, launch.interface or (None if launch.hosts else "lo")
    command = [sys.executable, "-m", "gluon_tricks.distributed.horovodrun", "-np"]
    command.append(str(launch.workers))
    if hosts:
        command += ["-H", ",".join(f"{host}:{slots}" for host, slots in hosts.items())]
    return command + (["--network-interfaces", interface] if interface else [])


def _parameter_server(launch, worker, environment):
    """Scheduler, servers and workers, whose command is ``worker``. The scheduler runs here, and the
    others on the hosts in turn.
    """
    server = [sys.executable, "-m", "gluon_tricks.distributed.server"]
    hosts = list(launch.hosts) or [""]

    def process(role, number, host, command):
        return Process(role, number, host, dict(environment, DMLC_ROLE=role), command)

    return [process("scheduler", 0, "", server)] + [
        process(role, number, hosts[number % len(hosts)], command)
        for role, count, command in (
            ("server", launch.servers or launch.workers, server),
            ("worker", launch.workers, worker),
        )
        for number in range(count)
    ]


def _ps_environment(launch):
    """The variables of all the parameter server's processes."""
    environment = dict(
        DMLC_PS_ROOT_URI=launch.address or "127.0.0.1",
        DMLC_PS_ROOT_PORT=str(launch.port or free_port()),
        DMLC_NUM_WORKER=str(launch.workers),
        DMLC_NUM_SERVER=str(launch.servers or launch.workers),
    )
    if launch.interface or not launch.hosts:
        environment["DMLC_INTERFACE"] = launch.interface or "lo"
    if not launch.hosts and not launch.interface:
        environment["DMLC_NODE_HOST"] = "127.0.0.1"
    if launch.hosts:
        ours = {name: value for name, value in os.environ.items() if PASSED_ON.match(name)}
        environment.update(ours)
    # The workers that share a host's cores, under the name that threads.py knows.
    environment["HOROVOD_LOCAL_SIZE"] = str(-(-launch.workers // (len(launch.hosts) or 1)))
    return environment


def free_port():
    """A port on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
