"""Formulas of many small operators, given to MXNet in one call, which takes the host a fraction of
the time.
"""

import functools
import inspect

import numpy as np

# MXNet starts so many small operators together: one by one, a GPU would be waited for after each.
# NDArray's copy, copyto and astype are always started alone; mx.nd.identity and cast are not.
OPERATORS_AT_ONCE = 64
# The same for the passes of a graph.
AT_ONCE = dict(forward_bulk_size=OPERATORS_AT_ONCE, backward_bulk_size=OPERATORS_AT_ONCE)


def compiled(function):
    """A decorator for a function of NDArrays and constants that have to be hashable.

    The function itself sees a Symbol in place of each NDArray, once for all calls with the same
    constants. It returns one Symbol or a tuple of them, and its caller gets an NDArray or a list.

    On a GPU MXNet joins neighbouring operators, but no comparisons, and writes their constants into
    C++, which knows no inf, nan or True.
    """
    signature = inspect.signature(function)
    operators = {}

    @functools.wraps(function)
    def call(*args, **kwargs):
        import mxnet as mx  # which takes a second: who reads a formula's name alone has no need

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
    """The NDArray itself if it has this dtype, or a cast one."""
    import mxnet as mx

    return array if array.dtype == np.dtype(dtype) else mx.nd.cast(array, dtype=dtype)


def to_device(array, device):
    """An NDArray on a device, of a NumPy array that nobody changes any more. Its copy is not waited
    for, as that of ``mx.nd.array`` would be.
    """
    import mxnet as mx

    return mx.nd.from_numpy(array).as_in_context(device)


def operator_of(symbol):
    """A function of the NDArrays of a Symbol's inputs."""
    import mxnet as mx

    return mx.nd.CachedOp(symbol, list(AT_ONCE.items()))


def casts(sources, targets):
    """A function that gives all NDArrays of ``targets`` the values of ``sources``, whatever their
    dtypes, in one call.
    """
    import mxnet as mx

    if not sources:
        return lambda: None
    inputs = [mx.sym.var(str(number)) for number in range(len(sources))]
    pairs = zip(inputs, targets)
    outputs = [mx.sym.cast(value, dtype=np.dtype(target.dtype).name) for value, target in pairs]
    operator = operator_of(mx.sym.Group(outputs))
    return lambda: operator(*sources, out=targets)
