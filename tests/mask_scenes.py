"""Small images with masks: bright rectangles of three colours on noise, in RecordIO files."""

import cv2
import numpy as np

from gluon_tricks.data.mask_files import mask_path_of
from gluon_tricks.data.records import RecordWriter

CLASSES = 4


def scene(random):
    """(image, mask): the background is class 0, and the first rows are none."""
    height, width = 40 + random.randint(5), 50 + random.randint(5)
    image = random.randint(0, 80, (height, width, 3)).astype(np.uint8)
    mask = np.zeros((height, width), np.uint8)
    for color in range(1, CLASSES):
        side = random.randint(10, 24)
        y, x = random.randint(height - side), random.randint(width - side)
        image[y : y + side, x : x + side] = random.randint(0, 40, 3)
        image[y : y + side, x : x + side, color - 1] = 200
        mask[y : y + side, x : x + side] = color
    mask[:2] = 255
    return image, mask


def write(path, count, seed):
    """``path`` and the masks next to it."""
    random = np.random.RandomState(seed)
    with RecordWriter(str(path)) as images, RecordWriter(mask_path_of(str(path))) as masks:
        for key in range(count):
            for writer, pixels in zip((images, masks), scene(random)):
                writer.write(key, 0, cv2.imencode(".png", pixels)[1].tobytes())


def folder_of(folder, train=16, validation=7):
    """A folder with train.rec and val.rec; its path."""
    write(folder / "train.rec", train, seed=0)
    write(folder / "val.rec", validation, seed=1)
    return str(folder)
