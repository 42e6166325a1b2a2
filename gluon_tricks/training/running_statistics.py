"""BatchNorm's running statistics: every part of the global batch has its own, whichever device
computes it.

A device that computes several parts of a step takes up each one's statistics before and lays them
down after. So they are the same with a device for each part, with ``--accumulate``, and after
``--elastic keep-batch`` has lost a worker.
"""

import numpy as np

from . import checkpoint


class RunningStatistics:
    """Those of this worker's parts, of a network whose parameters are on its ``devices``."""

    def __init__(self, net, layout, devices):
        self._net, self._layout, self._devices = net, layout, devices
        # part: its arrays, on the device that computes it; empty if each device has one part
        self._laid_down = {}
        if layout.accumulate > 1:
            for micro in range(layout.accumulate):
                for number, part in layout.micro_batch(micro):
                    self._laid_down[part] = [array.copy() for array in self._of(number)]

    def take_up(self, micro):
        """Give the devices the statistics of the parts that they are about to compute."""
        self._copy(micro, lambda laid_down, device: laid_down.copyto(device))

    def lay_down(self, micro):
        """Keep what the devices have made of them."""
        self._copy(micro, lambda laid_down, device: device.copyto(laid_down))

    def get(self):
        """numpy float32 (parts of this worker, n). What changes them has to be finished."""
        if self._laid_down:
            return np.stack(
                [checkpoint.flat(self._laid_down[part]) for part in self._layout.own_parts]
            )
        return np.stack([checkpoint.flat(self._of(number)) for number in range(len(self._devices))])

    def put(self, values):
        """The reverse of :meth:`get` for some parts, a dict; parts that are not in it are left as
        they are.
        """
        for micro in range(self._layout.accumulate):
            for number, part in self._layout.micro_batch(micro):
                if part in values:
                    checkpoint.put_flat(self._laid_down.get(part) or self._of(number), values[part])

    def _copy(self, micro, copy):
        if self._laid_down:
            for number, part in self._layout.micro_batch(micro):
                for laid_down, device in zip(self._laid_down[part], self._of(number)):
                    copy(laid_down, device)

    def _of(self, number):
        return checkpoint.arrays_of(self._net, self._devices[number])
