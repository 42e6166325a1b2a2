"""The float32 master copy under float16 (section 3.2), updated without waiting for the device.

An update counts if the gradients are finite, which only the device knows. So every update is made,
and the device then selects the new values or the old ones. This takes few operators, because the
parameters of one kind lie in one flat array: an optimizer that treats each element by itself treats
all of them at once, to the same bits.
"""

import mxnet as mx
import numpy as np

from ..tricks.clipping import clip_norm
from ..tricks.compiled import casts
from ..tricks.momentum import Momentum
from ..tricks.precision import ScaleOnDevice

# Optimizers that update each element from that element's own values.
ELEMENTWISE = (mx.optimizer.NAG, mx.optimizer.SGD, Momentum)


class MasterCopy:
    """The master copy of one device.

    Parameters
    ----------
    trainer : gluon.Trainer
        Its optimizer's states, new or from a checkpoint, become views of the flat arrays.
    number : int
        The device's place among the trainer's devices.
    loss_scale : LossScale
        The scale now, from which :attr:`scale` continues.
    clip : float
        The largest norm of the gradient; 0: no limit.
    """

    def __init__(self, trainer, number, loss_scale, clip=0):
        kinds = {}
        for index, parameter in enumerate(trainer._params):
            if parameter.grad_req != "null":
                kind = (np.dtype(parameter.dtype), parameter.lr_mult, parameter.wd_mult)
                arrays = parameter.list_data()[number], parameter.list_grad()[number]
                kinds.setdefault(kind, []).append((index, *arrays))
        self._kinds = [Flat(trainer._updaters[number], *zip(*alike)) for alike in kinds.values()]
        self._optimizer, self._clip = trainer.optimizer, clip
        self.scale = ScaleOnDevice(loss_scale, trainer._contexts[number])

    def update(self):
        """Update the parameters with their gradients. Returns an NDArray (1,), float32: 1, or 0 if
        the gradients were not finite and everything stays as it was.
        """
        gradients = [flat.gather_gradients() for flat in self._kinds]
        finite = mx.nd.multi_all_finite(*gradients, num_arrays=len(gradients))
        factor = self._optimizer.rescale_grad = self.scale.unscale(gradients)
        if self._clip:
            clip_norm(gradients, self._clip / factor)
        for flat in self._kinds:
            flat.update(finite)
        self.scale.update(finite)
        return finite


class Flat:
    """The master copy of the parameters of one kind: of one dtype, and alike to the optimizer.

    Parameters
    ----------
    updater : mx.optimizer.Updater
        The device's; it may have states of these parameters already.
    indices : list of int
        The parameters' numbers in the trainer.
    parameters, gradients : lists of NDArray
    """

    def __init__(self, updater, indices, parameters, gradients):
        optimizer = updater.optimizer
        made = [_state(updater, *pair) for pair in zip(indices, parameters)]
        masters, states = zip(*(_apart(optimizer, *pair) for pair in zip(made, parameters)))
        self._weights = _joined(masters)
        self._gradients = self._weights.zeros_like()
        self._states = [_joined(alike) for alike in zip(*map(arrays_in, states))]

        shapes = [array.shape for array in parameters]
        weights, own_gradients, *views = (
            _views(array, shapes) for array in (self._weights, self._gradients, *self._states)
        )
        states = [filled(states[0], own) for own in zip(*views)] or states
        for index, parameter, weight, state in zip(indices, parameters, weights, states):
            updater.states[index] = _together(optimizer, parameter, weight, state)
        self._gather = casts(gradients, own_gradients)
        self._scatter = casts(weights, parameters)

        if isinstance(optimizer, ELEMENTWISE):
            weights, own_gradients = [self._weights], [self._gradients]
            indices, states = indices[:1], [filled(states[0], self._states)]
        self._updater = mx.optimizer.get_updater(optimizer)
        self._updater.states = dict(zip(indices, states))
        self._updater.states_synced = dict.fromkeys(indices, True)
        self._update = indices, own_gradients, weights

    def gather_gradients(self):
        """Copy the gradients of these parameters into one array: NDArray (n,), float32."""
        self._gather()
        return self._gradients

    def update(self, finite):
        """Update the parameters with the gradients that :meth:`gather_gradients` returned, unscaled
        since then, if ``finite`` (1,) is 1; else leave them as they are.
        """
        changed = [self._weights, *self._states]
        before = [mx.nd.identity(array) for array in changed]
        self._updater(*self._update)
        for new, old in zip(changed, before):
            row = new.reshape((1, -1))  # `where` takes one condition for each row
            mx.nd.where(finite, row, old.reshape((1, -1)), out=row)
        self._scatter()


def arrays_in(state):
    """The NDArrays in an optimizer's state, which is None, an NDArray, or tuples of these."""
    if state is None:
        return []
    if isinstance(state, (tuple, list)):
        return [array for part in state for array in arrays_in(part)]
    return [state]


def filled(state, arrays):
    """The same state with other NDArrays, in the order of :func:`arrays_in`."""
    arrays = iter(arrays)

    def fill(part):
        if isinstance(part, (tuple, list)):
            return tuple(fill(inner) for inner in part)
        return None if part is None else next(arrays)

    return fill(state)


def _state(updater, index, parameter):
    """The optimizer's state of a parameter; made if there is none yet."""
    if index not in updater.states:
        state = updater.optimizer.create_state_multi_precision(index, parameter)
        updater.states[index], updater.states_synced[index] = state, True
    return updater.states[index]


def _apart(optimizer, state, parameter):
    """(float32 weights, rest) of a state as MXNet's optimizers keep it under float16."""
    if parameter.dtype != np.float16:
        return parameter, state
    return state if _has_master_first(optimizer) else state[::-1]


def _together(optimizer, parameter, master, state):
    """The reverse of :func:`_apart`."""
    if parameter.dtype != np.float16:
        return state
    return (master, state) if _has_master_first(optimizer) else (state, master)


def _has_master_first(optimizer):
    # Optimizers that override this method put it last.
    inherited = mx.optimizer.Optimizer.create_state_multi_precision
    return type(optimizer).create_state_multi_precision is inherited


def _joined(arrays):
    return mx.nd.concat(*(array.reshape((-1,)) for array in arrays), dim=0)


def _views(flat, shapes):
    """The parts of a flat array with these shapes."""
    ends = np.cumsum([0] + [int(np.prod(shape)) for shape in shapes]).tolist()
    return [flat[start:stop].reshape(shape) for start, stop, shape in zip(ends, ends[1:], shapes)]
