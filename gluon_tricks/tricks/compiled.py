"""Runs a formula of many small operators in one call of MXNet, which takes the host a fraction of
the time.
"""

import functools
import inspect

import numpy as np

# MXNet starts up to this many small operators together; otherwise it waits for the GPU after each.
# NDArray's copy, copyto and astype are always started alone; mx.nd.identity and cast are not.
OPERATORS_AT_ONCE = 64
# The same for the forward and backward pass of a graph.
AT_ONCE = dict(forward_bulk_size=OPERATORS_AT_ONCE, backward_bulk_size=OPERATORS_AT_ONCE)


def compiled(function):
    """A decorator for a function of NDArrays and hashable constants.

    The function itself is called once for each set of constants, with a Symbol in place of each
    NDArray. It returns a Symbol or a tuple of them; its caller gets an NDArray or a list.

    On a GPU, MXNet fuses neighbouring operators, except comparisons, and writes their constants
    into C++, which knows no inf, nan or True.
    """
    signature = inspect.signature(function)
    operators = {}

    @functools.wraps(function)
    def call(*args, **kwargs):
        import mxnet as mx  # here, since a report reads a task's figures without MXNet

        given = signature.bind(*args, **kwargs).arguments
        arrays = {name: value for name, value in given.items() if isinstance(value, mx.nd.NDArray)}
        if not arrays:  # called by another compiled function
            return function(*args, **kwargs)
        constants = {name: value for name, value in given.items() if name not in arrays}
        key = (*arrays, *constants.items())
        if key not in operators:
            made = function(**{name: mx.sym.var(name) for name in arrays}, **constants)
            made = mx.sym.Group(list(made)) if isinstance(made, tuple) else made
            operators[key] = operator_of(made), made.list_inputs()
        operator, names = operators[key]
        return operator(*(arrays[name] for name in names))

    return call


def cast(array, dtype):
    """The NDArray with this dtype: itself if it has it already."""
    import mxnet as mx

    return array if array.dtype == np.dtype(dtype) else mx.nd.cast(array, dtype=dtype)


def to_device(array, device):
    """An NDArray on a device with the values of a NumPy array that nobody changes any more. Unlike
    ``mx.nd.array``, this does not wait for the copy.
    """
    import mxnet as mx

    return mx.nd.from_numpy(array).as_in_context(device)


def operator_of(symbol):
    """A Symbol as a function of NDArrays, one for each of its inputs."""
    import mxnet as mx

    return mx.nd.CachedOp(symbol, list(AT_ONCE.items()))


def casts(sources, targets):
    """A function that copies ``sources`` into ``targets``, cast to their dtypes, in one call."""
    import mxnet as mx

    if not sources:
        return lambda: None
    inputs = [mx.sym.var(str(number)) for number in range(len(sources))]
    pairs = zip(inputs, targets)
    outputs = [mx.sym.cast(value, dtype=np.dtype(target.dtype).name) for value, target in pairs]
    operator = operator_of(mx.sym.Group(outputs))
    return lambda: operator(*sources, out=targets)
