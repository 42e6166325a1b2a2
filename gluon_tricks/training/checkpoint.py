"""Checkpoints: all that a run needs to go on, in one folder that is written whole or not at all, and no pickle.

A checkpoint is ``RUN/checkpoints/step-00001234/`` with

- ``net.params``: an ordinary Gluon parameter file, BatchNorm statistics averaged over the devices of all workers;
- ``optimizer.states``: the optimizer's arrays (momentum, float32 master copies), and each device's own BatchNorm
  statistics where there are several;
- ``state.json``: the step, everything else, and the SHA-256 of the two files.

It is written under a temporary name, flushed to the disk and renamed. ``RUN/best`` is a link to the checkpoint with
the best validation.
"""

import contextlib
import json
import os
import re
import shutil

import mxnet as mx
import numpy as np

from ..errors import UserError
from ..files import sha256, sync_folder
from ..models.parameters import read_arrays

FORMAT = 3
_NAME = re.compile(r"step-(\d+)$")
_ASIDE = ".aside"


class CheckpointError(UserError):
    """A checkpoint that cannot be written, found or read."""


def save(run_folder, step, net, trainer, state, keep, statistics=()):
    """Write the checkpoint of ``step`` updates and return its folder; older ones beyond ``keep`` go, the best stays.

    ``state`` is what else the run needs, for JSON; ``statistics`` (devices of all workers, n) are the devices' own BatchNorm
    statistics, where there are several. Where the checkpoint of this step is there already it is left as it is.
    Raises :class:`CheckpointError` when the disk is full or read-only; earlier checkpoints stay whole.
    """
    folder = os.path.join(run_folder, "checkpoints")
    path = os.path.join(folder, "step-{:08d}".format(step))
    temporary = os.path.join(folder, ".writing-step-{:08d}".format(step))
    mx.nd.waitall()
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        os.makedirs(temporary)
        net.save_parameters(os.path.join(temporary, "net.params"))
        mx.nd.save(os.path.join(temporary, "optimizer.states"), _arrays(net, trainer, statistics))
        digests = {}
        for name in ("net.params", "optimizer.states"):
            mx.nd.load(os.path.join(temporary, name))  # what cannot be read back must not replace what can
            digests[name] = flush(os.path.join(temporary, name))
        state = dict(state, format=FORMAT, step=step, num_update=trainer.optimizer.num_update, sha256=digests)
        with open(os.path.join(temporary, "state.json"), "w") as file:
            json.dump(state, file, indent=1)
        flush(os.path.join(temporary, "state.json"))
        if os.path.isdir(path):  # a damaged one that a resumed run has passed again
            os.rename(path, path + ".old")
        os.rename(temporary, path)
        sync_folder(path)
    except (OSError, mx.MXNetError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        reason = error.strerror if isinstance(error, OSError) else str(error).strip().splitlines()[-1]
        raise CheckpointError(
            "cannot write the checkpoint of step {} into {}: {}; earlier checkpoints are whole. "
            "Make room or mend the folder, then go on with --resume auto".format(step, folder, reason)
        ) from None
    _remove_old(run_folder, keep)
    return path


def mark_best(run_folder, path):
    """Let ``RUN/best`` point to the checkpoint ``path``, in one move."""
    link = os.path.join(run_folder, "best")
    with contextlib.suppress(OSError):
        os.remove(link + ".new")
    os.symlink(os.path.relpath(path, run_folder), link + ".new")
    os.replace(link + ".new", link)


def read_state(path):
    """The ``state.json`` of a checkpoint, after the checksums of its files were compared."""
    try:
        with open(os.path.join(path, "state.json")) as file:
            state = json.load(file)
        for name, digest in state["sha256"].items():
            if sha256(os.path.join(path, name)) != digest:
                raise CheckpointError(
                    "{} is damaged: {} has another SHA-256 than was written".format(path, name)
                )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            "{} is damaged or no checkpoint: {}: {}".format(path, type(error).__name__, error)
        ) from None
    if state.get("format") != FORMAT:
        raise CheckpointError(
            "{} has format {}, this version reads format {}".format(path, state.get("format"), FORMAT)
        )
    return state


def checkpoints(run_folder):
    """The folders of all checkpoints of a run, the newest first."""
    folder = os.path.join(run_folder, "checkpoints")
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return [os.path.join(folder, name) for name in sorted(filter(_NAME.match, names), reverse=True)]


def latest(run_folder, say=print):
    """(folder, state) of the newest checkpoint that is whole, or None; damaged ones are named through ``say``."""
    for path in checkpoints(run_folder):
        try:
            return path, read_state(path)
        except CheckpointError as error:
            say("{}; trying the one before it".format(error))
    return None


def load(path, state, net, trainer, devices, first=0, of=0):
    """Put the checkpoint's parameters and optimizer state, on whatever devices there are, into ``net`` and ``trainer``.

    ``first`` is the number of ``devices[0]`` among the ``of`` devices of all workers (0: there is one worker).
    """
    net.load_parameters(os.path.join(path, "net.params"), ctx=devices)
    arrays = read_arrays(os.path.join(path, "optimizer.states"))
    # The trainer's first step would give every device the first one's arrays: let it do so before they get their own.
    if not trainer._kv_initialized:
        trainer._init_kvstore()
    if trainer._params_to_init:
        trainer._init_params()
    mx.nd.waitall()
    optimizer = trainer.optimizer
    optimizer.num_update = state["num_update"]
    names = {parameter.name: name for name, parameter in net._collect_params_with_prefix().items()}
    for device, updater in zip(devices, trainer._updaters):
        for index, parameter in enumerate(trainer._params):
            if parameter.grad_req == "null":
                continue
            optimizer._set_current_context(trainer._contexts.index(device))
            optimizer._index_update_count[index] = state["num_update"]
            made = optimizer.create_state_multi_precision(index, parameter.data(device))
            for key, array in _flatten(made, names[parameter.name]):
                arrays[key].copyto(array)
            updater.states[index] = made
            updater.states_synced[index] = True
    for number, device in enumerate(devices, first):
        own = arrays.get("statistics/{}of{}".format(number, of or len(devices)))
        if own is not None:
            put_statistics(net, device, own.asnumpy())
    mx.nd.waitall()


def statistics_of(net, device):
    """All that training changes without a gradient, BatchNorm's statistics, on one device: numpy float32 (n,)."""
    parts = [parameter.data(device).asnumpy().ravel() for _, parameter in _averaged(net)]
    return np.concatenate(parts or [np.zeros(0)]).astype("float32")


def put_statistics(net, device, values):
    """The reverse of :func:`statistics_of`."""
    start = 0
    for _, parameter in _averaged(net):
        data = parameter.data(device)
        data[:] = values[start : start + data.size].reshape(data.shape)
        start += data.size


def _averaged(net):
    return sorted((name, p) for name, p in net._collect_params_with_prefix().items() if p.grad_req == "null")


def _arrays(net, trainer, statistics):
    """What ``optimizer.states`` holds: ``state/NAME/PATH`` arrays and ``statistics/DEVICEofDEVICES``."""
    arrays = {}
    by_name = net._collect_params_with_prefix()
    names = {parameter.name: name for name, parameter in by_name.items()}
    for index, made in trainer._updaters[0].states.items():
        arrays.update(_flatten(made, names[trainer._params[index].name]))
    for number, own in enumerate(statistics):
        if own.size:
            arrays["statistics/{}of{}".format(number, len(statistics))] = mx.nd.array(own)
    return arrays


def _flatten(made, name, path="state"):
    """(key, array) of an optimizer's state of one parameter: None, an NDArray, or tuples of them."""
    if made is None:
        return []
    if isinstance(made, (tuple, list)):
        return [pair for i, part in enumerate(made) for pair in _flatten(part, name, "{}.{}".format(path, i))]
    return [("{}/{}".format(path, name), made)]


def _remove_old(run_folder, keep):
    best = os.path.realpath(os.path.join(run_folder, "best"))
    for path in checkpoints(run_folder)[keep:]:
        if os.path.realpath(path) != best:
            _discard(path)
    folder = os.path.join(run_folder, "checkpoints")
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if name.endswith(".old") or (name.endswith(_ASIDE) and os.path.realpath(path) != best):
            shutil.rmtree(path, ignore_errors=True)


def set_aside(run_folder, step):
    """Let no checkpoint of more than ``step`` updates be the newest: the steps of the run have other numbers now.

    The best one stays, under another name.
    """
    best = os.path.realpath(os.path.join(run_folder, "best"))
    for path in checkpoints(run_folder):
        if int(_NAME.search(path).group(1)) > step:
            if os.path.realpath(path) == best:
                shutil.copytree(path, path + _ASIDE, copy_function=os.link)
                mark_best(run_folder, path + _ASIDE)
            _discard(path)


def _discard(path):
    # Renamed first: a half-removed folder must not look like a checkpoint.
    os.rename(path, path + ".old")
    shutil.rmtree(path + ".old", ignore_errors=True)


def flush(path):
    """Flush a file to the disk and return its SHA-256."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
    return sha256(path)
