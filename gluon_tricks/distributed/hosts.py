"""The machines of a launch: those that ``--hosts`` names, and those among them that answer."""

import contextlib
import os
import re
import subprocess
import time

from ..child_processes import end_with_parent
from ..errors import UserError

SECONDS_TO_ANSWER = 30


def read_hosts(text):
    """{host: slots} from ``a:8,b`` (a bare host has one slot), or from a file with one entry a
    line, in which # begins a comment.
    """
    entries = text.split(",")
    if os.path.isfile(text) or os.sep in text:
        try:
            with open(text, encoding="utf-8", errors="replace") as file:
                entries = [line.split("#")[0] for line in file]
        except OSError as error:
            raise UserError(f"--hosts {text}: {error.strerror}") from None
    hosts = {}
    for entry in filter(None, map(str.strip, entries)):
        # Excludes options of ssh, among others.
        found = re.match(r"([\w.@][\w.@-]*)(?::([1-9]\d*))?$", entry)
        if not found:
            raise UserError(f"--hosts {text}: {entry!r} is neither a host's name nor name:slots")
        if found.group(1) in hosts:
            raise UserError(f"--hosts {text}: names {found.group(1)} twice")
        hosts[found.group(1)] = int(found.group(2) or 1)
    if not hosts:
        raise UserError(f"--hosts {text}: names no host")
    return hosts


def reachable(hosts):
    """The hosts, {host: slots}, that answer to ssh."""
    ssh = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]
    silent = dict(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    checks = [
        subprocess.Popen(ssh + [host, "true"], preexec_fn=end_with_parent(), **silent)
        for host in hosts
    ]
    deadline = time.monotonic() + SECONDS_TO_ANSWER
    found = {}
    for (host, slots), check in zip(hosts.items(), checks):
        with contextlib.suppress(subprocess.TimeoutExpired):
            if check.wait(max(0, deadline - time.monotonic())) == 0:
                found[host] = slots
        check.kill()
        check.wait()
    return found
