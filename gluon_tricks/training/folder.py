"""A run's folder: what it was is in it, and a resumed run has to be the same run."""

import datetime
import json
import os
import platform
import subprocess
import sys

from .. import __version__, determinism
from .. import config as flags
from ..config import ConfigError
from ..data.records import RecordFile
from ..errors import UserError
from ..files import write_json
from . import checkpoint
from .cluster import gather_json

LOGS = ("log.jsonl", "timing.jsonl", "train.log")


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


def prepare(config, cluster):
    """Make or check the folder; the checkpoint to resume from as (folder, state), or None for a fresh start.

    Rank 0 decides for all workers. Raises :class:`UserError` on all of them where the folder cannot be written, holds
    another run, or holds no such checkpoint.
    """
    found = error = None
    if cluster.rank == 0:
        try:
            found = _prepare(config)
        except UserError as raised:
            if cluster.world_size == 1:
                raise
            error = str(raised)
    path, error = gather_json(cluster, (found and found[0], error))[0]
    if error:
        raise UserError(error)
    if path and cluster.rank:
        if not os.path.isdir(path):
            raise UserError(
                "worker {} on {} cannot see the checkpoint {}: --save-dir has to be a folder that all hosts share".format(
                    cluster.rank, platform.node(), path
                )
            )
        return path, checkpoint.read_state(path)
    return found


def _prepare(config):
    path = config.save_dir
    try:
        os.makedirs(os.path.join(path, "checkpoints"), exist_ok=True)
        probe = os.path.join(path, ".writable")
        with open(probe, "w") as file:
            file.write("1")
        os.remove(probe)
    except OSError as error:
        raise UserError("--save-dir {} cannot be written: {}".format(path, error.strerror)) from None

    if config.resume and config.resume != "auto":
        return config.resume.rstrip("/"), checkpoint.read_state(config.resume)
    if config.resume == "auto":
        found = checkpoint.latest(path)
        if found is not None:
            return found
        for name in LOGS:  # of a run that was killed before its first checkpoint
            if os.path.exists(os.path.join(path, name)):
                os.remove(os.path.join(path, name))
        return None
    if os.path.exists(os.path.join(path, "config.json")):
        raise UserError(
            "--save-dir {} holds a run: go on with --resume auto, or name another folder".format(path)
        )
    return None


def agree(run):
    """Raise :class:`ConfigError` on every worker where one has other flags, other data or another version than rank 0."""
    mine = dict(_config_of(run), host=platform.node())
    first, *others = gather_json(run.cluster, mine)
    differences = []
    for rank, other in enumerate(others, 1):
        fields = [name for name in flags.FLAGS if name not in OWN]
        found = (
            ["gluon_tricks {} -> {}".format(first["version"], other["version"])]
            if first["version"] != other["version"]
            else []
        )
        if not found:
            found = flags.differences(
                flags.from_dict(first["flags"]), flags.from_dict(other["flags"]), fields
            )
            found += [
                "{}: {} -> {}".format(name, first[name], other[name])
                for name in ("layout", "data")
                if first[name] != other[name]
            ]
        if found:
            differences.append("worker {} on {}: {}".format(rank, other["host"], "; ".join(found)))
    if differences:
        raise ConfigError(
            "the workers are not of one run. Beside worker 0 on {}, {}".format(
                first["host"], "; ".join(differences)
            )
        )


def write(run):
    """Write ``config.json`` and ``environment.json``."""
    if run.cluster.rank == 0:
        folder = run.config.save_dir
        write_json(os.path.join(folder, "config.json"), _config_of(run))
        write_json(os.path.join(folder, "environment.json"), environment())


def began_with(config, cluster, resumed_from=None):
    """The global batch with which the run began that ``--resume`` goes on with, or None where it begins now.

    Rank 0 reads it, for all. With ``--elastic``, a run of the same flags that had no checkpoint yet has begun too.
    """
    found = None
    if cluster.rank == 0:
        if resumed_from:
            found = _read(_run_of(resumed_from))["layout"]["began_with"]
        elif config.elastic != "none" and os.path.exists(os.path.join(config.save_dir, "config.json")):
            old = _read(config.save_dir)
            if not flags.differences(flags.from_dict(old["flags"]), config):
                found = old["layout"]["began_with"]
    return gather_json(cluster, found)[0]


def compare(run):
    """Raise :class:`ConfigError` where ``run`` is not the run whose folder it resumes, naming the differences."""
    old, new = _read(_run_of(run.resumed_from)), json.loads(json.dumps(_config_of(run)))
    differences = flags.differences(flags.from_dict(old["flags"]), run.config)
    before, now = old["layout"]["began_with"], new["layout"]["global_batch"]
    if before != now and run.config.elastic != "scale-lr":
        differences.append("the global batch: {} -> {} (or say --elastic)".format(before, now))
    if old["data"] != new["data"]:
        differences.append("the data: {} -> {}".format(old["data"], new["data"]))
    if differences:
        raise ConfigError(
            "--resume: these would make it another run: {}. Leave them as they were, or start a new run in another "
            "--save-dir".format("; ".join(differences))
        )


def _run_of(checkpoint_folder):
    """The folder of the run that a checkpoint belongs to."""
    return os.path.dirname(os.path.dirname(os.path.realpath(checkpoint_folder)))


def _read(run_folder):
    """The ``config.json`` of a run."""
    path = os.path.join(run_folder, "config.json")
    try:
        with open(path) as file:
            found = json.load(file)
        found["data"], found["flags"].items(), found["layout"]["began_with"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError("{} cannot be read: {}: {}".format(path, type(error).__name__, error)) from None
    return found


def _config_of(run):
    layout = run.layout
    return dict(
        version=__version__,
        flags=json.loads(flags.to_json(run.config)),
        layout=dict(
            global_batch=layout.global_batch, batch_size=layout.batch_size, parts=layout.parts, devices=layout.devices,
            workers=layout.workers, began_with=run.began_with or layout.global_batch,
            steps_per_epoch=run.steps_per_epoch, total_steps=run.total_steps,
        ),
        data=dict(train=_fingerprint(run.config, "rec_train"), validation=_fingerprint(run.config, "rec_val")),
    )  # fmt: skip


def _fingerprint(config, name):
    """What tells a file from another one of that name; None for synthetic images."""
    path = getattr(config, name)
    if config.synthetic or not path:
        return None
    records = RecordFile(path, getattr(config, name + "_idx"))
    try:
        return records.fingerprint()
    finally:
        records.close()


def environment():
    """Command, versions, commit, threads, machine and MXNet's settings, as a dict."""
    import cv2
    import gluoncv
    import mxnet
    import numpy

    return dict(
        command=" ".join(sys.argv), started=datetime.datetime.now().isoformat(timespec="seconds"), gluon_tricks=__version__,
        commit=commit(), python=platform.python_version(), mxnet=mxnet.__version__, gluoncv=gluoncv.__version__,
        numpy=numpy.__version__, opencv=cv2.__version__, omp_num_threads=os.environ.get("OMP_NUM_THREADS"),
        omp_num_threads_set_by_us=bool(os.environ.get("GLUON_TRICKS_SET_THREADS")), cores=os.cpu_count(),
        machine=platform.platform(), host=platform.node(), settings=determinism.environment(),
    )  # fmt: skip


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
