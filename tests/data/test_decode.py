import io
import random
import struct

import cv2
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from gluon_tricks.data import jpeg
from gluon_tricks.data.decode import Scratch, decode, decode_crop, jpeg_header


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


def sampled(*factors, scans=None, rows=2):
    """A JPEG whose components have the (horizontal, vertical) ``factors``, and the RGB that it
    means.

    Every block of 8 x 8 has one value. ``scans`` are the components of each scan, all in one by
    default. Pillow and OpenCV write the common samplings only, and all in one scan.
    """
    wide, high = np.max(factors, axis=0)
    numbers = np.random.RandomState(0)
    blocks = [numbers.randint(108, 148, (rows * v, 3 * h)) for h, v in factors]

    def segment(marker, data):
        return b"\xff" + bytes([marker]) + struct.pack(">H", len(data) + 2) + data

    def scan(components):
        """In the order of the image's MCUs, each with its blocks of every component in turn."""
        bits, last = "", [0] * len(factors)
        for row, column in np.ndindex(rows, 3):
            for i in components:
                h, v = factors[i]
                for level in blocks[i][row * v : row * v + v, column * h : column * h + h].ravel():
                    # level - 128 = DC / 8 with a quantisation of 8; the difference to the last one
                    # in 6 bits
                    difference, last[i] = int(level) - 128 - last[i], int(level) - 128
                    size = abs(difference).bit_length()
                    coded = difference if difference > 0 else difference + (1 << size) - 1
                    bits += format(size, "03b") + (format(coded, f"0{size}b") if size else "") + "0"
        bits += "1" * (-len(bits) % 8)
        data = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
        names = b"".join(bytes([i + 1, 0]) for i in components)
        return segment(0xDA, bytes([len(components)]) + names + b"\0\x3f\0") + data

    frame = b"".join(bytes([i, h << 4 | v, 0]) for i, (h, v) in enumerate(factors, 1))
    payload = b"".join(
        [
            b"\xff\xd8",
            segment(0xDB, b"\0" + b"\x08" * 64),
            segment(
                0xC0, struct.pack(">BHHB", 8, 8 * rows * high, 24 * wide, len(factors)) + frame
            ),
            # DC: sizes 0 to 6 in 3 bits
            segment(0xC4, b"\x00" + bytes([0, 0, 7] + [0] * 13) + bytes(range(7))),
            # AC: nothing but the block's end
            segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\0"),
            *map(scan, scans or [range(len(factors))]),
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
    # with a small picture in EXIF, which has an end marker of its own
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
    "payload",
    [b"", b"\xff", b"\xff\xd8\xff", b"not an image at all", b"\x89PNG\r\n\x1a\n", bytes(100)],
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


def test_opencv_prints_nothing_of_its_own_about_damage(capfd):
    data = cv2.imencode(".webp", np.zeros((20, 20, 3), np.uint8))[1].tobytes()
    with pytest.raises(ValueError):
        decode(data[:30])
    assert capfd.readouterr().err == ""


def test_exif_orientation_is_not_applied():
    exif = Image.Exif()
    exif[0x0112] = 6
    payload = encoded("JPEG", quality=95, exif=exif.tobytes())
    np.testing.assert_array_equal(decode(payload), decode(encoded("JPEG", quality=95)))


def test_memory_used_again_does_not_change_the_result():
    scratch = Scratch()
    for form in ("jpeg", "grey jpeg", "png", "cmyk jpeg", "jpeg"):
        np.testing.assert_array_equal(decode(FORMS[form], scratch), decode(FORMS[form]))


def photograph(height, width, seed=0):
    """RGB with detail at every scale, so that each row and column counts."""
    numbers = np.random.RandomState(seed)
    scales = (numbers.randint(0, 256, (height // k + 2, width // k + 2, 3)) for k in (2, 9, 40))
    layers = [cv2.resize(s.astype(np.uint8), (width, height)).astype(np.float32) for s in scales]
    return (0.2 * layers[0] + 0.3 * layers[1] + 0.5 * layers[2]).astype(np.uint8)


def by_opencv(image, *options):
    return cv2.imencode(".jpg", image[:, :, ::-1], list(options))[1].tobytes()


def marked(image, interval, *options):
    """A JPEG with a restart marker after every ``interval`` MCUs of 16 x 16 pixels."""
    return by_opencv(image, cv2.IMWRITE_JPEG_RST_INTERVAL, interval, *options)


FULL = cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444  # MCUs of 8 x 8

MARKED = ["markers in a row", "markers in a table", "markers of 444", "markers at rows"]

GREY = simplejpeg.encode_jpeg(photograph(150, 95)[:, :, :1].copy(), 80, "GRAY", "Gray")

# The shape that is decoded of a picture of 150 rows for rows 10 to 69 and columns 35 to 74; None if
# the whole may be.
CROPPED = {
    "420": (simplejpeg.encode_jpeg(photograph(150, 90), 80, "RGB", "420"), (80, 90)),
    "422": (simplejpeg.encode_jpeg(photograph(150, 91), 80, "RGB", "422"), (72, 91)),
    "444": (simplejpeg.encode_jpeg(photograph(150, 92), 80, "RGB", "444"), (72, 92)),
    "440": (simplejpeg.encode_jpeg(photograph(150, 93), 80, "RGB", "440"), (80, 93)),
    "411": (simplejpeg.encode_jpeg(photograph(150, 94), 80, "RGB", "411"), (72, 94)),
    "grey": (GREY, (72, 95)),
    "optimised": (by_opencv(photograph(150, 96), cv2.IMWRITE_JPEG_OPTIMIZE, 1), (80, 96)),
    "markers in a row": (marked(photograph(150, 128), 2), (80, 64)),
    "markers in a table": (jpeg.with_table(marked(photograph(150, 128), 2)), (80, 64)),
    "markers, an edge": (marked(photograph(150, 90), 3), (80, 90)),
    "markers at MCUs": (marked(photograph(150, 97), 1), (80, 48)),
    "markers of 444": (marked(photograph(150, 117), 5, *FULL), (64, 80)),
    "markers at rows": (marked(photograph(150, 97), 7), (80, 97)),
    "markers at two rows": (marked(photograph(150, 97), 14), (96, 97)),
    "grey, 2x2": (GREY.replace(b"\1\x11\0", b"\1\x22\0", 1), (72, 95)),
    "markers that bend, one a row": (marked(photograph(48, 48), 4), None),
    "markers that bend": (marked(photograph(150, 97), 4), (150, 97)),
    "one interval": (marked(photograph(150, 97), 1000), (150, 97)),
    "progressive": (by_opencv(photograph(150, 98), cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (150, 98)),
    "three scans": (sampled((1, 1), (1, 1), (1, 1), scans=[[0], [1], [2]], rows=20)[0], (160, 24)),
    "two scans": (sampled((2, 2), (1, 1), (1, 1), scans=[[0, 1], [2]], rows=10)[0], (160, 48)),
    "one scan": (sampled((1, 1), (1, 1), (1, 1), rows=20)[0], (72, 24)),
    "cmyk": (
        simplejpeg.encode_jpeg(
            np.dstack([photograph(150, 90)] * 2)[:, :, :4].copy(), 80, "CMYK", "444"
        ),
        None,
    ),
    "4:1:0": (sampled(*UNCOMMON["4:1:0"], rows=10)[0], None),
    "png": (cv2.imencode(".png", photograph(150, 90))[1].tobytes(), None),
}


@pytest.mark.parametrize("kind", CROPPED)
def test_a_crop_has_the_pixels_of_the_whole_image(kind):
    payload, _ = CROPPED[kind]
    whole, scratch, numbers = decode(payload), Scratch(), random.Random(kind)
    for _ in range(100):
        height, width = (numbers.randint(1, side) for side in whole.shape[:2])
        y, x = (
            numbers.randint(0, whole.shape[0] - height),
            numbers.randint(0, whole.shape[1] - width),
        )
        asked = []
        crop = decode_crop(
            payload, lambda *shape: asked.append(shape) or (y, x, height, width), scratch
        )
        np.testing.assert_array_equal(crop, whole[y : y + height, x : x + width])
        assert set(asked) == {whole.shape[:2]}


@pytest.mark.parametrize("kind", [kind for kind, (_, shape) in CROPPED.items() if shape])
def test_no_more_is_decoded_than_a_crop_needs(kind, monkeypatch):
    payload, shape = CROPPED[kind]
    decoded, decode_jpeg = [], simplejpeg.decode_jpeg

    def spy(*args, **options):
        decoded.append(np.shape(options.get("buffer"))[:2])
        return decode_jpeg(*args, **options)

    monkeypatch.setattr(simplejpeg, "decode_jpeg", spy)
    decode_crop(payload, lambda height, width: (10, 35, 60, 40))
    assert decoded == [shape]


@pytest.mark.parametrize("kind", CROPPED)
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_a_truncated_image_is_an_error_wherever_the_crop_is(kind, share):
    payload, _ = CROPPED[kind]
    with pytest.raises(ValueError):
        decode_crop(payload[: int(len(payload) * share)], lambda height, width: (0, 0, 8, 8))


def test_damage_counts_if_it_reaches_the_crop():
    payload, _ = CROPPED["420"]
    sound, unseen = decode(payload), 0
    for place in range(len(payload) // 2, len(payload) - 4):
        # a byte of ones, as the coded data has it
        bad = payload[:place] + b"\xff\0" + payload[place + 2 :]
        try:
            decode(bad)
        except ValueError as error:
            np.testing.assert_array_equal(decode_crop(bad, lambda *_: (0, 0, 40, 90)), sound[:40])
            with pytest.raises(ValueError, match=str(error)):
                decode_crop(bad, lambda *_: (100, 0, 50, 90))
            unseen += 1
    assert unseen > 100


@pytest.mark.parametrize("kind", MARKED)
def test_a_wrong_marker_is_an_error_wherever_the_crop_is(kind):
    payload, _ = CROPPED[kind]
    start = jpeg.one_scan(payload).start
    for place in range(start, len(payload) - 2):
        if payload[place] == 0xFF and payload[place + 1] != 0:
            for wrong in (payload[place + 1] ^ 1, 0xD9, 0):
                bad = payload[: place + 1] + bytes([wrong]) + payload[place + 2 :]
                with pytest.raises(ValueError):
                    decode_crop(bad, lambda *_: (0, 0, 8, 8))
                with pytest.raises(ValueError):
                    decode(bad)


def test_a_table_of_intervals_that_is_wrong_is_not_believed():
    payload, shape = CROPPED["markers in a table"]
    start, end = jpeg.one_scan(payload).table
    crop = decode(payload)[100:140, 70:110]
    for place in range(start, end):
        for wrong in (0, 0xFF, payload[place] ^ 1):
            bad = payload[:place] + bytes([wrong]) + payload[place + 1 :]
            np.testing.assert_array_equal(decode_crop(bad, lambda *_: (100, 70, 40, 40)), crop)
    shorter = payload[: start - len(jpeg.TABLE) - 2] + struct.pack(
        ">H", end - start + len(jpeg.TABLE) - 2
    )
    shorter += payload[start - len(jpeg.TABLE) : end - 4] + payload[end:]
    assert jpeg.one_scan(shorter).table
    np.testing.assert_array_equal(decode_crop(shorter, lambda *_: (100, 70, 40, 40)), crop)


def test_a_table_is_made_for_sound_markers_alone_and_once():
    for kind in ("420", "progressive", "markers in a table"):
        assert jpeg.with_table(CROPPED[kind][0]) == CROPPED[kind][0]
    payload, _ = CROPPED["markers in a row"]
    assert len(jpeg.with_table(payload)) == len(payload) + 4 + len(jpeg.TABLE) + 2 * 4 * 10
    lost = payload.replace(b"\xff\xd3", b"\xff\xd2", 1)
    assert lost != payload and jpeg.with_table(lost) == lost


def test_intervals_too_long_for_a_table_get_none():
    noise = np.random.RandomState(0).randint(0, 256, (64, 1600, 3)).astype(np.uint8)
    payload = marked(noise, 200, cv2.IMWRITE_JPEG_QUALITY, 100)
    assert jpeg.one_scan(payload).interval and len(payload) > 2 * 2**16
    assert jpeg.with_table(payload) == payload


def damaged(payload, numbers):
    """A JPEG with damage of some kind."""
    place, data = numbers.randrange(2, len(payload)), bytearray(payload)
    kind = numbers.randrange(6)
    if kind == 0:
        del data[place:]
    elif kind == 1:
        data[place] ^= 1 << numbers.randrange(8)
    elif kind == 2:
        data[place : place + 40] = bytes(40)
    elif kind == 3:
        del data[place : place + numbers.randint(1, 40)]
    elif kind == 4:
        data[place : place + 2] = bytes([0xFF, numbers.choice([0xC0, 0xD0, 0xD9, 0xDA, 0xFE])])
    else:
        data[numbers.randrange(2, min(640, len(data)))] = numbers.randrange(256)  # in the header
    return bytes(data)


@pytest.mark.parametrize("kind", ["420", "444", "grey", *MARKED, "progressive", "three scans"])
def test_damage_never_makes_a_crop_that_the_whole_image_has_not(kind):
    payload, numbers, outcomes = CROPPED[kind][0], random.Random(kind), {"crop": 0, "error": 0}
    sound = decode(payload)
    for _ in range(300):
        bad = damaged(payload, numbers)
        u = [numbers.random() for _ in range(4)]

        def choose(height, width):
            h, w = 1 + int(u[0] * (height - 1)), 1 + int(u[1] * (width - 1))
            return int(u[2] * (height - h)), int(u[3] * (width - w)), h, w

        try:
            crop = decode_crop(bad, choose).copy()
        except ValueError:
            outcomes["error"] += 1
            with pytest.raises(ValueError):  # a crop fails only if the whole does
                decode(bad)
        else:
            outcomes["crop"] += 1
            try:
                whole = decode(bad)
            except ValueError:
                whole = simplejpeg.decode_jpeg(bad, strict=False)  # as far as it goes
            y, x, height, width = choose(*whole.shape[:2])
            if kind == "markers in a table" and whole.shape == sound.shape:
                # With a marker too many, whole decoding goes wrong from there on; a table leads
                # past it.
                if np.array_equal(crop, sound[y : y + height, x : x + width]):
                    continue
            np.testing.assert_array_equal(crop, whole[y : y + height, x : x + width])
    assert min(outcomes.values()) > 50
