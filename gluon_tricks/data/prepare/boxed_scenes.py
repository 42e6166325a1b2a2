"""scenes with boxes: scikit-learn's handwritten digits on its two photographs

The scenes are those of :mod:`.scenes`, but larger. The boxes enclose the painted pixels. Training
and validation have no digit and no part of a photograph in common.
"""

import numpy as np

from ..box_records import ORDINARY
from . import box_labels, digits, scenes
from .box_labels import Annotation, Box
from .images import encode_jpeg
from .scenes import SEED
from .split import Split

SIZE = 128  # pixels, the side of a scene: room for several digits
SCENES = {"train": 300, "val": 200}
CLASSES = scenes.CLASSES[1:]  # without the background


def add_arguments(parser):
    """Nothing to choose: the scenes are always the same."""


def read(args):
    """``({"train": Split, "val": Split}, class names, settings)``."""
    sources, _, _ = digits.read(args)
    halves = scenes.halves()
    splits = {
        name: split_of(name, count, part, halves[part], sources[name])
        for part, (name, count) in enumerate(SCENES.items())
    }
    settings = {"data_set": "boxed-scenes", "seed": SEED, "size": SIZE, "scenes": SCENES}
    return splits, CLASSES, settings


def split_of(name, count, part, backgrounds, source):
    """The Split of the scenes with their boxes."""
    names = [f"scenes/{name}/{i}" for i in range(count)]

    def drawn(position):
        random = np.random.RandomState([SEED, part, position])
        return scenes.scene(random, backgrounds, source, SIZE)

    annotations = [
        Annotation(names[position], SIZE, SIZE, [box_of(*box) for box in drawn(position)[2]])
        for position in range(count)
    ]
    return Split(
        names,
        None,
        lambda position: drawn(position)[0],
        lambda picture: (encode_jpeg(picture), "drawn"),
        5000 * count,
        box_labels.labels_of(annotations, CLASSES, "refuse"),
    )


def box_of(left, top, right, bottom, number):
    """The Box of a digit of class ``number``."""
    return Box(scenes.CLASSES[number], (left, top, right, bottom), ORDINARY)
