"""The colours of classes, in masks and in pictures: those of PASCAL VOC.

A class's number, bit by bit from the lowest, goes in turn to red, green and blue, each time to the
highest bit that is still free. So neighbours differ strongly, class 0 (VOC's background) is black,
and the number stands for the same colour in every set of classes. 255, no class, is VOC's beige.
"""

import numpy as np


def palette() -> np.ndarray:
    """uint8 (256, 3), RGB, of every value that a mask may have."""
    numbers = np.arange(256)
    colors = np.zeros((256, 3), np.uint8)
    for place in range(8):
        channel, bit = place % 3, 7 - place // 3
        colors[:, channel] |= ((numbers >> place & 1) << bit).astype(np.uint8)
    return colors


def colored(mask: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) of a mask (H, W)."""
    return palette()[mask]
