"""The numbers in a PNG that is a mask, whatever colours they are shown in."""

import numpy as np

from .. import png
from ..decode import check_size


def numbers_in(payload: bytes) -> np.ndarray:
    """uint8 ``(height, width)``: the grey value of each pixel of a PNG or, if it has a palette, the
    number of its colour there.

    ValueError if it is damaged, or not a PNG with one number of at most 8 bits a pixel.
    """
    import cv2

    if payload[:8] != png.SIGNATURE:
        raise ValueError("is not a PNG; masks are PNGs, which keep every pixel")
    data = bytearray()
    for kind, content in png.chunks(payload):
        if kind == b"IHDR":
            width, height, bits, colour, *methods = png.HEADER.unpack(content)
            _refuse_form(bits, colour)
            check_size(height, width, payload)
        elif kind == b"IDAT":
            data += content
    # Declared as grey, the numbers are not replaced by the colours of a palette.
    header = png.HEADER.pack(width, height, bits, png.GREY, *methods)
    parts = (b"IHDR", header), (b"IDAT", data), (b"IEND", b"")
    grey = png.SIGNATURE + b"".join(png.chunk(kind, content) for kind, content in parts)
    cv2.setLogLevel(0)  # as in decode
    mask = cv2.imdecode(np.frombuffer(grey, np.uint8), cv2.IMREAD_UNCHANGED)
    if mask is None or mask.shape != (height, width):
        raise ValueError(f"damaged: OpenCV cannot decode it ({len(payload)} bytes)")
    # Decoders stretch fewer bits to the range from 0 to 255.
    return mask if bits == 8 else mask // (255 // (2**bits - 1))


def _refuse_form(bits, colour):
    if colour not in (png.GREY, png.PALETTE):
        raise ValueError("is a colour PNG; a mask has one number a pixel: grey, or with a palette")
    if bits > 8:
        raise ValueError(f"has {bits} bits a pixel; a mask has at most 8")
