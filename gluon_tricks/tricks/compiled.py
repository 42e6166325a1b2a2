"""Formulas of many small operators, given to MXNet in one call, which takes the host a fraction of
the time.
"""

import functools
import inspect


def compiled(function):
    """A decorator for a function of NDArrays and constants that have to be hashable.

    The function itself sees a Symbol in place of each NDArray, once for all calls with the same
    constants. It returns one Symbol or a tuple of them, and its caller gets an NDArray or a list.
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
            operators[key] = mx.nd.CachedOp(made), made.list_inputs()
        operator, names = operators[key]
        return operator(*(arrays[name] for name in names))

    return call
