"""The arrays of a checkpoint.

``net.params`` is an ordinary Gluon parameter file, with BatchNorm statistics averaged over the
parts of the global batch. ``optimizer.states`` holds the optimizer's arrays (momentum, float32
master copies), each part's BatchNorm statistics if there are several parts, and what else updates
need.
"""

import os

import mxnet as mx

from ..models.parameters import read_arrays
from ..text import first_line, printable
from .checkpoint_state import CheckpointError


def parameters_of(net):
    """What ``net.params`` holds: the first device's parameters, on the CPU.

    Trained parameters are equal on all devices, and no mean is taken of them: that of three equal
    numbers need not be the number. The arrays are on the CPU because MXNet loads an array onto the
    device from which it was saved.
    """
    return {
        name: p.list_data()[0].as_in_context(mx.cpu())
        for name, p in net._collect_params_with_prefix().items()
    }


def states_of(net, trainer, statistics=(), more_arrays=None):
    """What ``optimizer.states`` holds: ``state/NAME/PATH`` arrays, ``statistics/PARTofPARTS`` and
    ``more_arrays``, on the CPU.
    """
    arrays = dict(more_arrays or {})
    by_name = net._collect_params_with_prefix()
    names = {parameter.name: name for name, parameter in by_name.items()}
    for index, made in sorted(trainer._updaters[0].states.items()):
        arrays.update(_flatten(made, names[trainer._params[index].name]))
    arrays = {name: array.as_in_context(mx.cpu()) for name, array in arrays.items()}
    for number, own in enumerate(statistics):
        if own.size:
            arrays[f"statistics/{number}of{len(statistics)}"] = mx.nd.array(own, ctx=mx.cpu())
    return arrays


def load(path, state, net, trainer, devices, parts=0):
    """Load a checkpoint's parameters and optimizer state into ``net`` and ``trainer``, on any
    ``devices``.

    Returns the BatchNorm statistics of each part of the global batch, {part: numpy (n,)}, or {} if
    there were not ``parts`` parts; and the other NDArrays by name.
    """
    try:
        net.load_parameters(os.path.join(path, "net.params"), ctx=devices)
    except (AssertionError, ValueError, mx.MXNetError) as error:
        raise CheckpointError(
            f"{printable(path)}: net.params does not fit the network: {first_line(error)}"
        ) from None
    arrays = read_arrays(os.path.join(path, "optimizer.states"))
    # The trainer's first step copies the first device's arrays to all devices: let it do so before
    # each gets its own.
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
            optimizer._set_current_context(device.device_id)  # where MXNet's Updater counts
            optimizer._index_update_count[index] = state["num_update"]
            made = optimizer.create_state_multi_precision(index, parameter.data(device))
            for key, array in _flatten(made, names[parameter.name]):
                if key not in arrays or arrays[key].shape != array.shape:
                    raise CheckpointError(
                        f"{printable(path)}: optimizer.states does not fit the network: {key}"
                    )
                arrays[key].copyto(array)
            updater.states[index] = made
            updater.states_synced[index] = True
    mx.nd.waitall()
    names = {part: f"statistics/{part}of{parts}" for part in range(parts)}
    statistics = {part: arrays[name].asnumpy() for part, name in names.items() if name in arrays}
    own = ("state/", "statistics/")
    return statistics, {name: array for name, array in arrays.items() if not name.startswith(own)}


def _flatten(made, name, path="state"):
    """(key, array) of a parameter's optimizer state: None, an NDArray, or tuples of them."""
    if made is None:
        return []
    if isinstance(made, (tuple, list)):
        return [pair for i, part in enumerate(made) for pair in _flatten(part, name, f"{path}.{i}")]
    return [(f"{path}/{name}", made)]
