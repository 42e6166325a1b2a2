"""What makes a run the same run when it is resumed and on each of its workers."""

import contextlib
import json
import os
import platform

from .. import __version__, fidelity
from .. import config as flags
from ..config import Config, ConfigError
from ..data.class_names import LABELS, names_next_to, said_otherwise, write_labels
from ..data.fingerprint import differences, fingerprint, spread
from ..data.mask_files import mask_path_of
from ..data.masks import has_masks
from ..data.of_task import TRUTH
from ..data.recordio import RecordError
from ..data.records import RecordFile
from ..data.teacher_logits import TeacherLogits
from ..distributed.gathering import gather_json
from ..errors import UserError
from ..files import sha256, sha256_of, short, write_sealed_json
from ..text import printable
from . import network, run_folder
from .environment import environment
from .folder import run_of

SPLITS = {"train": "rec_train", "validation": "rec_val"}
# Flags that name a file of parameters or logits, which may have moved when a run resumes.
PARAMETER_FLAGS = ("teacher", "teacher_logits", "use_params", "backbone_params")

# Flags that may differ between workers: they tell where things are on a host, and what it can do.
OF_A_WORKER = (
    "data_dir",
    "use_rec",
    "rec_train",
    "rec_train_idx",
    "rec_val",
    "rec_val_idx",
    "save_dir",
    "logging_file",
    "num_data_workers",
    "data_processes",
    "resume",
)


def about(config, layout, timetable, began_with=None):
    """The contents of a run's ``config.json``, a dict: version, flags, layout, and the fingerprints
    of its data and parameters. ``began_with`` is the global batch with which the run began; None:
    that of ``layout``.
    """
    return dict(
        version=__version__,
        flags=json.loads(flags.to_json(config)),
        layout=dict(
            global_batch=layout.global_batch,
            batch_size=layout.batch_size,
            parts=layout.parts,
            devices=layout.devices,
            workers=layout.workers,
            began_with=began_with or layout.global_batch,
            steps_per_epoch=timetable.steps_per_epoch,
            total_steps=timetable.total_steps,
        ),
        data={split: _fingerprint(config, field) for split, field in SPLITS.items()},
        parameters={name: _parameters_digest(config, name) for name in PARAMETER_FLAGS},
    )


def _fingerprint(config, field):
    """The fingerprint of a file and of its masks, which tells them from others of that name; None
    for synthetic images.
    """
    path = getattr(config, field)
    if config.synthetic or not path:
        return None
    found = fingerprint(path, getattr(config, field + "_idx"))
    masks = fingerprint(mask_path_of(path)) if has_masks(config) else {}
    return dict(found, **{f"mask_{name}": value for name, value in masks.items()})


def _parameters_digest(config, name):
    """The SHA-256 of the parameters or logits that a flag names; None for none or for GluonCV's."""
    if name == "teacher_logits" and config.teacher_logits:
        return TeacherLogits(config.teacher_logits).digest
    path = getattr(config, name)
    if path and name == "teacher":
        path = network.teacher_source(config).path
    elif path and name in ("use_params", "backbone_params"):
        path, _ = network.parameter_file(flags.spelling(name), path)
    return sha256(path) if path else None


def agree(workers, about):
    """Raise :class:`ConfigError` on every worker if one has other flags, data or parameters, or
    another version, than rank 0.
    """
    said = gather_json(workers, dict(about, host=platform.node()))
    differing = disagreements(said)
    if differing:
        raise ConfigError(
            f"the workers do not agree on the run. Compared with worker 0 on {said[0]['host']}, "
            f"{'; '.join(differing)}"
        )


def disagreements(said):
    """Lines that name the workers whose run differs from the first one's; ``said`` holds
    :func:`about` of each worker, and its ``host``.
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
    fields = [name for name in flags.FLAGS if name not in OF_A_WORKER]
    found = _differences_of_flags(
        flags.from_dict(first["flags"]), flags.from_dict(other["flags"]), first, other, fields
    )
    if first["layout"] != other["layout"]:
        found.append("layout: {} -> {}".format(first["layout"], other["layout"]))
    return found + _differences_of_data(first["data"], other["data"])


def _differences_of_flags(old, new, about_old, about_new, fields):
    """Differences of two Configs in ``fields``. Parameter files are compared by their contents, if
    these are known, and not by their paths.
    """
    before, now = about_old["parameters"], about_new["parameters"]
    known = [
        name for name in fields if name in PARAMETER_FLAGS and before.get(name) and now.get(name)
    ]
    return flags.differences(old, new, [name for name in fields if name not in known]) + [
        f"{flags.spelling(name)}: its {_contents(name)} have changed (SHA-256 "
        f"{short(before[name])} -> {short(now[name])})"
        for name in known
        if before[name] != now[name]
    ]


def _contents(name):
    return "logits" if name == "teacher_logits" else "parameters"


def _differences_of_data(old, new):
    return [
        f"the data of {split}: {found}"
        for split, found in ((split, differences(old[split], new[split])) for split in SPLITS)
        if found
    ]


def refuse_forgotten_classes(config):
    """UserError if ``--classes`` has its default, which is that of the task's published data, and
    the names next to the records are of another number.
    """
    default = fidelity.TASKS.get(config.task, {}).get("classes", Config.classes)
    if config.synthetic or config.classes != default:
        return
    names, path = _names_in(config)
    if names is not None and len(names) != default:
        raise UserError(
            f"{printable(path)} names {len(names)} classes, and --classes is {default}, the "
            f"default: give --classes {len(names)}"
        )


def write(run):
    """Write ``config.json``, ``environment.json`` and, if the data have them, the names of the
    classes. UserError if these are damaged.
    """
    if run.workers.rank == 0:
        _write(run, _names_of_classes(run))


def _write(run, names):
    folder = run.config.save_dir
    if names:
        write_labels(os.path.join(folder, LABELS), names)
    digest = sha256_of(names) if names else None
    run_folder.write(folder, dict(run.about, labels=digest), run.config)
    write_sealed_json(os.path.join(folder, "environment.json"), environment())


def _names_of_classes(run):
    """The names of the classes in the data, or None. Warns if the data seem to have another number
    of classes than the network.
    """
    config = run.config
    if config.synthetic:
        return None
    names, path = _names_in(config)
    if names is not None and config.rec_val:
        said = said_otherwise(names, "the training data", config.rec_val)
        if said:
            run.logger.say(said)
    if names is None and config.task in TRUTH:  # the labels of its records are not classes
        return None
    if names is None:
        count, source = _classes_seen(config), f"the labels in {config.rec_train} seem to be of"
    else:
        count, source = len(names), f"{path} names"
    if count not in (None, config.classes):
        run.logger.say(
            f"--classes is {config.classes}, but {printable(source)} {count} classes: is --classes "
            "right?"
        )
    return names if count == config.classes else None


def _names_in(config):
    """The names of the classes next to the records, and the file that holds them; two times None if
    there is none.
    """
    for records in filter(None, (config.rec_train, config.rec_val)):
        names = names_next_to(records)
        if names is not None:
            return names, os.path.join(os.path.dirname(records), LABELS)
    return None, None


def _classes_seen(config):
    """The number of classes that the labels of some records suggest, if it is clearly below
    ``--classes``; else None.
    """
    with RecordFile(config.rec_train, config.rec_train_idx or None) as records:
        labels = []
        for position in spread(len(records)):
            # a broken record, several labels, or no number
            with contextlib.suppress(RecordError, TypeError, ValueError, OverflowError):
                labels.append(int(records.read_label(position)))
    return (
        max(labels) + 1 if len(labels) >= 20 and 2 * (max(labels) + 1) <= config.classes else None
    )


def write_again(run):
    """Write ``config.json`` and ``environment.json`` again if they were removed while the run
    trained.
    """
    files = ("config.json", "environment.json")
    gone = [name for name in files if not os.path.exists(os.path.join(run.config.save_dir, name))]
    if run.workers.rank == 0 and gone:
        try:
            names = _names_of_classes(run)
        except UserError as error:  # no reason to end a run that trains
            run.logger.say(f"{error}. In this run's folder, classes have numbers and no names")
            names = None
        _write(run, names)
        run.logger.say(
            f"{' and '.join(gone)}: removed while the run trained, and now written again"
        )


def began_with(config, workers, resumed_from=None):
    """The global batch with which a resumed run began, or None for a new run.

    Rank 0 reads it for all. With ``--elastic``, a run with the same flags has begun even if it has
    no checkpoint yet.
    """
    found = None
    if workers.rank == 0:
        if resumed_from:
            found = run_of(resumed_from).layout["began_with"]
        elif config.elastic != "none" and os.path.exists(
            os.path.join(config.save_dir, run_folder.CONFIG)
        ):
            old = run_folder.RunFolder(config.save_dir)
            if not flags.differences(old.config, run_folder.absolute(config)):
                found = old.layout["began_with"]
    return gather_json(workers, found)[0]


def compare(run, resumed_from):
    """Raise :class:`ConfigError`, which names the differences, if ``run`` is not the run whose
    checkpoint it resumes.
    """
    old, new = run_of(resumed_from), run.about
    fields = [name for name, field in flags.FLAGS.items() if not field.metadata["free"]]
    differing = _differences_of_flags(
        old.config, run_folder.absolute(run.config), dict(parameters=old.parameters), new, fields
    )
    before, now = old.layout["began_with"], new["layout"]["global_batch"]
    if before != now and run.config.elastic != "scale-lr":
        # --elastic allows other workers, devices and --accumulate, but the same --batch-size
        hint = " (--elastic allows it)" if old.config.batch_size == run.config.batch_size else ""
        differing.append(f"the global batch: {before} -> {now}{hint}")
    differing += _differences_of_data(old.data, new["data"])
    if differing:
        raise ConfigError(
            "--resume: these would make it another run: {}. Leave them as they were, or start a "
            "new run in another --save-dir".format("; ".join(differing))
        )
