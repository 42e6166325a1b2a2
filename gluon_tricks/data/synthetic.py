"""Synthetic images for measuring and testing without a file (``--synthetic``): noise, a pure
function of (seed, key).

They cost the loader next to nothing: a bank of them is made once and batches are copied from it, so
a loop over them measures the step. Records with the same ``key % BANK`` have the same image and the
same label.
"""

from typing import Sequence

import numpy as np

from . import randomness

BANK = 64


class SyntheticImages:
    """``length`` records whose keys are 0 to ``length - 1``, images ``size`` x ``size``.

    They are float32 and normalised with ``mean`` and ``std``; with ``on_device`` 8-bit, and
    ``matrix`` normalises them.
    """

    path = "synthetic images"

    def __init__(
        self,
        length: int,
        size: int,
        classes: int,
        seed: int,
        mean: Sequence[float],
        std: Sequence[float],
        on_device: bool = False,
    ) -> None:
        self.keys = np.arange(length)
        self.labels = (self.keys % BANK % classes).astype(np.float32)
        count = min(BANK, length)
        words = randomness.bits(
            randomness.SYNTHETIC, seed, 0, np.arange(count), -(-size * size * 3 // 8)
        )
        pixels = words.view(np.uint8).reshape(count, -1)[:, : size * size * 3]
        pixels = pixels.reshape(count, size, size, 3)
        scale, offset = 1 / np.asarray(std, np.float32), np.asarray(mean, np.float32)
        self.matrix = np.column_stack([np.diag(scale), -offset * scale]).astype(np.float32)
        if not on_device:
            pixels = ((pixels - offset) * scale).transpose(0, 3, 1, 2)
        self._bank = np.ascontiguousarray(pixels)
        self.shape, self.dtype = self._bank.shape[1:], self._bank.dtype

    def __len__(self) -> int:
        return len(self.keys)

    def fill(self, positions: np.ndarray, images: np.ndarray, labels: np.ndarray) -> None:
        """Write the images and labels of these positions into the arrays."""
        for row, position in enumerate(positions):
            images[row] = self._bank[position % BANK]
        labels[:] = self.labels[positions]

    def close(self) -> None:
        pass
