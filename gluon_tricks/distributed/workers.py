"""From a run's flags to its workers and their shares of the global batch. The other modules of this
package take single values and not the whole :class:`gluon_tricks.config.Config`.
"""

import os

from .devices import devices_of
from .layout import Layout, parts_that_keep
from .local import Local


def connect(config):
    """Connect this process to the run's other workers and, when all are there, return it as one of
    them, of the class that ``--kvstore`` asks for.
    """
    if config.kvstore == "horovod":
        return _horovod(config)
    devices = devices_of(config.num_gpus, config.cpu_contexts)
    if config.kvstore.startswith("dist"):
        from .parameter_server import ParameterServer

        return ParameterServer(devices, config.kvstore, config.stall_timeout)
    return Local(devices, config.kvstore)


def _horovod(config):
    from .horovod import Horovod

    return Horovod(
        config.num_gpus,
        config.stall_timeout,
        config.gradient_compression,
        os.path.join(config.save_dir, "workers"),
    )


def layout_of(config, workers, began_with=None):
    """The :class:`Layout` of a step for ``workers``, the result of :func:`connect`.

    ``began_with`` is the global batch with which a resumed run began, or None.
    """
    devices = len(workers.devices)
    parts = workers.world_size * devices * config.accumulate
    if began_with and config.elastic == "keep-batch":
        parts = parts_that_keep(began_with, config.batch_size)
    return Layout(config.batch_size, parts, devices, workers.world_size, workers.rank)
