"""AutoAugment's operations: the pixels are Pillow's wherever Pillow has the operation."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from gluon_tricks.data.decode import Scratch
from gluon_tricks.data.transforms.pixels import PIXEL_OPERATIONS
from gluon_tricks.data.transforms.warp import WARPS, warp, warp_boxes

SHAPES = [(64, 64), (37, 61), (224, 80), (1, 1), (2, 3), (3, 1)]
FACTORS = [0, 0.1, 0.28, 0.5, 0.82, 1, 1.0001, 1.18, 1.36, 1.9]
FACTORS += np.random.RandomState(0).uniform(0, 2, 15).tolist()
ENHANCERS = dict(color="Color", contrast="Contrast", brightness="Brightness", sharpness="Sharpness")


def pictures():
    """Noise, smooth, of few and dark values, of one value; all sizes."""
    random = np.random.RandomState(0)
    for height, width in SHAPES:
        noise = random.randint(0, 256, (height, width, 3)).astype(np.uint8)
        yield from (noise, cv2.GaussianBlur(noise, (9, 9), 0), noise // 64 * 10 + 3)
        yield np.broadcast_to(noise[:1, :1], noise.shape).copy()
    yield from (np.zeros((5, 5, 3), np.uint8), np.full((9, 9, 3), 255, np.uint8))


PICTURES = list(pictures())


def applied(name, picture, argument):
    """What our operation makes of a picture, which it may also write into itself."""
    scratch, out, own = Scratch(), np.full_like(picture, 77), picture.copy()
    PIXEL_OPERATIONS[name](picture, argument, out, scratch)
    PIXEL_OPERATIONS[name](own, argument, own, scratch)
    np.testing.assert_array_equal(out, own)
    return out


def pillows(name, image, argument):
    if name in ENHANCERS:
        return getattr(ImageEnhance, ENHANCERS[name])(image).enhance(argument)
    arguments = [] if argument is None else [argument]
    return getattr(ImageOps, name)(image, *arguments)


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("posterize", range(1, 9)),
        ("solarize", [0, 1, 76, 128, 204.3, 255, 256]),
        *((name, [None]) for name in ("invert", "autocontrast", "equalize")),
        *((name, FACTORS) for name in ENHANCERS),
    ],
)
def test_pixels_are_pillows(name, arguments):
    for picture in PICTURES:
        for argument in arguments:
            expected = np.asarray(pillows(name, Image.fromarray(picture), argument))
            np.testing.assert_array_equal(applied(name, picture, argument or 0), expected)


def test_equalize_cuts_off_what_its_rounding_puts_above_255():
    """Few pixels: the last step of the table is beyond 255, as Pillow finds too."""
    picture = np.repeat(np.arange(256)[:, None], 3, axis=1)[None].astype(np.uint8)
    expected = np.asarray(ImageOps.equalize(Image.fromarray(picture)))
    np.testing.assert_array_equal(applied("equalize", picture, 0), expected)


def test_posterize_to_no_bits_is_black_as_in_the_tpu_code():
    assert not applied("posterize", PICTURES[0], 0).any()


def test_solarize_add_changes_what_is_below_128():
    picture = PICTURES[0].astype(int)
    expected = np.where(picture < 128, np.minimum(picture + 110, 255), picture)
    np.testing.assert_array_equal(applied("solarize_add", PICTURES[0], 110), expected)


@pytest.mark.parametrize("shape, grey", [((224, 224), 196), ((160, 160), 100), ((300, 300), 255)])
def test_the_tpu_codes_contrast_blends_with_the_number_of_pixels(shape, grey):
    picture = cv2.resize(PICTURES[1], shape[::-1])
    solid = Image.new("RGB", shape[::-1], (grey,) * 3)
    expected = Image.blend(solid, Image.fromarray(picture), 1.54)
    np.testing.assert_array_equal(applied("tpu_contrast", picture, 1.54), np.asarray(expected))


ANGLES = [0, 90, 180, 270, -90, 30, -30, *np.random.RandomState(1).uniform(-135, 135, 15)]
SHEARS = [0, 0.3, -0.3, 0.99, *np.random.RandomState(2).uniform(-1, 1, 10)]
MOVES = [0, 3, -10, 0.5, -0.5, 2.5, 7.3, -3.7, 150]


@pytest.mark.parametrize(
    "name, arguments",
    [
        *(("shear_x", SHEARS), ("shear_y", SHEARS)),
        *(("translate_x", MOVES), ("translate_y", MOVES), ("rotate", ANGLES)),
    ],
)
def test_moved_pixels_are_pillows(name, arguments):
    fill, scratch = (128, 7, 201), Scratch()
    for picture in PICTURES[::2]:
        height, width = picture.shape[:2]
        image = Image.fromarray(picture)
        for argument in arguments:
            matrix = WARPS[name](argument, height, width)
            if name == "rotate":
                expected = image.rotate(argument, Image.NEAREST, fillcolor=fill)
            else:
                expected = image.transform(
                    image.size, Image.AFFINE, matrix, Image.NEAREST, fillcolor=fill
                )
            moved = picture.copy()
            warp(moved, matrix, fill, moved, scratch)
            np.testing.assert_array_equal(moved, np.asarray(expected))


@pytest.mark.parametrize("name, argument", [("rotate", 20), ("shear_x", 0.3), ("translate_y", 9)])
def test_boxes_enclose_what_they_enclosed_before(name, argument):
    picture = np.zeros((90, 120, 3), np.uint8)
    picture[30:50, 40:80] = 255
    matrix = WARPS[name](argument, 90, 120)
    (box,) = warp_boxes(np.array([[40.0, 30, 80, 50]]), matrix)
    warp(picture, matrix, (0, 0, 0), picture)
    rows, columns = np.flatnonzero(picture.any((1, 2))), np.flatnonzero(picture.any((0, 2)))
    seen = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    np.testing.assert_allclose(box, seen, atol=2)
