"""The MXNet contexts of a process."""

import mxnet as mx

from ..errors import UserError
from ..text import counted


def devices_of(num_gpus, cpu_contexts):
    """The contexts that ``--num-gpus`` and ``--cpu-contexts`` ask for: one CPU if both are 0."""
    if num_gpus:
        return [gpu(number, num_gpus) for number in range(num_gpus)]
    return [mx.cpu(number) for number in range(max(1, cpu_contexts))]


def gpu(number, num_gpus):
    """The GPU with this number; a :class:`UserError` names ``--num-gpus`` if there is none."""
    available = mx.context.num_gpus()
    if number >= available:
        raise UserError(
            f"--num-gpus {max(number + 1, num_gpus)}, but MXNet sees {counted(available, 'GPU')} "
            "here; 'gluon-tricks doctor' says why"
        )
    return mx.gpu(number)
