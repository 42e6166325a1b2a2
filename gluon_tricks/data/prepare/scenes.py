"""scenes with masks: scikit-learn's handwritten digits on its two photographs

A scene has digits with dark outlines, none on top of another. Its mask gives for each pixel the
digit that is painted there, or the background. Training and validation have no source in common:
the digits are split as in ``prepare digits``, and each gets one half of the photographs.
"""

import numpy as np

from ...errors import UserError
from . import digits
from .images import encode_jpeg, encode_png
from .pairs import mask_split
from .split import Split

SEED = 1812  # of the scenes behind the demo's figures
SIZE = 96  # pixels, the side of a scene
SCENES = {"train": 100, "val": 200}
CLASSES = ["background", *map(str, range(10))]
TRIED = 10  # digits a scene; one that would cover another is left out
BACKGROUND, DIGIT = (96, 192), (44, 72)  # pixels: the sides of a cut-out background and of a digit
INK = 0.4  # of the darkest stroke: what counts as painted
OUTLINE = 7  # pixels: the side of the disc that widens the strokes


def add_arguments(parser):
    """Nothing to choose: the scenes are always the same."""


def read(args):
    """``({"train": Split, "train.mask": Split, "val": ...}, class names, settings)``."""
    sources, _, _ = digits.read(args)
    splits = {}
    for part, (name, count) in enumerate(SCENES.items()):
        splits.update(split_of(name, count, part, halves()[part], sources[name]))
    return splits, CLASSES, {"data_set": "scenes", "seed": SEED, "size": SIZE, "scenes": SCENES}


def halves():
    """The photographs' left halves, and the right ones, for training and for validation."""
    return list(zip(*(np.array_split(picture, 2, axis=1) for picture in photographs())))


def photographs():
    """scikit-learn's two, uint8 (427, 640, 3)."""
    try:
        from sklearn.datasets import load_sample_images
    except ImportError:
        raise UserError(
            "the scenes need scikit-learn, which is not installed: pip install scikit-learn"
        ) from None
    return load_sample_images().images


def split_of(name, count, part, backgrounds, source):
    """The splits of the scenes and of their masks."""

    def read(position):
        return scene(np.random.RandomState([SEED, part, position]), backgrounds, source)

    return {
        name: Split(
            [f"scenes/{name}/{i}" for i in range(count)],
            None,
            lambda position: read(position)[0],
            lambda picture: (encode_jpeg(picture), "drawn"),
            5000 * count,
        ),
        mask_split(name): Split(
            [f"scenes/{name}/{i}.mask" for i in range(count)],
            None,
            lambda position: read(position)[1],
            lambda mask: (encode_png(mask), "drawn"),
            500 * count,
        ),
    }


def scene(random, backgrounds, source, size=SIZE):
    """``(picture, mask, boxes)``: uint8 (size, size, 3) and (size, size), and a list of left, top,
    right, bottom (the last pixels inside) and number of each digit.

    backgrounds: photographs; source: a Split of digits.
    """
    picture = background(random, backgrounds[random.randint(len(backgrounds))], size)
    mask, boxes = np.zeros((size, size), np.uint8), []
    for _ in range(TRIED):
        chosen = random.randint(len(source))
        number = CLASSES.index(str(source.labels[chosen]))
        corners = paint(random, picture, mask, source.read(chosen), number)
        if corners:
            boxes.append((*corners, number))
    return picture, mask, boxes


def background(random, photograph, size):
    """A random square of a photograph, uint8 (size, size, 3)."""
    import cv2

    side = random.randint(BACKGROUND[0], BACKGROUND[1] + 1)
    top, left = (random.randint(length - side + 1) for length in photograph.shape[:2])
    cut = photograph[top : top + side, left : left + side]
    return cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA)


def paint(random, picture, mask, digit, number):
    """Paint a digit, float32 (8, 8) of 0 to 255, into picture and mask at a random place; left,
    top, right, bottom of what is painted, or None if something is painted there already.
    """
    import cv2

    side = random.randint(DIGIT[0], DIGIT[1] + 1)
    top, left = random.randint(len(mask) - side + 1, size=2)
    place = slice(top, top + side), slice(left, left + side)
    ink = np.pad(digit / 255, 1)  # so that strokes at its edges have outlines, too
    ink = cv2.resize(ink, (side, side), interpolation=cv2.INTER_CUBIC)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (OUTLINE, OUTLINE))
    painted = cv2.dilate((ink > INK).astype(np.uint8), disc) > 0
    if mask[place][painted].any():
        return None
    colour, outline = random.randint(160, 256, size=3), random.randint(0, 40, size=3)
    shades = outline + np.clip(ink, 0, 1)[:, :, None] * (colour - outline)
    picture[place][painted] = np.rint(shades[painted])
    mask[place][painted] = number
    rows, columns = (np.flatnonzero(painted.any(axis=axis)) for axis in (1, 0))
    return left + columns[0], top + rows[0], left + columns[-1], top + rows[-1]
