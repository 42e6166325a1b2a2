"""Masks as PIL sees them, and what ``records verify`` finds in a file of them."""

import io
import json
import struct

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from gluon_tricks import cli
from gluon_tricks.data import png
from gluon_tricks.data.mask_files import IGNORED, first_strange, mask_path_of
from gluon_tricks.data.prepare.images import encode_png
from gluon_tricks.data.prepare.mask_numbers import numbers_in
from gluon_tricks.data.records import RecordWriter


def by_pil(pixels, mode, **options):
    """PNG bytes that PIL writes of numbers."""
    image = Image.fromarray(pixels, "L")
    if mode == "P":
        image = image.copy()
        image.putpalette(np.random.RandomState(0).randint(0, 256, 768).tolist())
    data = io.BytesIO()
    image.save(data, "png", **options)
    return data.getvalue()


@pytest.mark.parametrize("mode, bits", [("L", 8), ("P", 8), ("P", 4), ("P", 2), ("P", 1)])
def test_a_mask_is_the_numbers_that_pil_wrote(mode, bits):
    pixels = np.random.RandomState(bits).randint(0, 2**bits, (13, 21)).astype(np.uint8)
    options = dict(bits=bits) if mode == "P" else {}
    for more in ({}, dict(transparency=0)):
        data = by_pil(pixels, mode, **options, **more)
        assert png.HEADER.unpack(next(png.chunks(data))[1])[2] == bits
        np.testing.assert_array_equal(numbers_in(data), pixels)


def test_black_and_white_of_one_bit_are_0_and_1():
    pixels = np.random.RandomState(0).randint(0, 2, (9, 11)).astype(bool)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "png")
    np.testing.assert_array_equal(numbers_in(data.getvalue()), pixels)


def other_png(array):
    data = io.BytesIO()
    Image.fromarray(array).save(data, "png")
    return data.getvalue()


def huge():
    """A PNG whose header says more pixels than are decoded."""
    header = png.HEADER.pack(60000, 60000, 8, 0, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", b""), (b"IEND", b"")
    return png.SIGNATURE + b"".join(png.chunk(*part) for part in parts)


def flipped(data, place):
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


GOOD = encode_png(np.zeros((5, 4), np.uint8))


@pytest.mark.parametrize(
    "data, said",
    [
        (other_png(np.zeros((5, 4, 3), np.uint8)), "is a colour PNG"),
        (other_png(np.zeros((5, 4), np.uint16)), "has 16 bits a pixel"),
        (simplejpeg.encode_jpeg(np.zeros((8, 8, 3), np.uint8)), "is not a PNG"),
        (GOOD[:-5], "truncated PNG"),
        (flipped(GOOD, 45), "damaged PNG"),
        (GOOD[:8] + GOOD[33:], "damaged PNG"),
        (GOOD[:33] + GOOD[8:], "damaged PNG"),  # two headers
        (GOOD[:8] + png.chunk(b"IHDR", GOOD[16:28]) + GOOD[33:], "damaged PNG"),  # a short one
        (huge(), "announces 60000 x 60000 pixels"),
        (b"", "is not a PNG"),
    ],
)
def test_what_is_no_mask_is_refused(data, said):
    with pytest.raises(ValueError, match=said):
        numbers_in(data)


def test_the_first_strange_value_is_named_with_its_place():
    mask = np.array([[0, 4, IGNORED], [2, 5, 7]], np.uint8)
    assert first_strange(mask, 8) == ""
    assert first_strange(mask, 5) == "the pixel in row 1, column 1 has the value 5"


def write_pair(folder, masks, images=4, size=(6, 9)):
    """Files of so many images and of these masks ``{key: array or bytes}``; 3 classes."""
    (folder / "labels.txt").write_text("a\nb\nc\n")
    path = str(folder / "train.rec")
    with RecordWriter(path) as writer:
        for key in range(images):
            picture = np.full((*size, 3), 40 * key, np.uint8)
            writer.write(key, 0, encode_png(picture) if key else simplejpeg.encode_jpeg(picture))
    with RecordWriter(mask_path_of(path)) as writer:
        for key, mask in masks.items():
            writer.write(key, 0, mask if isinstance(mask, bytes) else encode_png(mask))
    return path


def sound(key, size=(6, 9)):
    mask = np.random.RandomState(key).randint(0, 3, size).astype(np.uint8)
    mask[0] = IGNORED
    return mask


def verify(path, folder, *flags):
    """The exit code, and {file name: problems}."""
    report = str(folder / "report.json")
    code = cli.main(["records", "verify", path, "--json", report, *flags])
    with open(report) as file:
        return code, {entry["path"].rsplit("/")[-1]: entry["problems"] for entry in json.load(file)}


def test_verify_reads_masks_with_their_images(tmp_path):
    path = write_pair(tmp_path, {key: sound(key) for key in range(4)})
    assert verify(path, tmp_path) == (0, {"train.rec": [], "train.mask.rec": []})
    assert verify(mask_path_of(path), tmp_path) == (0, {"train.mask.rec": []})


@pytest.mark.parametrize(
    "key, mask, said",
    [
        (2, sound(2, (9, 6)), "has 6 x 9 pixels, and its image has 9 x 6"),
        (0, sound(2, (6, 8)), "has 8 x 6 pixels, and its image has 9 x 6"),
        (1, np.full((6, 9), 3, np.uint8), "row 0, column 0 has the value 3, and there are 3 cl"),
        (3, encode_png(np.zeros((6, 9, 3), np.uint8)), "has to be a PNG of 8-bit grey"),
        (3, by_pil(sound(3), "P"), "has to be a PNG of 8-bit grey"),
        (3, None, "the image has no mask"),
        (9, sound(9), "the mask has no image"),
    ],
)
def test_verify_names_the_key_of_what_is_wrong(tmp_path, key, mask, said):
    masks = {key: sound(key) for key in range(4)}
    masks[key] = mask
    path = write_pair(tmp_path, {key: mask for key, mask in masks.items() if mask is not None})
    code, found = verify(path, tmp_path)
    assert code == 1 and found["train.rec"] == []
    ((problem),) = found["train.mask.rec"]
    assert problem["key"] == key and said in problem["problem"]


def test_the_number_of_classes_is_that_of_the_flag_or_of_labels_txt(tmp_path):
    path = write_pair(tmp_path, {key: sound(key) for key in range(4)})
    code, found = verify(path, tmp_path, "--classes", "2")
    assert code == 1 and len(found["train.mask.rec"]) == 4
    (tmp_path / "labels.txt").unlink()
    assert verify(path, tmp_path)[0] == 0


def test_masks_without_a_file_of_images_are_an_error(tmp_path, capsys):
    path = write_pair(tmp_path, {0: sound(0)})
    (tmp_path / "train.rec").unlink()
    assert cli.main(["records", "verify", mask_path_of(path)]) == 2
    assert "train.rec" in capsys.readouterr().err


def test_masks_that_were_prepared_and_are_gone_are_said(tmp_path, capsys):
    path = write_pair(tmp_path, {0: sound(0)})
    (tmp_path / "train.mask.rec").unlink()
    assert cli.main(["records", "verify", path]) == 0  # it may be a file without masks
    manifest = {"splits": {"train": {}, "train.mask": {"records": 1}}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert cli.main(["records", "verify", path]) == 2
    assert "train.mask.rec: cannot be read" in capsys.readouterr().err


def test_chunks_are_those_of_the_format():
    data = by_pil(np.zeros((3, 4), np.uint8), "P")
    kinds = [kind for kind, _ in png.chunks(data)]
    assert kinds[:2] == [b"IHDR", b"PLTE"] and kinds[-1] == b"IEND"
    again = png.SIGNATURE + b"".join(png.chunk(*part) for part in png.chunks(data))
    assert again == data
    assert struct.unpack(">II", data[16:24]) == (4, 3)
