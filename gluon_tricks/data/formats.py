"""What an encoded image announces in its header, read before a decoder allocates memory."""

import contextlib
import struct

PNG = b"\x89PNG\r\n\x1a\n"
TIFF = {b"II*\0": "<", b"MM\0*": ">"}  # how it begins: the byte order of its numbers
TIFF_NUMBERS = {1: "B", 3: "H", 4: "I"}  # types of whole numbers: their letters for struct
# tags
WIDTH, HEIGHT, BITS, ORIENTATION = 256, 257, 258, 274
TILE_WIDTH, TILE_HEIGHT, SAMPLE_FORMAT = 322, 323, 339
WHOLE_NUMBERS, ANYTHING = 1, 4  # of TIFF's SampleFormat


def sizes(payload):
    """``[(height, width)]`` that a decoder allocates memory for, of a BMP, WebP or TIFF.

    ValueError if the header is damaged, the format is another, or its pixels are not of 8 or 16
    bits.
    """
    for begins, read in ((b"BM", _bmp), (b"RIFF", _webp), (b"II*\0", _tiff), (b"MM\0*", _tiff)):
        if payload.startswith(begins):
            try:
                return read(payload)
            except (struct.error, KeyError):
                raise ValueError("its header is damaged") from None
    raise ValueError(f"is not a JPEG, PNG, BMP, WebP, TIFF, PPM, PGM or PBM ({len(payload)} bytes)")


def _bmp(payload):
    if struct.unpack_from("<I", payload, 14)[0] == 12:
        width, height = struct.unpack_from("<HH", payload, 18)
    else:
        width, height = struct.unpack_from("<ii", payload, 18)
    return [(abs(height), abs(width))]  # below zero: from top to bottom


def _webp(payload):
    kind = payload[8:16]
    if kind == b"WEBPVP8 ":
        width, height = struct.unpack_from("<HH", payload, 26)
        return [(height & 0x3FFF, width & 0x3FFF)]
    if kind == b"WEBPVP8L":
        (bits,) = struct.unpack_from("<I", payload, 21)
        return [((bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1)]
    if kind == b"WEBPVP8X":
        bits = int.from_bytes(payload[24:30].ljust(6, b"\0"), "little")
        return [((bits >> 24) + 1, (bits & 0xFFFFFF) + 1)]
    raise ValueError("is no WebP image")


def _tiff(payload):
    tags = tiff_tags(payload)
    if (
        tags.get(SAMPLE_FORMAT, WHOLE_NUMBERS) not in (WHOLE_NUMBERS, ANYTHING)
        or tags.get(BITS, 1) > 16
    ):
        raise ValueError(
            "a TIFF of floating-point, signed or 32-bit numbers, whose range is unknown: "
            "save it with 8 bits"
        )
    return [(tags[HEIGHT], tags[WIDTH]), (tags.get(TILE_HEIGHT, 0), tags.get(TILE_WIDTH, 0))]


def tiff_tags(data):
    """``{tag: its first number}`` of the first image of a TIFF, or of EXIF, which has the same
    form.

    What is damaged is left out. struct.error if nothing can be read, KeyError if it does not
    begin as a TIFF.
    """
    order, tags = TIFF[data[:4]], {}
    (directory,) = struct.unpack_from(order + "I", data, 4)
    for entry in range(struct.unpack_from(order + "H", data, directory)[0]):
        place = directory + 2 + 12 * entry
        with contextlib.suppress(struct.error):
            tag, kind, count = struct.unpack_from(order + "HHI", data, place)
            number = TIFF_NUMBERS.get(kind)
            if number and count:
                inside = struct.calcsize(order + number) * count <= 4
                at = place + 8 if inside else struct.unpack_from(order + "I", data, place + 8)[0]
                # decoders take the first, too
                tags.setdefault(tag, struct.unpack_from(order + number, data, at)[0])
    return tags


def exif(payload):
    """The EXIF of a PNG or a WebP, which has the form of a TIFF; empty if there is none."""
    if payload[:8] == PNG:
        return _chunk(payload, b"eXIf", 8, ">I4s")
    if payload[:4] == b"RIFF" and payload[8:12] == b"WEBP":
        found = _chunk(payload, b"EXIF", 12, "<4sI")
        return found[6:] if found.startswith(b"Exif\0\0") else found
    return b""


def _chunk(payload, wanted, place, form):
    """The content of the first chunk of a kind among those from ``place`` on; ``form`` is how each
    begins.
    """
    while place + 8 <= len(payload):
        head, start = struct.unpack_from(form, payload, place), place + 8
        (length,) = (field for field in head if field.__class__ is int)
        if wanted in head:
            return payload[start : start + length]
        # A PNG's chunk ends in a checksum of 4 bytes, a WebP's in a byte more if its length is
        # odd.
        place = start + length + (4 if form.startswith(">") else length % 2)
    return b""
