"""Nobody waits for ever: a worker that has waited too long for the others says for whom, and ends.

Neither MXNet's parameter server nor a stopped process causes an error that could be caught, nor do
they tell who is missing. So every process of a run has a :class:`Heartbeat`, a file in the run's
folder, which all processes share: one whose file no longer changes is stopped or gone.
"""

import contextlib
import json
import os
import platform
import re
import sys
import threading
import time

from ..files import plain_file
from ..text import printable

HEARTBEAT = re.compile(r"(worker|server)-\d+(\.new)?")  # the name of its file
LOST = 4  # the exit code of a worker that waited for the others in vain


def end(why, code):
    """End this process at once: MXNet and Python may wait at exit for workers that never come."""
    text = f"gluon-tricks train: error: {why}\n"
    sys.stdout.flush()
    os.write(2, text.encode(errors="backslashreplace"))
    os._exit(code)


class Heartbeat:
    """The file ``folder/name``, written every ``period`` seconds until :meth:`stop`. ``state()``
    returns a dict to write into it.
    """

    def __init__(self, folder, name, period, state=dict):
        self.name = name
        self._folder, self._path = folder, os.path.join(folder, name)
        self._period, self._state = period, state
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def stop(self):
        """Remove the file, and the folder if nothing else is in it."""
        self._stopped.set()
        self._thread.join()
        with contextlib.suppress(OSError):
            os.remove(self._path)
        with contextlib.suppress(OSError):
            os.rmdir(self._folder)

    def _beat(self):
        beat = 0
        while not self._stopped.is_set():
            beat += 1
            self._write(dict(self._state(), beat=beat, host=platform.node(), pid=os.getpid()))
            self._stopped.wait(self._period)

    def _write(self, content):
        with contextlib.suppress(OSError):  # a full disk is found elsewhere
            with open(self._path + ".new", "w") as file:
                json.dump(content, file)
            os.replace(self._path + ".new", self._path)  # so that nobody reads half of it


class Peers:
    """The other processes of the run, as their heartbeats in ``folder`` show them."""

    def __init__(self, folder, names):
        self._folder, self._names = folder, names

    def heartbeats(self):
        """{name: the contents of its file} of the processes that have one."""
        found = {}
        for name in self._names:
            with contextlib.suppress(OSError, ValueError, AttributeError):
                path = os.path.join(self._folder, name)
                with open(path, opener=plain_file) as file:
                    beat = json.load(file)
                found[name] = {key: beat.get(key) for key in ("beat", "host", "waits")}
        return found

    def who_is_missing(self, before, now, lost):
        """What the heartbeats of ``before`` and ``now`` show about the processes, in words.
        ``lost`` are those known to be lost by other means.
        """
        hosts = {name: beat["host"] for name, beat in {**before, **now}.items()}
        silent = [name for name in self._names if name in now and now[name] == before.get(name)]
        absent = [name for name in self._names if name not in now]
        # Every worker sees the run's folder; a server may be on a host without it.
        silent += [name for name in absent if _is_worker(name)]
        if silent:
            return f"{_are(_described(silent, hosts) + lost)} stopped, gone or cut off"
        alive = [name for name in self._names if name in now and _is_worker(name)]
        busy = [name for name in alive if not now[name]["waits"]]
        if busy:
            return (
                f"{_are(_described(busy, hosts))} alive, but busy with something else: "
                "slow data, a slow disk, or --stall-timeout is too short"
            )
        waiting = "no other worker is there"
        if alive:
            waiting = f"{_are(_described(alive, hosts))} alive and waiting too"
        suspects = lost + _described(absent, hosts)
        if suspects:
            return f"{_are(suspects)} stopped, gone or cut off; {waiting}"
        return f"{waiting}: the network between the hosts is cut"


class Watchdog:
    """A context in which this process may wait for the others. It ends the process if that takes
    longer than ``seconds``.

    ``limit`` names the setting of these seconds, and ``lost()`` lists the processes known to be
    lost by other means than heartbeats. Contexts may be nested: the outermost one's time counts.
    """

    def __init__(self, seconds, lost=list, limit="--stall-timeout"):
        self.seconds, self._limit = seconds, limit
        self.period = min(2.0, seconds / 10)
        self._lost = lost
        self._heartbeat = self._peers = None
        self._depth = 0
        self._since = None
        self.halfway = None  # the others' heartbeats when half of the time had passed
        self._closed = threading.Event()
        threading.Thread(target=self._check, daemon=True).start()

    def watch(self, folder, name, others):
        """Start this process's heartbeat, as ``name`` in ``folder``; ``others`` are the names of
        the processes for which it may wait.

        Names are "worker-0", "server-1" and the like. The first worker removes what an earlier
        launch left.
        """
        if self._heartbeat:
            return
        with contextlib.suppress(OSError):
            os.makedirs(folder, exist_ok=True)
            if name == "worker-0":
                _remove_heartbeats(folder)
        self._peers = Peers(folder, others)
        self._heartbeat = Heartbeat(
            folder, name, self.period, lambda: dict(waits=self._since is not None)
        )

    def close(self):
        """Stop watching, after the last wait."""
        self._closed.set()
        if self._heartbeat:
            self._heartbeat.stop()

    def __enter__(self):
        self._depth += 1
        if self._depth == 1:
            self.halfway = None
            self._since = time.monotonic()

    def __exit__(self, *error):
        self._depth -= 1
        if not self._depth:
            self._since = None

    def who_is_missing(self, before=None):
        """What the heartbeats show, in words. ``before`` are those of a while ago; by default, this
        reads them and waits for a while.
        """
        lost = self._lost()
        if not self._peers:
            return (
                f"{_are(lost)} stopped, gone or cut off" if lost else "they may never have started"
            )
        if before is None:
            before = self._peers.heartbeats()
            time.sleep(3 * self.period)
        return self._peers.who_is_missing(before, self._peers.heartbeats(), lost)

    def _check(self):
        while not self._closed.wait(self.period):
            since = self._since
            waited = 0 if since is None else time.monotonic() - since
            if waited > self.seconds:
                name = _spaced(self._heartbeat.name) if self._heartbeat else "this worker"
                end(
                    f"{name} heard nothing from the others for {self._limit} {self.seconds} "
                    f"seconds: {self.who_is_missing(self.halfway)}",
                    LOST,
                )
            if waited > self.seconds / 2 and self._peers and self.halfway is None:
                self.halfway = self._peers.heartbeats()


def other_workers(rank, world_size):
    """The names of all workers except this one."""
    return [f"worker-{other}" for other in range(world_size) if other != rank]


def _is_worker(name):
    return name.startswith("worker")


def _remove_heartbeats(folder):
    for old in filter(HEARTBEAT.fullmatch, os.listdir(folder)):
        os.remove(os.path.join(folder, old))


def _spaced(name):
    return name.replace("-", " ")


def _described(names, hosts):
    return [
        _spaced(name) + (f" on {printable(hosts[name])}" if hosts.get(name) else "")
        for name in names
    ]


def _are(names):
    """The names as the beginning of a sentence: "a is", "a and b are"."""
    *first, last = names
    return f"{', '.join(first)} and {last} are" if first else f"{last} is"
