"""Runs a launch, and starts it again if a process fails."""

import dataclasses

from ..text import counted
from .hosts import reachable
from .launch_plan import plan
from .process_group import ProcessGroup, say

# Exit codes after which a restart does not help or is not wanted.
FINAL = (0, 2, 3, 129, 130, 143)


def run(launch):
    """Run a :class:`.launch_plan.Launch` until all workers have ended. After a failure, start it
    again from the last checkpoint on the hosts that can be reached, up to ``launch.restarts``
    times.

    Returns the exit code of the first process that failed in the last attempt, or 0.
    """
    code = ProcessGroup(plan(launch)).run()
    left = launch
    for more in range(launch.restarts - 1, -1, -1):
        if code in FINAL:
            return code
        left = on_reachable_hosts(launch, left.hosts)
        if left is None:
            say("none of the hosts answers")
            return code
        where = ", ".join(left.hosts) or "this machine"
        say(f"starting again from the last checkpoint, on {where}; {counted(more, 'restart')} left")
        code = ProcessGroup(plan(left, resume=True)).run()
    return code


def on_reachable_hosts(launch, hosts):
    """The launch on those of its ``hosts`` that can be reached, with proportionally fewer workers;
    None if no host can be reached.
    """
    if not launch.hosts:
        return launch
    hosts = reachable(hosts)
    slots = sum(hosts.values())
    workers = max(1, launch.workers * slots // sum(launch.hosts.values()))
    return dataclasses.replace(launch, hosts=hosts, workers=workers) if hosts else None
