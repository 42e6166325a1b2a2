"""One writer for a folder: a lock that names its owner and does not outlive it, also on file
systems that hosts share.

The kernel's lock (``flock``) decides wherever it reaches all hosts, as on local disks and NFS, and
it ends with its owner. On some shared file systems it holds on one host only, and some have none.
So the lock file also names its owner and has a counter that goes up while the lock is held: an
owner that the kernel does not answer for is considered dead only once its counter stands still.
"""

import contextlib
import errno
import fcntl
import json
import os
import platform
import threading
import time

from .errors import UserError
from .text import printable

PERIOD = 3.0  # seconds between increments of the counter
STALE_AFTER = 4 * PERIOD  # an unknown owner is dead if its counter stands still this long


class Locked(UserError):
    """Another process is writing to this folder."""


class Lock:
    """Holds the lock file ``path`` until :meth:`release` or the end of a ``with`` block.

    ``path`` is a file in an existing folder, and need not exist; ``what`` names what is locked in
    the message, for example ``--save-dir runs/mine``. Raises :class:`Locked` naming the owner, and
    UserError if the file cannot be created.
    """

    def __init__(self, path, what):
        self._path, self._what = os.fspath(path), what
        self._is_locked_by_kernel = True
        self._file = self._open()
        try:
            self._wait_for_unseen_owner()
            self._stop = threading.Event()
            self._beat(0)
        except BaseException:
            self._file.close()
            raise
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release()

    def release(self):
        """Release the lock and remove its file; a second call does nothing."""
        if self._file.closed:
            return
        self._stop.set()
        self._thread.join()
        with contextlib.suppress(OSError):
            if self._is_ours():
                os.remove(self._path)
        self._file.close()

    def _open(self):
        """The lock file, open, and locked by the kernel if its file system supports that."""
        while True:
            try:
                file = open(
                    self._path,
                    "r+b",
                    buffering=0,
                    opener=lambda path, flags: os.open(path, flags | os.O_CREAT, 0o666),
                )
            except OSError as error:
                raise UserError(
                    f"{printable(self._path)}: cannot be written: {error.strerror}"
                ) from None
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL):
                    owner = _read(file)
                    file.close()
                    raise self._refusal(owner) from None
                self._is_locked_by_kernel = False
            self._file = file
            if self._is_ours():  # else its last owner removed it after we opened it
                return file
            file.close()

    def _is_ours(self):
        with contextlib.suppress(OSError):
            return os.path.samestat(os.fstat(self._file.fileno()), os.stat(self._path))
        return False

    def _wait_for_unseen_owner(self):
        """Give an owner that this kernel does not know the time to show that it is alive."""
        before = _read(self._file)
        if not before or (self._is_locked_by_kernel and before.get("boot") == _boot()):
            return
        deadline = time.monotonic() + STALE_AFTER
        while time.monotonic() < deadline:
            time.sleep(PERIOD / 4)
            # opened anew, or this host might read its cache
            with contextlib.suppress(FileNotFoundError), open(self._path, "rb") as file:
                now = _read(file)
                if now and now != before:
                    raise self._refusal(now)

    def _refusal(self, owner):
        who = (
            f"process {owner.get('pid')} on {printable(owner.get('host'))}"
            if owner
            else "another process"
        )
        return Locked(
            f"{self._what}: {who} is writing to it; wait until it ends, stop it, or choose another "
            "folder"
        )

    def _beat(self, count):
        text = json.dumps(dict(host=platform.node(), pid=os.getpid(), boot=_boot(), beat=count))
        # Always of the same length, so that no reader sees the rest of an older text.
        os.pwrite(self._file.fileno(), text.ljust(400).encode(), 0)

    def _live(self):
        count = 0
        while not self._stop.wait(PERIOD):
            count += 1
            with contextlib.suppress(OSError):  # whoever writes to a full disk reports it
                self._beat(count)


def _read(file):
    """What an owner wrote, or {} if it wrote nothing or not all of it yet."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(os.pread(file.fileno(), 4096, 0))
        return found if isinstance(found, dict) else {}
    return {}


def _boot():
    """An identifier of this host since its last boot."""
    with contextlib.suppress(OSError), open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()
    return platform.node()
