"""A folder has one writer: a second is refused by name, and an owner that died, here or on another
host, is succeeded.
"""

import errno
import json
import os
import signal
import subprocess
import sys

import pytest

from gluon_tricks import locking
from gluon_tricks.errors import UserError
from gluon_tricks.locking import Lock, Locked

OWNER = """
import sys, time
from gluon_tricks.locking import Lock
lock = Lock(sys.argv[1], "it")
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def owner(tmp_path):
    """A process that holds the lock ``tmp_path/lock``."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path / "lock")], stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_owner_is_refused_and_told_who_has_it(owner, tmp_path):
    with pytest.raises(
        Locked, match=rf"^--save-dir run: process {owner.pid} on .* is writing to it"
    ):
        Lock(tmp_path / "lock", "--save-dir run")


def test_an_owner_that_was_killed_is_succeeded_at_once(owner, tmp_path):
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    with Lock(tmp_path / "lock", "it"):
        assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()
    assert not (tmp_path / "lock").exists()


def test_the_second_owner_in_one_process_is_refused_too(tmp_path):
    with Lock(tmp_path / "lock", "it"), pytest.raises(Locked):
        Lock(tmp_path / "lock", "it")
    with Lock(tmp_path / "lock", "it"):
        pass


def no_flock(file, operation):
    raise OSError(errno.ENOSYS, "Function not implemented")


@pytest.mark.parametrize("alive", [True, False])
@pytest.mark.parametrize("locks_on_this_host", [True, False])
def test_an_owner_that_the_kernel_does_not_see_is_alive_as_long_as_its_counter_goes_up(
    tmp_path, monkeypatch, alive, locks_on_this_host
):
    """File systems whose locks end at the host, with an owner on another one, and those without
    locks, with an owner on this one: only the counter tells.
    """
    if not locks_on_this_host:
        monkeypatch.setattr(locking.fcntl, "flock", no_flock)
    boot = "another" if locks_on_this_host else locking._boot()
    monkeypatch.setattr(locking, "PERIOD", 0.2)
    monkeypatch.setattr(locking, "STALE_AFTER", 0.8)
    path = tmp_path / "lock"

    def write(beat):
        path.write_text(json.dumps(dict(host="elsewhere", pid=7, boot=boot, beat=beat)))

    write(1)
    if alive:
        monkeypatch.setattr(locking.time, "sleep", lambda seconds: write(2))
        with pytest.raises(Locked, match="process 7 on elsewhere"):
            Lock(path, "it")
    else:
        Lock(path, "it").release()


def test_a_lock_file_that_holds_anything_else_does_not_stop_the_next_owner(tmp_path):
    for text in ("", "[1, 2]", "not json", "\x00" * 20):
        (tmp_path / "lock").write_text(text)
        Lock(tmp_path / "lock", "it").release()


def test_a_folder_that_is_not_there_is_an_error_that_names_the_file(tmp_path):
    with pytest.raises(UserError, match="absent/lock: cannot be written"):
        Lock(tmp_path / "absent" / "lock", "it")
