"""The form in which images are stored: what can stay stays, and all readers see the same pixels."""

import io
import struct

import cv2
import mxnet as mx
import numpy as np
import pytest
import simplejpeg
from PIL import Image, ImageOps

from gluon_tricks.data.decode import decode
from gluon_tricks.data.prepare.images import encode_jpeg, exif_orientation, normal_form, turn
from gluon_tricks.data.records import RecordWriter, index_path_of


def picture(height=48, width=64, seed=0):
    small = np.random.RandomState(seed).randint(0, 255, (6, 8, 3)).astype(np.uint8)
    return np.ascontiguousarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC))


def with_orientation(data, orientation, order=">"):
    """The JPEG with an EXIF block of one entry."""
    entries = struct.pack(order + "HHHIHH", 1, 0x0112, 3, 1, orientation, 0) + bytes(4)
    tiff = (b"MM" if order == ">" else b"II") + struct.pack(order + "HI", 42, 8) + entries
    block = b"Exif\0\0" + tiff
    return data[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(block)) + block + data[2:]


def seen_by_image_record_iter(tmp_path, data):
    path = str(tmp_path / "one.rec")
    with RecordWriter(path) as writer:
        writer.write(0, 0.0, data)
    height, width = decode(data).shape[:2]
    batches = mx.io.ImageRecordIter(
        path_imgrec=path,
        path_imgidx=index_path_of(path),
        data_shape=(3, height, width),
        batch_size=1,
    )
    return batches.next().data[0].asnumpy()[0].transpose(1, 2, 0)


def grey_jpeg():
    return simplejpeg.encode_jpeg(picture()[:, :, :1].copy(), 90, "GRAY", "Gray")


def cmyk_jpeg(image):
    """As Adobe writes them: the inks inverted, full black ink where there is none."""
    inks = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
    return simplejpeg.encode_jpeg(np.ascontiguousarray(inks), 95, "CMYK", "444")


def progressive_jpeg():
    done, data = cv2.imencode(".jpg", picture(), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    return data.tobytes()


@pytest.mark.parametrize(
    "data",
    [encode_jpeg(picture()), grey_jpeg(), progressive_jpeg()],
    ids=["rgb", "grey", "progressive"],
)
def test_sound_jpegs_stay_as_they_are_to_the_byte(data):
    assert normal_form(data) == (data, "kept")
    assert normal_form(data, short_side=48) == (data, "kept")


def test_png_stays_if_asked_for_and_else_becomes_a_jpeg_of_the_same_picture():
    data = cv2.imencode(".png", picture())[1].tobytes()
    assert normal_form(data) == (data, "kept")
    coded, form = normal_form(data, keep_png=False)
    assert form == "png" and coded[:2] == b"\xff\xd8"
    assert np.abs(decode(coded).astype(int) - decode(data)).mean() < 3


def test_other_formats_become_jpegs():
    data = cv2.imencode(".bmp", picture())[1].tobytes()
    coded, form = normal_form(data)
    assert form == "other" and np.abs(decode(coded).astype(int) - picture()[:, :, ::-1]).mean() < 3


def test_cmyk_becomes_rgb_of_the_same_picture():
    coded, form = normal_form(cmyk_jpeg(picture()))
    assert form == "cmyk" and simplejpeg.decode_jpeg_header(coded)[2] == "YCbCr"
    assert np.abs(decode(coded).astype(int) - picture()).mean() < 4


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_as_opencv_turns_them(orientation, order):
    data = with_orientation(encode_jpeg(picture()), orientation, order)
    upright = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    assert exif_orientation(data) == orientation
    np.testing.assert_allclose(turn(decode(data), orientation).astype(int), upright, atol=1)
    coded, form = normal_form(data)
    assert form == ("kept" if orientation == 1 else "turned")
    assert np.abs(decode(coded).astype(int) - upright).mean() < 3


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_other_formats_are_turned_as_pillow_turns_them(kind, orientation):
    exif, data = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    Image.fromarray(picture()).save(
        data, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {})
    )
    upright = np.asarray(ImageOps.exif_transpose(Image.open(data)).convert("RGB"))
    coded, form = normal_form(data.getvalue())
    assert form == (
        "other"
        if kind == "TIFF"
        else "turned"
        if orientation > 1
        else "kept"
        if kind == "PNG"
        else "other"
    )
    assert np.abs(decode(coded).astype(int) - upright).mean() < 3


def test_image_record_iter_and_our_decoder_agree_on_every_form(tmp_path):
    turned = with_orientation(encode_jpeg(picture()), 6)
    for data in (
        encode_jpeg(picture()),
        grey_jpeg(),
        cmyk_jpeg(picture()),
        turned,
        progressive_jpeg(),
    ):
        coded, _ = normal_form(data)
        difference = np.abs(seen_by_image_record_iter(tmp_path, coded) - decode(coded))
        assert difference.mean() < 0.5 and difference.max() < 20  # two versions of libjpeg-turbo


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xd8", b"\xff\xd8\xff\xe1\0", b"\xff\xd8\xff\xe1\0\x20Exif\0\0MM", bytes(99)],
)
def test_an_orientation_that_makes_no_sense_is_upright(data):
    assert exif_orientation(data) == 1
    jpeg = encode_jpeg(picture())
    assert exif_orientation(with_orientation(jpeg, 9)) == exif_orientation(jpeg) == 1


def test_a_jpeg_without_its_end_marker_gets_it_and_nothing_else_changes():
    data = encode_jpeg(picture())
    assert normal_form(data[:-2]) == (data, "ended")


def test_stray_bytes_are_taken_out_and_nothing_else_changes():
    data = progressive_jpeg()
    second_scan = data.index(b"\xff\xc4", data.index(b"\xff\xda"))
    coded, form = normal_form(data[:second_scan] + b"\1\2\3" + data[second_scan:])
    assert form == "cleaned"
    np.testing.assert_array_equal(decode(coded), decode(data))


def test_odd_sampling_of_the_colours_is_coded_again():
    # A picture of one grey, whose blocks are a few bits each, so that the factors can be exchanged
    # by hand.
    plain = simplejpeg.encode_jpeg(np.full((16, 16, 3), 128, np.uint8), 90, "RGB", "444")
    head = bytearray(plain[: plain.index(b"\xff\xda") + 14])
    head[plain.index(b"\xff\xc0") + 14] = 0x21  # Cb twice as wide as Y and Cr
    bits = "001010" + "0000" * 2 + "0000"  # one block of Y, two of Cb, one of Cr, two times
    data = bytes(head) + int((bits * 2).ljust(40, "1"), 2).to_bytes(5, "big") + b"\xff\xd9"
    coded, form = normal_form(data)
    assert form == "resampled"
    np.testing.assert_array_equal(decode(coded), 128)
    with pytest.raises(ValueError, match="truncated"):
        normal_form(data[:-3])


def test_damaged_images_are_errors():
    data, png = encode_jpeg(picture()), cv2.imencode(".png", picture())[1].tobytes()
    for damaged in (
        data[:-40],
        data[: len(data) // 2],
        data[:-40] + b"\xff\xd9",
        data[:20],
        b"",
        b"text",
        png[:-20],
    ):
        with pytest.raises(ValueError):
            normal_form(damaged)


@pytest.mark.parametrize(
    "height, width, expected",
    [(480, 640, (240, 320)), (640, 480, (320, 240)), (480, 480, (240, 240)), (240, 999, None)],
)
def test_the_shorter_side_is_scaled_and_nothing_is_enlarged(height, width, expected):
    data = encode_jpeg(picture(height, width))
    coded, form = normal_form(data, short_side=240, quality=95)
    if expected is None:
        assert (coded, form) == (data, "kept")
        return
    assert form == "resized" and decode(coded).shape[:2] == expected
    # a scale of exactly 2
    mean = decode(data).reshape(expected[0], 2, expected[1], 2, 3).mean(axis=(1, 3))
    assert np.abs(decode(coded) - mean).mean() < 4


def test_quality_is_obeyed():
    data = encode_jpeg(picture(480, 640))
    assert len(normal_form(data, 240, 30)[0]) < len(normal_form(data, 240, 90)[0])
