"""What headers announce, and Netpbm's formats: Pillow is the independent source."""

import io
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from gluon_tricks.data import decode as decoding
from gluon_tricks.data import formats, pnm
from gluon_tricks.data.decode import decode

RAMP = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (5, 1))


def saved(kind, mode="RGB", size=(37, 23), **options):
    data = io.BytesIO()
    Image.new(mode, size).save(data, kind, **options)
    return data.getvalue()


@pytest.mark.parametrize(
    "payload",
    [
        saved("BMP"),
        saved("BMP", "P"),
        saved("WEBP"),
        saved("WEBP", lossless=True),
        saved("WEBP", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0"),
        saved("TIFF"),
        saved("TIFF", "L"),
        saved("TIFF", compression="tiff_lzw"),
    ],
)
def test_the_size_in_a_header_is_that_of_the_image(payload):
    assert formats.sizes(payload)[0] == (23, 37) == decode(payload).shape[:2]


JPEG_2000 = b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(99)


@pytest.mark.parametrize(
    "payload", [b"GIF89a" + bytes(99), b"", JPEG_2000, b"P7\n", b"Pf\n1 1\n1\n"]
)
def test_formats_that_are_not_read_are_said(payload):
    with pytest.raises(ValueError, match="is not a JPEG, PNG, BMP, WebP, TIFF, PPM, PGM or PBM"):
        decode(payload)


@pytest.mark.parametrize(
    "payload",
    [b"BM", b"RIFF\0\0\0\0WEBPVP8 ", b"II*\0", b"MM\0*\0\0\0\x08\0\x01", b"II*\0\x08\0\0\0\0\0"],
)
def test_a_damaged_header_is_an_error(payload):
    with pytest.raises(ValueError, match="its header is damaged"):
        decode(payload)


@pytest.mark.parametrize("largest", [1, 15, 255, 1000, 65535])
@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("color", [False, True])
def test_pgm_and_ppm_keep_their_brightness_whatever_the_greatest_value_is(largest, text, color):
    values = np.rint(RAMP / 255 * largest).astype(np.int64)
    values = np.stack([values, values[:, ::-1], values // 2], -1) if color else values
    kind = (3 if color else 2) + (0 if text else 3)
    pixels = values.astype(">u2" if largest > 255 else np.uint8).tobytes()
    if text:
        pixels = "# a comment\n{}\n".format(" ".join(map(str, values.ravel()))).encode()
    payload = (
        b"P%d # comment\n%d %d\n%d\n" % (kind, values.shape[1], values.shape[0], largest) + pixels
    )
    expected = np.rint(values / largest * 255)
    found = decode(payload)
    assert found.shape == (5, 64, 3) and found.dtype == np.uint8
    assert np.abs(found - (expected if color else expected[..., None])).max() <= 0.5
    with pytest.raises(ValueError, match="truncated"):
        decode(payload[: len(payload) // 2])


@pytest.mark.parametrize("mode, kind", [("1", "pbm"), ("L", "pgm"), ("RGB", "ppm")])
def test_netpbm_is_read_as_pillow_reads_it(mode, kind):
    image = Image.fromarray(
        np.random.RandomState(0).randint(0, 256, (11, 13, 3)).astype(np.uint8)
    ).convert(mode)
    data = io.BytesIO()
    image.save(data, "PPM")
    np.testing.assert_array_equal(decode(data.getvalue()), np.asarray(image.convert("RGB")))


def test_a_bitmap_of_digits_is_black_at_one():
    for digits in (b"0 1 1\n1 0 0\n", b"011100"):
        np.testing.assert_array_equal(
            decode(b"P1\n3 2\n" + digits)[..., 0], [[255, 0, 0], [0, 255, 255]]
        )


NONSENSE = (
    b"P5\n2 1\n9\n\x0a\0",
    b"P5\n0 1\n9\n",
    b"P5\n1 1\n0\n\0",
    b"P5\n1 1\n65536\n\0\0",
    b"P2\n1 1\n9\n-1\n",
)


@pytest.mark.parametrize("payload", NONSENSE)
def test_netpbm_that_makes_no_sense_is_an_error(payload):
    with pytest.raises(ValueError):
        decode(payload)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int32])
def test_tiffs_of_numbers_whose_range_is_unknown_are_refused(kind):
    payload = cv2.imencode(".tif", RAMP.astype(kind))[1].tobytes()
    with pytest.raises(ValueError, match="save it with 8 bits"):
        decode(payload)


def test_sixteen_bits_become_their_upper_eight():
    for extension in (".png", ".tif"):
        payload = cv2.imencode(extension, RAMP.astype(np.uint16) << 8 | 0x80)[1].tobytes()
        np.testing.assert_array_equal(decode(payload)[..., 0], RAMP)


def png_of(width, height):
    """A PNG of one black bit for each pixel, as small as they come."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = zlib.compress(bytes((1 + -(-width // 8)) * height), 9)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return formats.PNG + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def with_size(payload, place, form, *size):
    return payload[:place] + struct.pack(form, *size) + payload[place + struct.calcsize(form) :]


def progressive(width, height):
    payload = cv2.imencode(
        ".jpg", np.zeros((16, 16, 3), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
    )[1].tobytes()
    return with_size(payload, payload.index(b"\xff\xc2") + 5, ">HH", height, width)


BOMBS = {
    "png": png_of(16000, 16000),
    "progressive jpeg": progressive(16000, 16000),
    "bmp": with_size(saved("BMP"), 18, "<ii", 16000, -16000),
    "webp": with_size(
        saved("WEBP", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0"), 24, "<HBHB", 15999, 0, 15999, 0
    ),
    "tiff": b"II*\0\x08\0\0\0\x02\0" + struct.pack("<HHIIHHII", 256, 4, 1, 16000, 257, 4, 1, 16000),
    "tile": b"II*\0\x08\0\0\0\x04\0"
    + b"".join(
        struct.pack("<HHII", tag, 4, 1, size)
        for tag, size in ((256, 9), (257, 9), (322, 16000), (323, 16000))
    ),
    "pgm": b"P5\n16000 16000\n255\n",
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_small_file_that_announces_a_large_image_is_refused_before_it_takes_memory(kind):
    assert len(BOMBS[kind]) < 40000
    with pytest.raises(
        ValueError, match=r"16000 x 16000 pixels.*pixels are decoded.*scale it down"
    ):
        decode(BOMBS[kind])


def test_what_small_files_may_hold_takes_less_than_half_a_gigabyte():
    code = (
        "import resource, sys; from gluon_tricks.data.decode import decode\n"
        "import cv2, numpy, simplejpeg\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for payload in sys.stdin.buffer.read().split(b'=====next'):\n"
        "    try: decode(payload)\n"
        "    except ValueError: pass\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)\n"
    )
    payloads = b"=====next".join([png_of(4000, 4000), progressive(4000, 4000)])
    done = subprocess.run(
        [sys.executable, "-c", code], input=payloads, stdout=subprocess.PIPE, check=True
    )
    assert int(done.stdout) < 500


def test_the_limit_does_not_stop_a_large_photograph():
    # 200 million pixels, as telephones take them
    decoding.check_size(12240, 16320, bytes(4_000_000))
    with pytest.raises(ValueError, match="never more than 268,435,456"):
        decoding.check_size(20000, 20000, bytes(40_000_000))


def test_a_jpeg_of_endless_scans_is_refused():
    payload = cv2.imencode(
        ".jpg", np.zeros((16, 16, 3), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
    )[1].tobytes()
    last = payload.rindex(b"\xff\xda")
    with pytest.raises(ValueError, match="more than 100 scans"):
        decode(payload[:-2] + payload[last:-2] * 200 + payload[-2:])


def test_a_header_is_none_of_what_begins_alike():
    assert (
        pnm.header(b"P5") is None
        and pnm.header(b"P6\n1 1\n") is None
        and pnm.header(b"PNG") is None
    )
    assert pnm.header(b"P6 1 2 3\n") == (6, 2, 1, 3, 9)
