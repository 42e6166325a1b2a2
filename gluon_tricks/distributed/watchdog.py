"""Nobody waits for ever: a worker that has waited too long for the others says for whom, and ends
itself.

Neither MXNet's parameter server nor a peer that is stopped gives an error that could be caught, and
neither says who is missing. So every process of a run has a :class:`Heartbeat`, a file in the run's
folder, which all of them share: whose file no longer changes is stopped or gone.
"""

import contextlib
import json
import os
import platform
import re
import sys
import threading
import time

from ..text import printable

HEARTBEAT = re.compile(r"(worker|server)-\d+(\.new)?")  # its file's name
LOST = 4  # exit code of a worker that has waited for the others in vain


def end(why, code):
    """End at once, without what MXNet and Python do at an end, which may wait for workers who never
    come.
    """
    text = f"gluon-tricks train: error: {why}\n"
    sys.stdout.flush()
    os.write(2, text.encode(errors="backslashreplace"))
    os._exit(code)


class Heartbeat:
    """The file ``folder/name``, written every ``period`` seconds until :meth:`stop`; ``state()`` is
    a dict to write into it.
    """

    def __init__(self, folder, name, period, state=dict):
        self._folder, self._path = folder, os.path.join(folder, name)
        self._period, self._state = period, state
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def stop(self):
        """Leave nothing in the folder, nor the folder when nothing else is in it."""
        self._stopped.set()
        self._thread.join()
        with contextlib.suppress(OSError):
            os.remove(self._path)
        with contextlib.suppress(OSError):
            os.rmdir(self._folder)

    def _live(self):
        beat = 0
        while not self._stopped.is_set():
            beat += 1
            self._write(dict(self._state(), beat=beat, host=platform.node(), pid=os.getpid()))
            self._stopped.wait(self._period)

    def _write(self, content):
        with contextlib.suppress(OSError):  # a full disk is found elsewhere
            with open(self._path + ".new", "w") as file:
                json.dump(content, file)
            os.replace(self._path + ".new", self._path)  # nobody reads half of it


class Watchdog:
    """A context in which this process may wait for the others, but ends itself when that takes
    ``seconds``.

    ``limit`` names those seconds, and ``lost()`` lists who is known to be lost without a heartbeat.
    Contexts may be nested: the time is the outermost one's.
    """

    def __init__(self, seconds, lost=list, limit="--stall-timeout"):
        self.seconds, self._limit = seconds, limit
        self.period = min(2.0, seconds / 10)
        self._lost = lost
        self._name, self._others = "this worker", []
        self._folder = self._heartbeat = None
        self._depth = 0
        self._since = None
        self.halfway = None  # the heartbeats of the others after half of the last long wait
        self._closed = threading.Event()
        threading.Thread(target=self._live, daemon=True).start()

    def watch(self, folder, name, others):
        """From now on this process is ``name`` in ``folder``, and ``others`` are the names of those
        it may wait for.

        Names are "worker-0", "server-1" and the like. The first worker removes what an earlier
        launch has left.
        """
        if self._heartbeat:
            return
        with contextlib.suppress(OSError):
            os.makedirs(folder, exist_ok=True)
            for old in filter(
                HEARTBEAT.fullmatch, os.listdir(folder) if name == "worker-0" else ()
            ):
                os.remove(os.path.join(folder, old))
        self._name, self._others, self._folder = name, others, folder
        self._heartbeat = Heartbeat(
            folder, name, self.period, lambda: dict(waits=self._since is not None)
        )

    def close(self):
        """The last wait is over."""
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
        """In words, what the heartbeats say; ``before`` are those of a while ago (default: of now,
        and then waits).
        """
        lost = self._lost()
        if not self._folder:
            return (
                f"{are(lost)} stopped, gone or cut off" if lost else "they may never have started"
            )
        if before is None:
            before = self._beats()
            time.sleep(3 * self.period)
        now = self._beats()
        silent = [name for name in self._others if name in now and now[name] == before.get(name)]
        absent = [name for name in self._others if name not in now]
        # A worker makes its file itself; a server may be on a host without the run's folder.
        silent += [name for name in absent if name.startswith("worker")]
        others = [
            name
            for name in self._others
            if name not in silent and name in now and name.startswith("worker")
        ]
        busy = [name for name in others if not now[name]["waits"]]
        hosts = {name: beat["host"] for name, beat in {**before, **now}.items()}
        if silent:
            return f"{are(_named(silent, hosts) + lost)} stopped, gone or cut off"
        if busy:
            return (
                f"{are(_named(busy, hosts))} alive, but busy with something else: "
                "slow data, a slow disk, or --stall-timeout is too short"
            )
        waiting = (
            f"{are(_named(others, hosts))} alive and waiting too"
            if others
            else "no other worker is there"
        )
        suspects = lost + _named([name for name in absent if name not in silent], hosts)
        if suspects:
            return f"{are(suspects)} stopped, gone or cut off; {waiting}"
        return f"{waiting}: the network between the hosts is cut"

    def _beats(self):
        """{name: what its file says}, of the others that have one."""
        found = {}
        for name in self._others:
            with contextlib.suppress(OSError, ValueError, AttributeError):
                with open(os.path.join(self._folder, name)) as file:
                    beat = json.load(file)
                found[name] = dict(
                    beat=beat.get("beat"), host=beat.get("host"), waits=beat.get("waits")
                )
        return found

    def _live(self):
        while not self._closed.wait(self.period):
            since = self._since
            waited = 0 if since is None else time.monotonic() - since
            if waited > self.seconds:
                end(
                    f"{_words(self._name)} heard nothing from the others for {self._limit} {self.seconds} seconds: "
                    f"{self.who_is_missing(self.halfway)}",
                    LOST,
                )
            if waited > self.seconds / 2 and self._folder and self.halfway is None:
                self.halfway = self._beats()


def _words(name):
    return name.replace("-", " ")


def _named(names, hosts):
    return [
        _words(name) + (f" on {printable(hosts[name])}" if hosts.get(name) else "")
        for name in names
    ]


def are(names):
    """The names as the beginning of a sentence: "a is", "a and b are"."""
    *first, last = names
    return f"{', '.join(first)} and {last} are" if first else f"{last} is"
