"""Small images with boxes: bright rectangles of three colours on noise, in RecordIO files."""

import cv2
import numpy as np

from gluon_tricks.data.box_records import boxes_of, pack_boxes
from gluon_tricks.data.records import RecordWriter

CLASSES = 3
# The smallest Faster-RCNN that still has every part.
TINY = "--input-size 48 --max-side 64 --anchor-scales 1,2 --rpn-channels 8 --roi-size 2"
TINY += " --proposals 24,12 --rpn-sample 16 --roi-sample 8 --max-boxes 4"


def scene(random, boxes):
    """(image, rows left, top, right, bottom, class, kind)."""
    height, width = 40 + random.randint(9), 50 + random.randint(9)
    image = random.randint(0, 80, (height, width, 3)).astype(np.uint8)
    rows = []
    for color in random.permutation(CLASSES)[:boxes]:
        side = random.randint(16, 24)
        y, x = random.randint(height - side), random.randint(width - side)
        image[y : y + side, x : x + side] = 20
        image[y : y + side, x : x + side, color] = 220
        rows.append([x, y, x + side - 1, y + side - 1, color, 0])
    return image, rows


def write(path, count, seed, bad=None):
    """``path`` with images of 0, 1 or 2 boxes; ``bad`` are labels by key in place of theirs."""
    random = np.random.RandomState(seed)
    with RecordWriter(str(path)) as writer:
        for key in range(count):
            image, rows = scene(random, key % 3)
            label = (bad or {}).get(key, pack_boxes(boxes_of(rows), *image.shape[:2]))
            writer.write(key, label, cv2.imencode(".png", image[:, :, ::-1])[1].tobytes())


def folder_of(folder, train=8, validation=5):
    """A folder with train.rec and val.rec; its path."""
    write(folder / "train.rec", train, seed=0)
    write(folder / "val.rec", validation, seed=1)
    return str(folder)
