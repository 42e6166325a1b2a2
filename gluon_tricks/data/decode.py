"""Encoded image -> RGB bytes, or ValueError: never half a picture.

JPEGs go through libjpeg-turbo, whose warnings (a file that ends early, a broken Huffman code) are
errors here: OpenCV silently fills the missing part with grey. JPEGs whose colours are sampled in a
way that TurboJPEG's interface does not know, and other formats, go through OpenCV; the damage that
it accepts is found by the JPEG's end marker, and by the checksums inside a PNG.
"""

import math
import re
import struct

import numpy as np

from . import formats, jpeg, png, pnm
from .formats import PNG

# A header can announce 65,535 x 65,535 pixels, 12 GB of memory, in a few bytes. ImageNet's largest
# image has 61 million pixels; a photograph has less than 50 a byte, a JPEG of one colour up to 340.
MOST_PIXELS = 1 << 28
PIXELS_OF_ANY, PIXELS_PER_BYTE = 1 << 24, 512
# of a JPEG; common progressive ones have 10, and each is a pass over the whole image
MOST_SCANS = 100

GREY_OF_8_BITS = b"\x08\x00"  # bits and colour type in a PNG's header

# libjpeg-turbo's warning about a JPEG that continues below the height in its header, and is sound
# so far: it keeps the first of several warnings, and that of a truncated file would be another.
GOES_ON = re.compile(r"Corrupt JPEG data: \d+ extraneous bytes before marker 0xd9")


class Scratch:
    """Memory that a thread reuses for every image; fresh pages cost a third of the decoding
    time.
    """

    def __init__(self):
        self._blocks, self._arrays = {}, {}

    def array(self, name, shape, dtype=np.uint8):
        """An uninitialised array, valid until the next request for this name."""
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
    """RGB ``(height, width, 3)`` uint8 of an encoded image; ValueError when it is damaged, or too
    large.

    JPEG, PNG, BMP, WebP, TIFF, PPM, PGM and PBM. Grey becomes RGB, CMYK (Adobe's inverted form, as
    in ImageNet) is converted, alpha is dropped, 16-bit values keep their upper 8 bits. EXIF's
    orientation is not applied, as in mx.image.imdecode; ImageRecordIter applies it. With
    ``scratch`` the result is in its memory.
    """
    scratch = scratch or Scratch()
    if payload[:3] == jpeg.BEGIN:
        return _decode_jpeg(payload, *_parsed(payload), scratch)
    return _decode_other(payload)


def size_of(payload):
    """``(height, width)`` that an encoded image announces; ValueError if its header is damaged."""
    if payload[:3] == jpeg.BEGIN:
        return jpeg_header(payload)[:2]
    plain = pnm.header(payload)
    if plain:
        return plain.height, plain.width
    if payload[:8] == PNG and len(payload) > 24:
        return tuple(reversed(struct.unpack_from(">II", payload, 16)))
    return formats.sizes(payload)[0]


def decode_mask(payload):
    """uint8 ``(height, width)`` of a mask: a PNG of 8-bit grey, whose values are classes. EXIF's
    orientation is not applied, as in :func:`decode`.

    ValueError if it is damaged, too large or another image, whose values could be anything.
    """
    import cv2

    if payload[:8] != PNG:
        raise ValueError("a mask has to be a PNG")
    _check_png(payload)
    if payload[24:26] != GREY_OF_8_BITS:
        raise ValueError("a mask has to be a PNG of 8-bit grey without a palette")
    as_stored = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION
    mask = cv2.imdecode(np.frombuffer(payload, np.uint8), as_stored)
    if mask is None:
        raise ValueError(f"damaged: OpenCV cannot decode it ({len(payload)} bytes)")
    return mask


def decode_crop(payload, choose, scratch=None):
    """The part of :func:`decode`'s image that ``choose(height, width) -> (y, x, height, width)``
    names.

    The pixels are the same. Of a JPEG whose data are in one scan, only the intervals between
    restart markers that the part touches are decoded or, without markers, the rows down to the
    part's last. Damage elsewhere goes unnoticed, but a missing end does not.
    """
    scratch = scratch or Scratch()
    if payload[:3] == jpeg.BEGIN:
        header, scan = _parsed(payload)
        crop = choose(*header[:2])
        part = _decode_window(payload, header, scan, crop, scratch)
        picture, top, left = part or (_decode_jpeg(payload, header, scan, scratch), 0, 0)
    else:
        picture, top, left = _decode_other(payload), 0, 0
        crop = choose(*picture.shape[:2])
    y, x, height, width = crop
    return picture[y - top : y - top + height, x - left : x - left + width]


def _parsed(payload):
    """A JPEG's :func:`jpeg_header` and :func:`.jpeg.one_scan`; ValueError if it is too large."""
    header = jpeg_header(payload)
    check_size(header[0], header[1], payload)
    return header, jpeg.one_scan(payload)


def _decode_window(payload, header, scan, crop, scratch):
    """``(picture, top, left)``: a part of a JPEG that holds the crop, and where the part begins.

    None if the whole has to be decoded, for the crop or to find what is wrong.
    """
    import simplejpeg

    known = header[2] in ("YCbCr", "Gray", "RGB")
    window = jpeg.window(payload, scan, *crop) if scan and known else None
    if not window:
        return None
    picture = scratch.array("decoded", (window.height, window.width, 3))
    try:
        simplejpeg.decode_jpeg(window.payload, "RGB", buffer=picture)
    except ValueError as error:
        if scan.interval or not GOES_ON.fullmatch(str(error)):
            return None
    return picture, window.top, window.left


def _decode_jpeg(payload, header, scan, scratch):
    import simplejpeg

    height, width, colorspace = header
    if scan is None and payload.count(jpeg.SCAN) > MOST_SCANS:
        raise ValueError(f"a JPEG of more than {MOST_SCANS} scans: damaged, or save it again")
    if colorspace is None:
        return _decode_unknown_sampling(payload)
    if colorspace in ("CMYK", "YCCK"):
        return _without_black(simplejpeg.decode_jpeg(payload, "CMYK"))
    return simplejpeg.decode_jpeg(
        payload, "RGB", buffer=scratch.array("decoded", (height, width, 3))
    )


def jpeg_header(payload):
    """``(height, width, colour space)`` of a JPEG; ValueError when its header is damaged.

    The colour space is None if simplejpeg does not know how the colours are sampled: 4:1:0 and
    4:4:1, luma 2x2 with chroma of unequal factors, chroma finer than luma, and the like.
    """
    import simplejpeg

    try:
        return simplejpeg.decode_jpeg_header(payload)[:3]
    except KeyError:  # 4:4:1, which newer TurboJPEGs know, but simplejpeg has no name for
        pass
    except ValueError as error:
        if "subsampling level" not in str(error):
            raise
    for marker, start, end in jpeg.segments(payload):
        if marker in jpeg.FRAMES and end - start >= 5:
            return (*struct.unpack_from(">xHH", payload, start), None)
    raise ValueError("damaged JPEG: no frame")


def _without_black(inks):
    """RGB of CMYK in Adobe's inverted form, some rows at a time, so that intermediate arrays are
    small.
    """
    picture = np.empty((*inks.shape[:2], 3), np.uint8)
    for row in range(0, len(inks), 64):
        part = inks[row : row + 64].astype(np.uint16)
        picture[row : row + 64] = (part[..., :3] * part[..., 3:] + 127) // 255
    return picture


def _decode_unknown_sampling(payload):
    """OpenCV decodes these even if a part is missing, so the end marker has to be there.

    Its two bytes cannot occur in the data of a scan, but may before them, in EXIF's thumbnail.
    """
    if payload.rfind(jpeg.END) < payload.rfind(jpeg.SCAN):
        raise ValueError("truncated JPEG (and its colours are sampled in an uncommon way)")
    return _by_opencv(payload)


def _decode_other(payload):
    plain = pnm.header(payload)
    if plain:
        check_size(plain.height, plain.width, payload)
        return pnm.decode(payload, plain)
    if payload[:8] == PNG:
        _check_png(payload)
    else:
        for height, width in formats.sizes(payload):
            check_size(height, width, payload)
    return _by_opencv(payload)


def _by_opencv(payload):
    import cv2

    cv2.setLogLevel(0)  # else it prints its own lines about errors
    try:
        image = cv2.imdecode(
            np.frombuffer(payload, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except cv2.error as error:
        raise ValueError(error.err or "OpenCV cannot decode it") from None
    if image is None:
        raise ValueError(f"damaged: OpenCV cannot decode it ({len(payload)} bytes)")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


def check_size(height, width, payload):
    """ValueError if an image has too many pixels to be decoded: decoders allocate what the header
    says.
    """
    most = min(MOST_PIXELS, PIXELS_OF_ANY + PIXELS_PER_BYTE * len(payload))
    if height * width > most:
        raise ValueError(
            f"announces {width} x {height} pixels; of {len(payload):,} bytes at most {most:,} "
            f"pixels are decoded ({PIXELS_OF_ANY:,} and {PIXELS_PER_BYTE} a byte, never more than "
            f"{MOST_PIXELS:,}): scale it down, or it is damaged"
        )


def _check_png(payload):
    """ValueError unless each chunk is whole, has the right checksum, and the last one ends the
    image.
    """
    for kind, content in png.chunks(payload):
        if kind == b"IHDR":
            check_size(*reversed(png.HEADER.unpack(content)[:2]), payload)
