"""scikit-learn's 1,797 handwritten digits, with a fixed split

They are part of scikit-learn's wheel (UCI's "Optical Recognition of Handwritten Digits", its test
part): 8x8 pixels of 0 to 16. Here they become grey PNGs of 32x32 by cubic interpolation, and a
fifth of each class is held out.
"""

import numpy as np

from ...errors import UserError
from .images import encode_png
from .split import Split

SEED = 1812  # of the split behind the demo's figures
SIZE = 32
HELD_OUT = 0.2


def add_arguments(parser):
    """Nothing to choose: the digits are always the same."""


def read(args):
    """``({"train": Split, "val": Split}, class names, settings)``."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise UserError(
            "the digits need scikit-learn, which is not installed: pip install scikit-learn"
        ) from None
    found = load_digits()
    pixels = found.images.astype(np.float32) * np.float32(255 / 16)
    names = [f"digits/{i}" for i in range(len(pixels))]

    def encode(image):
        return encode_png(enlarge(image)), "png"

    everything = Split(names, found.target, pixels.__getitem__, encode, 900 * len(pixels))
    train, val = everything.hold_out(HELD_OUT, SEED)
    settings = {"data_set": "digits", "seed": SEED, "size": SIZE, "held_out": HELD_OUT}
    return (
        {"train": train.shuffled(SEED), "val": val},
        [str(digit) for digit in range(10)],
        settings,
    )


def enlarge(image):
    """float32 (8, 8) of 0 to 255 -> uint8 (SIZE, SIZE)."""
    import cv2

    enlarged = cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    # cubic interpolation overshoots a little
    return np.clip(np.rint(enlarged), 0, 255).astype(np.uint8)
