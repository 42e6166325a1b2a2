import io
import struct

import numpy as np
import pytest
from PIL import Image

from gluon_tricks.data.decode import Scratch, decode, jpeg_header


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


def sampled(*factors):
    """A JPEG whose components have the (horizontal, vertical) ``factors``, and the RGB that it means.

    Every block of 8 x 8 has one value. Pillow and OpenCV write the common samplings only.
    """
    wide, high = np.max(factors, axis=0)
    random = np.random.RandomState(0)
    blocks = [random.randint(108, 148, (2 * v, 3 * h)) for h, v in factors]
    bits, last = "", [0] * len(factors)
    for row, column in np.ndindex(2, 3):
        for i, (h, v) in enumerate(factors):
            for level in blocks[i][row * v : row * v + v, column * h : column * h + h].ravel():
                # level - 128 = DC / 8 with a quantisation of 8; the difference to the last one in 6 bits
                difference, last[i] = int(level) - 128 - last[i], int(level) - 128
                size = abs(difference).bit_length()
                coded = difference if difference > 0 else difference + (1 << size) - 1
                bits += format(size, "03b") + (format(coded, "0{}b".format(size)) if size else "") + "0"
    bits += "1" * (-len(bits) % 8)

    def segment(marker, data):
        return b"\xff" + bytes([marker]) + struct.pack(">H", len(data) + 2) + data

    frame = b"".join(bytes([i, h << 4 | v, 0]) for i, (h, v) in enumerate(factors, 1))
    scan = b"".join(bytes([i, 0]) for i in range(1, len(factors) + 1))
    payload = b"".join(
        [
            b"\xff\xd8",
            segment(0xDB, b"\0" + b"\x08" * 64),
            segment(0xC0, struct.pack(">BHHB", 8, 16 * high, 24 * wide, len(factors)) + frame),
            segment(0xC4, b"\x00" + bytes([0, 0, 7] + [0] * 13) + bytes(range(7))),  # DC: sizes 0 to 6 in 3 bits
            segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\0"),  # AC: nothing but the block's end
            segment(0xDA, bytes([len(factors)]) + scan + b"\0\x3f\0"),
            int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0"),
            b"\xff\xd9",
        ]
    )
    y, cb, cr = (
        np.kron(b, np.ones((8 * high // v, 8 * wide // h))) for b, (h, v) in zip(blocks, factors)
    )
    red, blue = y + 1.402 * (cr - 128), y + 1.772 * (cb - 128)
    green = y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128)
    return payload, np.stack([red, green, blue], -1)


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


# What simplejpeg refuses with a ValueError or, 4:4:1, with a KeyError.
UNCOMMON = {
    "4:4:1": ((1, 4), (1, 1), (1, 1)),
    "4:1:0": ((4, 2), (1, 1), (1, 1)),
    "3:1:1": ((3, 1), (1, 1), (1, 1)),
    "1x3": ((1, 3), (1, 1), (1, 1)),
    "unequal chroma": ((2, 2), (2, 1), (1, 2)),
    "fine chroma": ((1, 1), (2, 1), (2, 1)),
}


@pytest.mark.parametrize("kind", UNCOMMON)
def test_colours_may_be_sampled_in_uncommon_ways(kind):
    payload, rgb = sampled(*UNCOMMON[kind])
    # The decoder smooths over the borders of coarse chroma blocks.
    assert np.abs(decode(payload) - rgb).mean() < 3
    assert jpeg_header(payload) == (*rgb.shape[:2], None)
    np.testing.assert_array_equal(decode(payload + bytes(10)), decode(payload))


@pytest.mark.parametrize("kind", UNCOMMON)
def test_uncommon_sampling_does_not_hide_that_a_jpeg_is_truncated(kind):
    payload, _ = sampled(*UNCOMMON[kind])
    # with a small picture in EXIF, which has an end mark of its own
    small = b"Exif\0\0" + FORMS["jpeg"]
    thumbed = payload[:2] + b"\xff\xe1" + struct.pack(">H", len(small) + 2) + small + payload[2:]
    np.testing.assert_array_equal(decode(thumbed), decode(payload))
    for whole, step in ((payload, 1), (thumbed, 7)):
        for length in range(len(whole) - 1, 0, -step):
            with pytest.raises(ValueError):
                decode(whole[:length])


def test_a_common_sampling_is_decoded_as_the_test_image_means_it():
    payload, rgb = sampled((2, 1), (1, 1), (1, 1))
    assert np.abs(decode(payload) - rgb).mean() < 3 and jpeg_header(payload)[2] == "YCbCr"


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
