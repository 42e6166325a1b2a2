"""Nobody waits for ever: a worker that has waited too long for the others says for whom, and ends itself."""

import json
import os
import platform
import sys
import threading
import time

LOST = 4  # exit code of a worker that has waited for the others in vain


def end(why, code):
    """End at once, without what MXNet and Python do at an end, which may wait for workers who never come."""
    text = "gluon-tricks train: error: {}\n".format(why)
    sys.stdout.flush()
    os.write(2, text.encode())
    os._exit(code)


class Patience:
    """A context in which this process may wait for the others, but ends itself when that takes ``seconds``.

    Neither MXNet's parameter server nor a peer that is stopped gives an error that could be caught, and neither says who is
    missing. So each worker has a heart that beats in a file of the run's folder, which all workers share: whose heart stands
    still is gone or stopped.
    """

    def __init__(self, seconds):
        self.seconds = seconds
        self.period = min(2.0, seconds / 10)
        self._who = "this worker"
        self._folder = self._own = None
        self._rank = self._world_size = 0
        self._since = self._halfway = None
        self._beat = 0
        self._closed = False
        self._lock = threading.Lock()  # nothing is written once it is closed
        threading.Thread(target=self._live, daemon=True).start()

    def watch(self, folder, rank, world_size):
        """From now on, this worker of ``world_size`` has a heart in ``folder``."""
        os.makedirs(folder, exist_ok=True)
        self._rank, self._world_size, self._who = rank, world_size, "worker {}".format(rank)
        self._own = os.path.join(folder, str(rank))
        self._folder = folder

    def close(self):
        """The last wait is over; what :meth:`watch` left in the folder goes."""
        with self._lock:
            self._closed = True
            folder, self._folder = self._folder, None
        if folder:
            for remove, path in ((os.remove, self._own), (os.rmdir, folder)):
                try:
                    remove(path)
                except OSError:
                    pass  # others are still there

    def __enter__(self):
        self._halfway = None
        self._since = time.monotonic()

    def __exit__(self, *error):
        self._since = None

    def who_is_missing(self, before=None):
        """In words, what the hearts say; ``before`` are the beats of a while ago (default: some beats from now)."""
        if not self._folder:
            return "they may never have started"
        if before is None:
            before = self._beats()
            time.sleep(3 * self.period)
        now = self._beats()
        others = [rank for rank in range(self._world_size) if rank != self._rank]
        still = [rank for rank in others if not now.get(rank) or now[rank] == before.get(rank)]
        busy = [rank for rank in others if rank not in still and not now[rank]["waits"]]
        if still:
            return "{} stopped, gone or cut off".format(_names(still, {**before, **now}))
        if busy:
            return "{} alive, but busy with something else: slow data, a slow disk, or --stall-timeout is too short".format(
                _names(busy, now)
            )
        return "{} alive and waiting too: the network between the hosts is cut".format(_names(others, now))

    def _beats(self):
        found = {}
        for rank in range(self._world_size):
            try:
                with open(os.path.join(self._folder, str(rank))) as file:
                    found[rank] = json.load(file)
            except (OSError, ValueError):
                pass
        return found

    def _write(self):
        self._beat += 1
        try:
            with open(self._own + ".new", "w") as file:
                json.dump(dict(beat=self._beat, host=platform.node(), waits=self._since is not None), file)
            os.replace(self._own + ".new", self._own)  # nobody reads half of it
        except OSError:
            pass  # a full disk is found elsewhere

    def _live(self):
        while not self._closed:
            with self._lock:
                if self._folder:
                    self._write()
            time.sleep(self.period)
            since = self._since
            waited = 0 if since is None else time.monotonic() - since
            if waited > self.seconds:
                end("{} heard nothing from the others for --stall-timeout {} seconds: {}".format(
                    self._who, self.seconds, self.who_is_missing(self._halfway)), LOST)  # fmt: skip
            if waited > self.seconds / 2 and self._folder and self._halfway is None:
                self._halfway = self._beats()


def _names(ranks, beats):
    hosts = {rank: beats.get(rank, {}).get("host") for rank in ranks}
    names = ["{}{}".format(rank, " on " + hosts[rank] if hosts[rank] else "") for rank in ranks]
    return "worker{} {} {}".format("s" * (len(ranks) > 1), ", ".join(names), "are" if len(ranks) > 1 else "is")
