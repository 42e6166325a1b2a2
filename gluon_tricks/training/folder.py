"""A run's folder when a run begins: one run at a time uses it, and nothing in it is lost."""

import contextlib
import os
import platform

from ..distributed.gathering import gather_json
from ..errors import UserError
from ..files import check_utf8, plain_file
from ..locking import Lock
from ..text import printable
from . import checkpoint, run_folder

LOGS = ("log.jsonl", "timing.jsonl", "train.log")


@contextlib.contextmanager
def locked(config, workers):
    """A context in which no other run can use the folder: rank 0 holds its lock. UserError on all
    workers if another run holds it.
    """
    lock = _by_rank_0(workers, lambda: _lock(config.save_dir))
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def _lock(path):
    _make(path)
    return Lock(os.path.join(path, ".lock"), f"--save-dir {printable(path)}")


def prepare(config, workers):
    """Create or check the folder. Returns the checkpoint to resume from as (folder, state), or None
    for a new run.

    Rank 0 decides for all workers. Raises :class:`UserError` on all of them if the folder cannot
    be written, holds another run, or does not hold the checkpoint.
    """
    found = _by_rank_0(workers, lambda: _prepare(config))
    path = gather_json(workers, found and found[0])[0]
    if path and workers.rank:
        if not os.path.isdir(path):
            raise UserError(
                f"worker {workers.rank} on {platform.node()} cannot see the checkpoint {path}: "
                "--save-dir has to be a folder that all hosts share"
            )
        return path, checkpoint.read_state(path)
    return found


def _by_rank_0(workers, act):
    """The result of ``act()`` on rank 0, and None on the others. A UserError on rank 0 is raised on
    all workers.
    """
    found = error = None
    if workers.rank == 0:
        try:
            found = act()
        except UserError as raised:
            if workers.world_size == 1:
                raise
            error = str(raised)
    error = gather_json(workers, error)[0]
    if error:
        raise UserError(error)
    return found


def _make(path):
    check_utf8(path)
    try:
        os.makedirs(os.path.join(path, "checkpoints"), exist_ok=True)
        probe = os.path.join(path, ".writable")
        with open(probe, "w") as file:
            file.write("1")
        os.remove(probe)
    except OSError as error:
        raise UserError(
            f"--save-dir {printable(path)} cannot be written: {error.strerror}"
        ) from None


def _prepare(config):
    path = config.save_dir
    _make(path)
    checkpoint.remove_half_written(path)
    if not config.resume:
        if _holds_run(path):
            raise UserError(
                f"--save-dir {printable(path)} holds a run: resume it with --resume auto, or name "
                "another folder"
            )
        return None
    if config.resume != "auto":
        source = config.resume.rstrip("/")
        if checkpoint.checkpoints(source):
            raise UserError(
                f"--resume {printable(source)}: is a run, not a checkpoint: give --save-dir "
                f"{printable(source)} --resume auto, or one of its checkpoints"
            )
        if _holds_run(path) and not is_same(run_of(source).path, path):
            raise UserError(
                f"--save-dir {printable(path)} holds another run than --resume "
                f"{printable(source)}: name another folder"
            )
        return source, checkpoint.read_state(source)
    damaged = []
    found = checkpoint.latest(path, damaged.append)
    for text in damaged if found else ():
        print(text, flush=True)
    if found is None and _holds_run(path):
        _start_over(path, damaged)
    return found


def _holds_run(path):
    """Whether the folder holds anything of a run that would be lost."""
    files = [os.path.join(path, name) for name in ("config.json", "result.json", "log.jsonl")]
    return bool(checkpoint.checkpoints(path)) or any(
        os.path.exists(file) and os.path.getsize(file) for file in files
    )


def _start_over(path, damaged):
    """Remove the logs of a run that was killed before its first checkpoint. UserError if it had a
    checkpoint, so that nothing is lost.
    """
    shown = printable(path)
    over = (
        "Nothing was changed. To start from the beginning, name another --save-dir or move this "
        "folder away"
    )
    if damaged:
        said = "; ".join(text.rsplit("; trying", 1)[0] for text in damaged)
        raise UserError(f"--resume auto: no checkpoint in {shown} is whole: {said}. {over}")
    if os.path.exists(os.path.join(path, "result.json")) or _has_saved(path):
        raise UserError(f"--resume auto: the checkpoints of the run in {shown} are gone. {over}")
    for name in LOGS:
        with contextlib.suppress(FileNotFoundError):
            os.remove(os.path.join(path, name))
    print(
        f"--resume auto: the run in {shown} has no checkpoint yet and starts from the beginning",
        flush=True,
    )


def _has_saved(path):
    """Whether the run has written a checkpoint, according to its ``timing.jsonl``."""
    with contextlib.suppress(OSError), open(
        os.path.join(path, "timing.jsonl"), "rb", opener=plain_file
    ) as file:
        return b'"event": "checkpoint"' in file.read()
    return False


def check_validation_file(config):
    """Raise UserError with advice if the validation file, which ``--data-dir`` may have named, does
    not exist.
    """
    if config.rec_val and not os.path.exists(config.rec_val):
        raise UserError(
            f"{printable(config.rec_val)} is not there: give --rec-val FILE.rec, or to train "
            "without validation "
            f"--rec-train {printable(config.rec_train)} instead of --data-dir"
        )


def is_same(one, other):
    """Whether two paths lead to the same file or folder."""
    with contextlib.suppress(OSError):
        return os.path.samefile(one, other)
    return False


def run_of(checkpoint_folder):
    """The RunFolder that holds a checkpoint; UserError if there is none."""
    found = run_folder.run_of(os.path.realpath(checkpoint_folder))
    if found is None:
        raise UserError(
            f"{checkpoint_folder} is in no run's folder: there is no config.json above it"
        )
    return found
