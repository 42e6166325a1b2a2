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

from . import jpeg

# A damaged header can announce 65,535 x 65,535 pixels, 12 GB of memory. ImageNet's largest image has 61
# million.
MOST_PIXELS = 1 << 28

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
    if payload[:3] == jpeg.BEGIN:
        return _decode_jpeg(payload, jpeg_header(payload), scratch)
    return _decode_other(payload)


def decode_crop(payload, choose, scratch=None):
    """The part of :func:`decode`'s image that ``choose(height, width) -> (y, x, height, width)`` names.

    The same pixels. Of a JPEG whose data are in one scan, only the pieces between restart marks that the part
    touches are decoded or, where it has no marks, the rows down to the part's last: damage elsewhere goes
    unseen, but a missing end does not.
    """
    scratch = scratch or Scratch()
    if payload[:3] == jpeg.BEGIN:
        header = jpeg_header(payload)
        crop = choose(*header[:2])
        part = _decode_window(payload, header, crop, scratch)
        picture, top, left = part or (_decode_jpeg(payload, header, scratch), 0, 0)
    else:
        picture, top, left = _decode_other(payload), 0, 0
        crop = choose(*picture.shape[:2])
    y, x, height, width = crop
    return picture[y - top : y - top + height, x - left : x - left + width]


def _decode_window(payload, header, crop, scratch):
    """``(picture, top, left)``: a part of a JPEG that holds the crop, and where the part begins.

    None where only the whole can tell the crop, or what is wrong.
    """
    import simplejpeg

    height, width, colorspace = header
    _check_size(height, width)
    scan = jpeg.one_scan(payload) if colorspace in ("YCbCr", "Gray", "RGB") else None
    window = scan and jpeg.window(payload, scan, *crop)
    if not window:
        return None
    picture = scratch.array("decoded", (window.height, window.width, 3))
    try:
        simplejpeg.decode_jpeg(window.payload, "RGB", buffer=picture)
    except ValueError as error:
        if scan.interval or not GOES_ON.fullmatch(str(error)):
            return None
    return picture, window.top, window.left


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
    for marker, start, end in jpeg.segments(payload):
        if marker in jpeg.FRAMES and end - start >= 5:
            return (*struct.unpack_from(">xHH", payload, start), None)
    raise ValueError("damaged JPEG: no frame")


def _decode_unknown_sampling(payload):
    """OpenCV decodes these, also where a part is missing. So their end mark has to be there.

    In the data of a scan the mark's two bytes cannot occur; before them they may, in EXIF's small picture.
    """
    if payload.rfind(jpeg.END) < payload.rfind(jpeg.SCAN):
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
