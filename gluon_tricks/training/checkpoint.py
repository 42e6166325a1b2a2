"""Checkpoints: all that a run needs to resume, in one folder that is written whole or not at all,
and without pickle.

A checkpoint is ``RUN/checkpoints/step-00001234/`` with

- ``net.params`` and ``optimizer.states``: arrays, see :mod:`.checkpoint_arrays`;
- ``log.jsonl``: the run's log so far, from which a damaged one is restored;
- ``state.json``: the step, everything else, the SHA-256 of the three files, and that of its own
  contents.

It is written under a temporary name, flushed to disk and renamed. ``RUN/best`` is a link to the
checkpoint with the best validation; see :func:`best`.
"""

import contextlib
import json
import os
import shutil

import mxnet as mx

from ..files import plain_file, sha256, sync_folder
from ..text import printable
from . import checkpoint_arrays as arrays
from .checkpoint_state import FILES, FORMAT, NAME, CheckpointError, checkpoints, read_state, seal

_ASIDE = ".aside"
_HALF_WRITTEN = ".writing-"


def path_of(run_folder, step):
    """The folder of the checkpoint after ``step`` steps, whether it exists or not."""
    return os.path.join(run_folder, "checkpoints", f"step-{step:08d}")


def save(run_folder, step, net, trainer, state, keep, statistics=(), log=b"", more_arrays=None):
    """Write the checkpoint after ``step`` steps and return its folder. The ``keep`` newest
    checkpoints and the best one stay; the others are removed.

    ``state`` is what else the run needs, for JSON; ``statistics`` (parts, n) are each part's
    BatchNorm statistics, if there are several parts; ``log`` is all of ``log.jsonl`` (bytes);
    ``more_arrays`` are NDArrays by name, see :meth:`.update.Update.arrays`. An existing checkpoint
    of this step is replaced. Raises :class:`CheckpointError` if the disk is full or read-only;
    earlier checkpoints stay whole.
    """
    path = path_of(run_folder, step)
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, _HALF_WRITTEN + name)
    mx.nd.waitall()
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        os.makedirs(temporary)
        mx.nd.save(os.path.join(temporary, "net.params"), arrays.parameters_of(net))
        states = arrays.states_of(net, trainer, statistics, more_arrays)
        mx.nd.save(os.path.join(temporary, "optimizer.states"), states)
        with open(os.path.join(temporary, "log.jsonl"), "wb") as file:
            file.write(log)
        for name in ("net.params", "optimizer.states"):
            # A file that cannot be read back must not replace one that can.
            mx.nd.load(os.path.join(temporary, name))
        digests = {name: flush(os.path.join(temporary, name)) for name in FILES}
        about = dict(
            format=FORMAT,
            step=step,
            num_update=trainer.optimizer.num_update,
            log_bytes=len(log),
            sha256=digests,
        )
        _write_state(temporary, dict(state, **about))
        if os.path.isdir(path):  # a damaged one, whose step a resumed run has done again
            os.rename(path, path + ".old")
        os.rename(temporary, path)
        sync_folder(path)
    except (OSError, mx.MXNetError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise _cannot_write(path, error) from None
    _remove_old(run_folder, keep)
    return path


def amend(path, log, **changes):
    """Add to the checkpoint in ``path`` what was learnt since then without a step: the whole
    ``log``, and ``changes`` to its state.

    If the run is killed meanwhile, the checkpoint stays what it was: only the part of the log that
    its state knows about counts.
    """
    try:
        with open(os.path.join(path, "state.json"), encoding="utf-8") as file:
            state = json.load(file)
        with open(os.path.join(path, "log.jsonl"), "r+b") as file:
            file.seek(state["log_bytes"])
            file.truncate()
            file.write(log[state["log_bytes"] :])
        digest = flush(os.path.join(path, "log.jsonl"))
        state.update(
            changes, log_bytes=len(log), sha256=dict(state["sha256"], **{"log.jsonl": digest})
        )
        _write_state(path, state)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _cannot_write(path, error) from None


def _cannot_write(path, error):
    folder, name = os.path.split(path)
    if isinstance(error, mx.MXNetError):  # its text names a C++ function
        reason = "MXNet could not write all of it"
    else:
        reason = error.strerror if isinstance(error, OSError) else str(error)
    return CheckpointError(
        f"cannot write the checkpoint of step {int(NAME.match(name).group(1))} into "
        f"{printable(folder)}: {reason}; "
        "earlier checkpoints are whole. Free some space or repair the folder, then resume with "
        "--resume auto"
    )


def _write_state(folder, state):
    path = os.path.join(folder, "state.json")
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(seal(state), file, indent=1)
    flush(path + ".new")
    os.replace(path + ".new", path)
    sync_folder(path)


# -- the best one


def best(run_folder):
    """The folder of the checkpoint with the best validation, or None.

    ``RUN/best`` is a link; or a folder, if the run was copied by following links; or, on a file
    system without links, a file with the checkpoint's path.
    """
    mark = os.path.join(run_folder, "best")
    if os.path.isdir(mark):
        return mark
    with contextlib.suppress(OSError, ValueError):
        with open(mark, encoding="utf-8", opener=plain_file) as file:
            name = os.path.basename(file.read(1000).strip())
        path = os.path.join(run_folder, "checkpoints", name)
        return path if name.startswith("step-") and os.path.isdir(path) else None
    return None


def mark_best(run_folder, path):
    """Point ``RUN/best`` to the checkpoint ``path``, atomically."""
    mark = os.path.join(run_folder, "best")
    place = os.path.relpath(path, run_folder)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.remove(mark + ".new")
        try:
            os.symlink(place, mark + ".new")
        except OSError:  # a file system without links
            with open(mark + ".new", "w", encoding="utf-8") as file:
                file.write(place + "\n")
        if os.path.isdir(mark) and not os.path.islink(mark):
            _discard(mark)
        os.replace(mark + ".new", mark)
    except OSError as error:
        raise CheckpointError(f"{printable(mark)}: cannot be written: {error.strerror}") from None


def find_best(run_folder, figures, other_run=None):
    """Point ``RUN/best`` to the checkpoint with these best ``figures``. Returns whether there is
    one.

    A run may have been killed before it could mark its best checkpoint. If the run resumes from a
    checkpoint of ``other_run``, the best one may be there; it is then copied.
    """
    for folder in filter(None, (run_folder, other_run)):
        for path in filter(None, (best(folder), path_of(folder, figures["step"]))):
            if not _reached(path, figures):
                continue
            if folder != run_folder:
                path = _copy(path, path_of(run_folder, figures["step"]))
            if os.path.realpath(best(run_folder) or "") != os.path.realpath(path):
                mark_best(run_folder, path)
            return True
    return False


def _reached(path, figures):
    with contextlib.suppress(CheckpointError):
        state = read_state(path)
        return state["step"] == figures["step"] and state.get("best") == figures
    return False


def _copy(source, path):
    """Copy the checkpoint ``source`` to ``path``, unless there is one, and return ``path``."""
    temporary = os.path.join(os.path.dirname(path), _HALF_WRITTEN + os.path.basename(path))
    try:
        if not os.path.isdir(path):
            shutil.copytree(source, temporary)
            os.rename(temporary, path)
    except (OSError, shutil.Error) as error:
        raise CheckpointError(
            f"{printable(source)}: cannot be copied to {printable(path)}: {error}"
        ) from None
    return path


# -- reading


def latest(run_folder, say=print, fits=lambda state: True):
    """(folder, state) of the newest whole checkpoint whose state ``fits``, or None. Damaged ones
    are reported through ``say``.
    """
    for path in checkpoints(run_folder):
        try:
            state = read_state(path)
        except CheckpointError as error:
            say(f"{error}; trying the one before it")
            continue
        if fits(state):
            return path, state
    return None


# -- removing old ones


def _remove_old(run_folder, keep):
    kept = os.path.realpath(best(run_folder) or "")
    for path in checkpoints(run_folder)[keep:]:
        if os.path.realpath(path) != kept:
            _discard(path)
    folder = os.path.join(run_folder, "checkpoints")
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if name.endswith(".old") or (name.endswith(_ASIDE) and os.path.realpath(path) != kept):
            shutil.rmtree(path, ignore_errors=True)


def remove_half_written(run_folder):
    """Remove what a killed run left half-written or half-removed. Only the process that holds the
    folder's lock may call this.
    """
    folder = os.path.join(run_folder, "checkpoints")
    for name in os.listdir(folder):
        if name.startswith(_HALF_WRITTEN) or name.endswith(".old"):
            shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
        with contextlib.suppress(OSError):
            os.remove(os.path.join(folder, name, "state.json.new"))
    shutil.rmtree(os.path.join(run_folder, "best.old"), ignore_errors=True)
    for name in ("best", "log.jsonl", "config.json", "environment.json", "result.json"):
        with contextlib.suppress(OSError):
            os.remove(os.path.join(run_folder, name + ".new"))


def set_aside(run_folder, step):
    """Remove checkpoints after more than ``step`` steps, which would pass for the newest though the
    run's steps now have other numbers.

    The best one stays, under another name.
    """
    kept = os.path.realpath(best(run_folder) or "")
    for path in checkpoints(run_folder):
        if int(NAME.search(path).group(1)) > step:
            if os.path.realpath(path) == kept:
                shutil.rmtree(path + _ASIDE, ignore_errors=True)  # left by a run killed here
                shutil.copytree(path, path + _ASIDE, copy_function=_link)
                mark_best(run_folder, path + _ASIDE)
            _discard(path)


def _link(source, target):
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copyfile(source, target)


def _discard(path):
    # Renamed first: a half-removed folder must not look like a checkpoint.
    shutil.rmtree(path + ".old", ignore_errors=True)
    os.rename(path, path + ".old")
    shutil.rmtree(path + ".old", ignore_errors=True)


def flush(path):
    """Flush a file to the disk and return its SHA-256."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
    return sha256(path)
