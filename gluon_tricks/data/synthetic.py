"""Made-up images for measuring and testing without a file (``--synthetic``): noise, a pure function
of (seed, key).

They cost the loader next to nothing: a bank of them is made once and batches are copied from it, so
that a loop over them measures the step. Records with the same ``key % BANK`` have the same image
and the same label.
"""

import numpy as np

from . import randomness

BANK = 64


class SyntheticImages:
    """``length`` records whose keys are 0 to ``length - 1``; images are already of the network's
    input size."""

    path = "synthetic images"

    def __init__(self, config, length):
        self.keys = np.arange(length)
        self.labels = (self.keys % BANK % config.classes).astype(np.float32)
        count, size = min(BANK, length), config.input_size
        words = randomness.bits(
            randomness.SYNTHETIC, config.seed, 0, np.arange(count), -(-size * size * 3 // 8)
        )
        pixels = (
            words.view(np.uint8)
            .reshape(count, -1)[:, : size * size * 3]
            .reshape(count, size, size, 3)
        )
        scale = 1 / np.asarray(config.rgb_std, np.float32)
        mean = np.asarray(config.rgb_mean, np.float32)
        self.matrix = np.column_stack([np.diag(scale), -mean * scale]).astype(np.float32)
        if config.device_augment:
            self._bank = np.ascontiguousarray(pixels)
        else:
            self._bank = np.ascontiguousarray(((pixels - mean) * scale).transpose(0, 3, 1, 2))

    def __len__(self):
        return len(self.keys)

    def fill(self, positions, images, labels):
        """Write the images and labels of these positions into the arrays."""
        for row, position in enumerate(positions):
            images[row] = self._bank[position % BANK]
        labels[:] = self.labels[positions]

    def close(self):
        pass
