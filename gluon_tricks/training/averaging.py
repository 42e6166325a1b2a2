"""The average of a run's weights (``--ema``), which follows its updates. The average is validated
and stored in ``net.params``, and so it is what is evaluated, exported, or used as a teacher.

The weights with which training continues are in ``optimizer.states``.
"""

import contextlib

import mxnet as mx
import numpy as np

from ..distributed.gathering import gather_parts
from ..errors import UserError
from ..tricks.ema import follow
from .running_statistics import arrays_of, flat, mean_statistics, put_flat, put_statistics


class Average:
    """The average on the first device of each worker, float32 for weights of any dtype.

    The running statistics of each part have their own average; the mean over the parts is taken of
    these averages where it would be taken of the statistics. During the warmup, the average is a
    copy of the weights, so that it does not begin with untrained ones.
    """

    name = "ema"

    def __init__(self, decay, every, layout, timetable):
        self._decay, self._every = decay, every
        self._layout, self._timetable = layout, timetable
        self._workers = self._running = None
        self._parameters = {}  # those that updates change, by name
        self._weights, self._statistics = [], []
        self._aside = {}  # what a checkpoint needs besides, while the average is in the network

    @classmethod
    def from_config(cls, config, layout, timetable):
        """The average that the flags ask for, or None. UserError if it would never be updated."""
        if not config.ema:
            return None
        if config.ema_every > timetable.total_steps:
            raise UserError(
                f"--ema-every {config.ema_every} is more than the {timetable.total_steps} steps of "
                "the run: the average would keep the initial weights"
            )
        return cls(config.ema, config.ema_every, layout, timetable)

    def begin(self, net, workers, running, saved):
        """See :func:`.update.after_update`."""
        self._workers, self._running = workers, running
        every = sorted(net._collect_params_with_prefix().items())
        self._parameters = {name: p for name, p in every if p.grad_req != "null"}
        self._weights = [data.astype("float32") for data in self._trained()]
        self._statistics = [
            [array.astype("float32") for array in arrays] for arrays in running.arrays()
        ]
        if saved:
            self._restore(saved)

    def __call__(self, step, counted):
        if not self._timetable.reaches(self._timetable.after(step), self._every):
            return
        # On a CPU, BatchNorm's backward pass writes statistics without the engine's knowledge.
        if self._workers.devices[0].device_type == "cpu":
            mx.nd.waitall()
        in_warmup = step < self._timetable.learning_rate.warmup_steps
        decay = 0.0 if in_warmup else self._decay
        follow(self._weights, self._trained(), decay)
        for averages, arrays in zip(self._statistics, self._running.arrays()):
            follow(averages, arrays, decay)

    @contextlib.contextmanager
    def in_place(self):
        """A context in which the network is the average."""
        first = self._workers.devices[0]
        own = np.stack([flat(arrays) for arrays in self._statistics])
        every = gather_parts(self._workers, self._layout, own)
        weights = [data.copy() for data in self._trained()]
        statistics = flat(arrays_of(self._running.net, first))
        self._aside = self._to_save(weights, statistics, every)
        self._put(self._weights, mean_statistics(every))
        yield
        self._put(weights, statistics)
        self._aside = {}

    def arrays(self):
        """See :func:`.update.after_update`."""
        return self._aside

    def _to_save(self, weights, statistics, every):
        arrays = {f"weights/{name}": data for name, data in zip(self._parameters, weights)}
        arrays["statistics"] = mx.nd.array(statistics)
        for part, row in enumerate(every):
            arrays[f"average/{part}of{len(every)}"] = mx.nd.array(row)
        for name, average, data in zip(self._parameters, self._weights, weights):
            if data.dtype != average.dtype:  # else net.params holds it to the bit
                arrays[f"average/{name}"] = average
        return arrays

    def _restore(self, saved):
        for average, (name, parameter) in zip(self._weights, self._parameters.items()):
            if f"average/{name}" in saved:
                saved[f"average/{name}"].copyto(average)
            parameter.set_data(saved[f"weights/{name}"])
        names = [f"average/{part}of{self._layout.parts}" for part in self._layout.own_parts]
        of_parts = [saved[name].asnumpy() for name in names if name in saved]
        for averages, values in zip(self._statistics, of_parts):
            put_flat(averages, values)
        if self._layout.parts == 1 or not of_parts:  # else every part's own are restored already
            statistics = saved["statistics"].asnumpy()
            self._running.put({part: statistics for part in self._layout.own_parts})
        mx.nd.waitall()

    def _put(self, weights, statistics):
        """Copy these weights and statistics to all devices."""
        for parameter, data in zip(self._parameters.values(), weights):
            parameter.set_data(data.astype(parameter.dtype, copy=False))
        for device in self._workers.devices:
            put_statistics(self._running.net, device, statistics)
        mx.nd.waitall()

    def _trained(self):
        """The trained parameters' values on the first device."""
        return [p.list_data()[0] for p in self._parameters.values()]
