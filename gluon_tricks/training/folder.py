"""A run's folder: what it was is in it, and a resumed run has to be the same run."""

import contextlib
import datetime
import json
import os
import platform
import subprocess
import sys

from .. import __version__, determinism
from .. import config as flags
from ..config import ConfigError
from ..data.class_names import LABELS
from ..data.recordio import RecordError
from ..data.records import RecordFile, spread
from ..distributed.local import gather_json
from ..errors import UserError
from ..files import sha256, write_json, write_text
from ..locking import Lock
from ..text import printable
from . import checkpoint, network, run_folder

LOGS = ("log.jsonl", "timing.jsonl", "train.log")
SPLITS = {"train": "rec_train", "validation": "rec_val"}
PARAMETER_FLAGS = ("teacher", "use_params")  # flags that name a parameter file

# What may differ between the workers of a run: where things are on a host, and what the host has.
OWN = (
    "data_dir",
    "use_rec",
    "rec_train",
    "rec_train_idx",
    "rec_val",
    "rec_val_idx",
    "save_dir",
    "logging_file",
    "num_data_workers",
    "resume",
)


@contextlib.contextmanager
def locked(config, cluster):
    """Within, no other run can have the folder: rank 0 holds its lock. UserError on all workers if
    another run has it.
    """
    lock = _by_rank_0(cluster, lambda: _lock(config.save_dir))
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def _lock(path):
    _make(path)
    return Lock(os.path.join(path, ".lock"), f"--save-dir {printable(path)}")


def prepare(config, cluster):
    """Make or check the folder; the checkpoint to resume from as (folder, state), or None for a
    fresh start.

    Rank 0 decides for all workers. Raises :class:`UserError` on all of them where the folder cannot
    be written, holds another run, or holds no such checkpoint.
    """
    found = _by_rank_0(cluster, lambda: _prepare(config))
    path = gather_json(cluster, found and found[0])[0]
    if path and cluster.rank:
        if not os.path.isdir(path):
            raise UserError(
                f"worker {cluster.rank} on {platform.node()} cannot see the checkpoint {path}: --save-dir has to be a folder that all hosts share"
            )
        return path, checkpoint.read_state(path)
    return found


def _by_rank_0(cluster, act):
    """What ``act()`` gives on rank 0, and None on the others; a UserError of rank 0 is raised on
    all workers.
    """
    found = error = None
    if cluster.rank == 0:
        try:
            found = act()
        except UserError as raised:
            if cluster.world_size == 1:
                raise
            error = str(raised)
    error = gather_json(cluster, error)[0]
    if error:
        raise UserError(error)
    return found


def _make(path):
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
                f"--save-dir {printable(path)} holds a run: go on with --resume auto, or name another folder"
            )
        return None
    if config.resume != "auto":
        source = config.resume.rstrip("/")
        if _holds_run(path) and not is_same(run_of(source).path, path):
            raise UserError(
                f"--save-dir {printable(path)} holds another run than --resume {printable(source)}: name another folder"
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
    """Whether a run has left something in the folder that would be lost."""
    files = [os.path.join(path, name) for name in ("config.json", "result.json", "log.jsonl")]
    return bool(checkpoint.checkpoints(path)) or any(
        os.path.exists(file) and os.path.getsize(file) for file in files
    )


def _start_over(path, damaged):
    """Make room for a run that was killed before its first checkpoint; UserError if there was one,
    so that nothing is lost.
    """
    shown = printable(path)
    over = "Nothing was changed. To start from the beginning, name another --save-dir, or move this folder away"
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
    """Whether the run has written a checkpoint, as its clock's log has it."""
    with contextlib.suppress(OSError), open(os.path.join(path, "timing.jsonl"), "rb") as file:
        return b'"event": "checkpoint"' in file.read()
    return False


def about(run):
    """What ``config.json`` says of a run, as a dict: version, flags, layout, and what its data and
    parameters are made of.
    """
    config, layout = run.config, run.layout
    return dict(
        version=__version__,
        flags=json.loads(flags.to_json(config)),
        layout=dict(
            global_batch=layout.global_batch,
            batch_size=layout.batch_size,
            parts=layout.parts,
            devices=layout.devices,
            workers=layout.workers,
            began_with=run.began_with or layout.global_batch,
            steps_per_epoch=run.steps_per_epoch,
            total_steps=run.total_steps,
        ),
        data={split: _fingerprint(config, field) for split, field in SPLITS.items()},
        parameters={name: _parameters_digest(config, name) for name in PARAMETER_FLAGS},
    )


def _fingerprint(config, field):
    """What tells a file from another one of that name; None for synthetic images."""
    path = getattr(config, field)
    return (
        None
        if config.synthetic or not path
        else run_folder.fingerprint(path, getattr(config, field + "_idx"))
    )


def _parameters_digest(config, name):
    """The SHA-256 of the parameter file that a flag names; None if there is none, or GluonCV's."""
    path = getattr(config, name) and (
        network.teacher_source(config).path if name == "teacher" else getattr(config, name)
    )
    return sha256(path) if path else None


def check_validation_file(config):
    """Raise UserError saying what to do if the validation file, which --data-dir names too, is not
    there.
    """
    if config.rec_val and not os.path.exists(config.rec_val):
        raise UserError(
            f"{printable(config.rec_val)} is not there: give --rec-val FILE.rec, or to train without validation "
            f"--rec-train {printable(config.rec_train)} instead of --data-dir"
        )


def agree(run):
    """Raise :class:`ConfigError` on every worker if one has other flags, other data or another
    version than rank 0.
    """
    said = gather_json(run.cluster, dict(run.about, host=platform.node()))
    differing = disagreements(said)
    if differing:
        raise ConfigError(
            f"the workers are not of one run. Beside worker 0 on {said[0]['host']}, {'; '.join(differing)}"
        )


def disagreements(said):
    """Lines that name the workers which are not of the first one's run; ``said``: :func:`about` of
    each, and its ``host``.
    """
    first, *others = said
    found = [
        (rank, other["host"], _differences_of_workers(first, other))
        for rank, other in enumerate(others, 1)
    ]
    return [
        f"worker {rank} on {host}: {'; '.join(differences)}"
        for rank, host, differences in found
        if differences
    ]


def _differences_of_workers(first, other):
    if first["version"] != other["version"]:
        return ["gluon_tricks {} -> {}".format(first["version"], other["version"])]
    fields = [name for name in flags.FLAGS if name not in OWN]
    found = _differences_of_flags(
        flags.from_dict(first["flags"]), flags.from_dict(other["flags"]), first, other, fields
    )
    if first["layout"] != other["layout"]:
        found.append("layout: {} -> {}".format(first["layout"], other["layout"]))
    return found + _differences_of_data(first["data"], other["data"])


def _differences_of_flags(old, new, about_old, about_new, fields):
    """Differences of two Configs in ``fields``; of parameter files the contents count, where known,
    and not the paths.
    """
    before, now = about_old["parameters"], about_new["parameters"]
    known = [
        name for name in fields if name in PARAMETER_FLAGS and before.get(name) and now.get(name)
    ]
    return flags.differences(old, new, [name for name in fields if name not in known]) + [
        f"{flags.spelling(name)}: its parameters are others (SHA-256 {before[name][:12]} -> {now[name][:12]})"
        for name in known
        if before[name] != now[name]
    ]


def _differences_of_data(old, new):
    return [
        f"the data of {split}: {found}"
        for split, found in (
            (split, run_folder.differences(old[split], new[split])) for split in SPLITS
        )
        if found
    ]


def write(run):
    """Write ``config.json``, ``environment.json``, and the names of the classes, if the data have
    them.
    """
    if run.cluster.rank == 0:
        folder = run.config.save_dir
        run_folder.write(folder, run.about, run.config)
        write_json(os.path.join(folder, "environment.json"), environment())
        _keep_labels(run)


def _keep_labels(run):
    """Keep the names of the classes with the run, and say so if the data have another number of
    classes than the network.
    """
    config = run.config
    found = [
        os.path.join(os.path.dirname(path), LABELS)
        for path in (config.rec_train, config.rec_val)
        if path
    ]
    labels = next(filter(os.path.isfile, found), None)
    if config.synthetic:
        return
    if labels is None:
        count, source = _classes_seen(config), f"the labels in {config.rec_train} seem to be of"
    else:
        with open(labels, encoding="utf-8", errors="surrogateescape") as file:
            names = file.readlines()
        count, source = len(names), f"{labels} names"
        if count == config.classes:
            write_text(os.path.join(config.save_dir, LABELS), "".join(names))
    if count not in (None, config.classes):
        run.journal.say(
            f"--classes is {config.classes}, but {printable(source)} {count} classes: is this meant?"
        )


def _classes_seen(config):
    """The number of classes by the labels of some records, if they leave no doubt that it is below
    ``--classes``; or None.
    """
    with RecordFile(config.rec_train, config.rec_train_idx or None) as records:
        labels = []
        for position in spread(len(records)):
            # broken, several labels, no number
            with contextlib.suppress(RecordError, TypeError, ValueError, OverflowError):
                labels.append(int(records.read_label(position)))
    return (
        max(labels) + 1 if len(labels) >= 20 and 2 * (max(labels) + 1) <= config.classes else None
    )


def write_again(run):
    """Write ``config.json`` and ``environment.json`` if something has removed them while the run
    trained.
    """
    names = ("config.json", "environment.json")
    gone = [name for name in names if not os.path.exists(os.path.join(run.config.save_dir, name))]
    if run.cluster.rank == 0 and gone:
        write(run)
        run.journal.say(
            f"{' and '.join(gone)} was removed while the run trained; it is written again"
        )


def began_with(config, cluster, resumed_from=None):
    """The global batch with which the run began that ``--resume`` goes on with, or None where it
    begins now.

    Rank 0 reads it, for all. With ``--elastic``, a run of the same flags that had no checkpoint yet
    has begun too.
    """
    found = None
    if cluster.rank == 0:
        if resumed_from:
            found = run_of(resumed_from).layout["began_with"]
        elif config.elastic != "none" and os.path.exists(
            os.path.join(config.save_dir, run_folder.CONFIG)
        ):
            old = run_folder.RunFolder(config.save_dir)
            if not flags.differences(old.config, run_folder.absolute(config)):
                found = old.layout["began_with"]
    return gather_json(cluster, found)[0]


def compare(run):
    """Raise :class:`ConfigError` where ``run`` is not the run whose folder it resumes, naming the
    differences.
    """
    old, new = run_of(run.resumed_from), run.about
    fields = [name for name, field in flags.FLAGS.items() if not field.metadata["free"]]
    differing = _differences_of_flags(
        old.config, run_folder.absolute(run.config), dict(parameters=old.parameters), new, fields
    )
    before, now = old.layout["began_with"], new["layout"]["global_batch"]
    if before != now and run.config.elastic != "scale-lr":
        differing.append(f"the global batch: {before} -> {now} (or say --elastic)")
    differing += _differences_of_data(old.data, new["data"])
    if differing:
        raise ConfigError(
            "--resume: these would make it another run: {}. Leave them as they were, or start a new run in another "
            "--save-dir".format("; ".join(differing))
        )


def is_same(one, other):
    """Whether two paths lead to one file or folder."""
    with contextlib.suppress(OSError):
        return os.path.samefile(one, other)
    return False


def run_of(checkpoint_folder):
    """The run that a checkpoint belongs to."""
    found = run_folder.run_of(os.path.realpath(checkpoint_folder))
    if found is None:
        raise UserError(
            f"{checkpoint_folder} is in no run's folder: there is no config.json above it"
        )
    return found


def environment():
    """Command, versions, commit, threads, machine and MXNet's settings, as a dict."""
    import cv2
    import gluoncv
    import mxnet
    import numpy

    return dict(
        command=" ".join(sys.argv),
        started=datetime.datetime.now().isoformat(timespec="seconds"),
        gluon_tricks=__version__,
        commit=commit(),
        python=platform.python_version(),
        mxnet=mxnet.__version__,
        gluoncv=gluoncv.__version__,
        numpy=numpy.__version__,
        opencv=cv2.__version__,
        omp_num_threads=os.environ.get("OMP_NUM_THREADS"),
        omp_num_threads_set_by_us=bool(os.environ.get("GLUON_TRICKS_SET_THREADS")),
        cores=os.cpu_count(),
        machine=platform.platform(),
        host=platform.node(),
        settings=determinism.environment(),
    )


def commit():
    """The commit of the package's checkout, with + where files differ from it; None outside of one."""
    here = os.path.dirname(os.path.abspath(__file__))

    def git(*words):
        return subprocess.run(
            ["git", "-C", here] + list(words), capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
