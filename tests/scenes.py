"""Small pictures with masks, and a tiny network for segmentation."""

import cv2
import mxnet as mx
import numpy as np
from mxnet.gluon import nn

K, NAMES = 4, ["ground", "red", "green $x$", "blue"]
SIZES = [(30, 41), (36, 25), (24, 24), (57, 26), (25, 50), (33, 33)]


class Tiny(mx.gluon.HybridBlock):
    """A strided convolution and a classifier for each position, resized to the image."""

    def __init__(self, name, classes):
        super().__init__(prefix=name + "_")
        with self.name_scope():
            self.body = nn.HybridSequential(prefix="")
            self.body.add(nn.Conv2D(8, 3, 2, 1, use_bias=False, in_channels=3))
            self.body.add(nn.BatchNorm(in_channels=8), nn.Activation("relu"))
            self.body.add(nn.Conv2D(classes, 3, 1, 1, in_channels=8))

    def hybrid_forward(self, F, x):
        return F.contrib.BilinearResize2D(self.body(x), like=x, mode="like")


def scene(number):
    """(picture, mask): rectangles of three colours on grey; a frame has no class."""
    random = np.random.RandomState(number)
    height, width = SIZES[number % len(SIZES)]
    mask = np.zeros((height, width), np.uint8)
    for _ in range(3):
        y, x = random.randint(height - 8), random.randint(width - 8)
        mask[y : y + random.randint(6, 20), x : x + random.randint(6, 20)] = random.randint(1, 3)
    colors = np.array([[90, 90, 90], [220, 60, 50], [40, 200, 60], [60, 70, 210]])
    picture = colors[mask] + random.normal(0, 15, (height, width, 3))
    mask[0] = mask[:, -1] = 255
    return np.clip(picture, 0, 255).astype(np.uint8), mask


def png(pixels):
    pixels = pixels if pixels.ndim == 2 else pixels[:, :, ::-1]
    return cv2.imencode(".png", pixels)[1].tobytes()
