"""Encoded image -> RGB bytes, or ValueError: never a picture that is only half there.

JPEGs go through libjpeg-turbo, whose warnings (a file that ends early, a broken Huffman code) are errors
here: OpenCV fills the missing part with grey and says nothing. JPEGs whose colours are sampled in a way that
TurboJPEG's interface does not know, and other formats, go through OpenCV; what it would let pass is found by
the JPEG's end mark, and by the checksums inside a PNG.
"""

import math
import re
import struct
import zlib

import numpy as np

# A damaged header can announce 65,535 x 65,535 pixels, 12 GB of memory. ImageNet's largest image has 61
# million.
MOST_PIXELS = 1 << 28

JPEG = b"\xff\xd8\xff"
JPEG_END, JPEG_SCAN = b"\xff\xd9", b"\xff\xda"
SEQUENTIAL_FRAMES, RESTART_INTERVAL = (0xC0, 0xC1), 0xDD  # markers of segments
BLOCK_ROWS = 16  # the most rows that a JPEG codes as one unit
# What libjpeg-turbo says of a JPEG that goes on below the height in its header and is sound so far: of several
# warnings it keeps the first, and of a file that is truncated it first says so.
GOES_ON = re.compile(r"Corrupt JPEG data: \d+ extraneous bytes before marker 0xd9")
PNG = b"\x89PNG\r\n\x1a\n"


class Scratch:
    """Memory that is used again for every image of one thread; fresh pages cost a third of the decoding
    time."""

    def __init__(self):
        self._blocks, self._arrays = {}, {}

    def array(self, name, shape, dtype=np.uint8):
        """An uninitialised array; it lasts until the next one of this name is asked for."""
        held = self._arrays.get((name, dtype))
        if held is not None and held.shape == shape:
            return held
        count = math.prod(shape)
        block = self._blocks.get((name, dtype))
        if block is None or block.size < count:
            block = self._blocks[name, dtype] = np.empty(count, dtype)
        array = self._arrays[name, dtype] = block[:count].reshape(shape)
        return array


def decode(payload, scratch=None):
    """RGB ``(height, width, 3)`` uint8 of an encoded image of any kind; ValueError when it is damaged.

    Grey becomes RGB, CMYK (Adobe's inverted form, as in ImageNet) is converted, alpha is dropped, 16 bits
    become 8. EXIF's orientation is not applied, as in mx.image.imdecode; ImageRecordIter applies it. With
    ``scratch`` the result is in its memory.
    """
    scratch = scratch or Scratch()
    if payload[:3] == JPEG:
        return _decode_jpeg(payload, jpeg_header(payload), scratch)
    return _decode_other(payload)


def decode_crop(payload, choose, scratch=None):
    """The part of :func:`decode`'s image that ``choose(height, width) -> (y, x, height, width)`` names.

    The same pixels. A JPEG whose data are in one scan is decoded no further down than the part reaches:
    damage below goes unseen, but a missing end does not.
    """
    scratch = scratch or Scratch()
    if payload[:3] == JPEG:
        header = jpeg_header(payload)
        y, x, height, width = choose(*header[:2])
        picture = _decode_upper_rows(payload, header, y + height, scratch)
        if picture is None:
            picture = _decode_jpeg(payload, header, scratch)
    else:
        picture = _decode_other(payload)
        y, x, height, width = choose(*picture.shape[:2])
    return picture[y : y + height, x : x + width]


def _decode_upper_rows(payload, header, rows, scratch):
    """At least so many rows of a JPEG, or None where only the whole can tell them or what is wrong.

    With a smaller height in its header libjpeg-turbo stops there, and warns that the data go on. An eighth of
    an image's rows lie below a random crop.
    """
    import simplejpeg

    height, width, colorspace = header
    _check_size(height, width)
    # The chroma of the last row is smoothed with the row below, so that one has to be there.
    rows = -(-(rows + 1) // BLOCK_ROWS) * BLOCK_ROWS
    if rows >= height or colorspace not in ("YCbCr", "Gray", "RGB"):
        return None
    place = _place_of_height(payload)
    if place is None:
        return None
    shortened = payload[:place] + struct.pack(">H", rows) + payload[place + 2 :]
    picture = scratch.array("decoded", (rows, width, 3))
    try:
        simplejpeg.decode_jpeg(shortened, "RGB", buffer=picture)
    except ValueError as error:
        if not GOES_ON.fullmatch(str(error)):
            return None
    return picture


def _place_of_height(payload):
    """Where a JPEG's header says its height, or None unless its data is one scan without restart marks."""
    place = end = None
    for marker, start, end in jpeg_segments(payload):
        if marker in SEQUENTIAL_FRAMES:
            place = start + 1
        elif marker == RESTART_INTERVAL:
            return None
    if place is None or payload[end : end + 2] != JPEG_SCAN:
        return None
    in_image, in_scan = payload[place + 4 : place + 5], payload[end + 4 : end + 5]  # components
    return place if in_image == in_scan else None


def _decode_jpeg(payload, header, scratch):
    import simplejpeg

    height, width, colorspace = header
    _check_size(height, width)
    if colorspace is None:
        return _decode_unknown_sampling(payload)
    if colorspace in ("CMYK", "YCCK"):
        inks = simplejpeg.decode_jpeg(payload, "CMYK").astype(np.uint16)
        return ((inks[..., :3] * inks[..., 3:] + 127) // 255).astype(np.uint8)
    return simplejpeg.decode_jpeg(payload, "RGB", buffer=scratch.array("decoded", (height, width, 3)))


def jpeg_header(payload):
    """``(height, width, colour space)`` of a JPEG; ValueError when its header is damaged.

    The colour space is None where simplejpeg does not know how the colours are sampled: 4:1:0 and 4:4:1, luma
    2x2 with chroma of unequal factors, chroma finer than luma, and the like.
    """
    import simplejpeg

    try:
        return simplejpeg.decode_jpeg_header(payload)[:3]
    except KeyError:  # 4:4:1, which TurboJPEG knows by now, and simplejpeg has no name for
        pass
    except ValueError as error:
        if "subsampling level" not in str(error):
            raise
    for marker, start, end in jpeg_segments(payload):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and end - start >= 5:  # a frame's header
            return (*struct.unpack_from(">xHH", payload, start), None)
    raise ValueError("damaged JPEG: no frame")


def jpeg_segments(payload):
    """Yields ``(marker, start, end)`` of each whole segment before a JPEG's image data, up to a damaged one."""
    place = 2
    while place + 4 <= len(payload) and payload[place] == 0xFF and payload[place + 1] != JPEG_SCAN[1]:
        marker, length = struct.unpack_from(">xBH", payload, place)
        start, place = place + 4, place + 2 + length
        if place <= len(payload):
            yield marker, start, place


def _decode_unknown_sampling(payload):
    """OpenCV decodes these, also where a part is missing. So their end mark has to be there.

    In the data of a scan the mark's two bytes cannot occur; before them they may, in EXIF's small picture.
    """
    if payload.rfind(JPEG_END) < payload.rfind(JPEG_SCAN):
        raise ValueError("truncated JPEG (and its colours are sampled in an uncommon way)")
    return _decode_other(payload)


def _decode_other(payload):
    import cv2

    if payload[:8] == PNG:
        _check_png(payload)
    try:
        image = cv2.imdecode(
            np.frombuffer(payload, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except cv2.error as error:
        raise ValueError(error.err or "OpenCV cannot decode it") from None
    if image is None:
        raise ValueError("is no image that OpenCV can decode ({} bytes)".format(len(payload)))
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


def _check_size(height, width):
    if height * width > MOST_PIXELS:
        raise ValueError("says it has {} x {} pixels".format(width, height))


def _check_png(payload):
    """Walk the chunks: each is there as a whole and has the right checksum, and the last one ends the
    image."""
    place, kind = 8, b""
    while kind != b"IEND":
        if place + 12 > len(payload):
            raise ValueError("truncated PNG")
        length, kind = struct.unpack_from(">I4s", payload, place)
        end = place + 12 + length
        if (
            end > len(payload)
            or zlib.crc32(payload[place + 4 : end - 4]) != struct.unpack_from(">I", payload, end - 4)[0]
        ):
            raise ValueError("damaged PNG: chunk {!r} at byte {}".format(kind, place))
        if kind == b"IHDR":
            _check_size(*reversed(struct.unpack_from(">II", payload, place + 8)))
        place = end
