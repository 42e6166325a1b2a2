import io
import struct

import numpy as np
import pytest
from PIL import Image

from gluon_tricks.data.decode import Scratch, decode


def picture(height=40, width=60):
    """A smooth RGB image, which survives JPEG's quantisation."""
    y, x = np.mgrid[:height, :width]
    return (
        np.stack([128 + 100 * np.sin(x / 9), 128 + 100 * np.cos(y / 7), 4.0 * x], -1)
        .clip(0, 255)
        .astype(np.uint8)
    )


def encoded(kind, mode="RGB", **options):
    buffer = io.BytesIO()
    Image.fromarray(picture()).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def by_pillow(payload):
    return np.asarray(Image.open(io.BytesIO(payload)).convert("RGB"))


FORMS = {
    "jpeg": encoded("JPEG", quality=95),
    "progressive": encoded("JPEG", quality=95, progressive=True),
    "444": encoded("JPEG", quality=95, subsampling=0),
    "grey jpeg": encoded("JPEG", "L", quality=95),
    "cmyk jpeg": encoded("JPEG", "CMYK", quality=95),
    "png": encoded("PNG"),
    "grey png": encoded("PNG", "L"),
    "palette png": encoded("PNG", "P"),
    "png with alpha": encoded("PNG", "RGBA"),
    "grey png with alpha": encoded("PNG", "LA"),
    "bmp": encoded("BMP"),
    "webp": encoded("WEBP", lossless=True),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_becomes_the_rgb_that_pillow_sees(form):
    image = decode(FORMS[form])
    assert image.shape == (40, 60, 3) and image.dtype == np.uint8
    # Different versions of libjpeg may upsample colours differently.
    assert np.abs(image.astype(int) - by_pillow(FORMS[form])).mean() < 1.5


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_a_truncated_image_is_an_error(form, share):
    payload = FORMS[form]
    with pytest.raises(ValueError):
        decode(payload[: int(len(payload) * share)])


def test_a_jpeg_without_its_last_bytes_is_an_error():
    with pytest.raises(ValueError):
        decode(FORMS["jpeg"][:-2])


@pytest.mark.parametrize(
    "payload", [b"", b"\xff", b"\xff\xd8\xff", b"not an image at all", b"\x89PNG\r\n\x1a\n", bytes(100)]
)
def test_what_is_no_image_is_an_error(payload):
    with pytest.raises(ValueError):
        decode(payload)


def test_a_header_that_announces_absurd_sizes_is_an_error_and_takes_no_memory():
    payload = bytearray(FORMS["jpeg"])
    start = payload.index(b"\xff\xc0") + 5
    payload[start : start + 4] = struct.pack(">HH", 65500, 65500)
    with pytest.raises(ValueError, match="65500"):
        decode(bytes(payload))


def test_a_damaged_png_is_an_error():
    payload = bytearray(FORMS["png"])
    payload[len(payload) // 2] ^= 1
    with pytest.raises(ValueError, match="PNG"):
        decode(bytes(payload))


def test_exif_orientation_is_not_applied():
    exif = Image.Exif()
    exif[0x0112] = 6
    payload = encoded("JPEG", quality=95, exif=exif.tobytes())
    np.testing.assert_array_equal(decode(payload), decode(encoded("JPEG", quality=95)))


def test_memory_used_again_does_not_change_the_result():
    scratch = Scratch()
    for form in ("jpeg", "grey jpeg", "png", "cmyk jpeg", "jpeg"):
        np.testing.assert_array_equal(decode(FORMS[form], scratch), decode(FORMS[form]))
