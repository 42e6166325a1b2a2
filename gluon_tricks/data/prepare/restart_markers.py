"""``--restart-markers``: JPEGs of which :mod:`gluon_tricks.data.jpeg` decodes what a crop needs.

libjpeg-turbo's jpegtran encodes the same coefficients again, with a restart marker after every
interval of MCUs (JPEG's minimum coded units), so no pixel changes.
"""

import contextlib
import shutil
import subprocess
from typing import Optional

import numpy as np

from ...errors import UserError
from .. import jpeg
from ..decode import decode

# The width in pixels that an interval should have, as far as the image's width can be divided so.
# With half of it, decoding a random crop of a 500x375 image takes 4 % less time, and the file 1 %
# more bytes; with twice as much, decoding takes 11 % more time.
WIDTH = 64
# of an MCU, in pixels, by how the colours are sampled
MCU_WIDTHS = {"444": 8, "440": 8, "Gray": 8, "422": 16, "420": 16, "411": 32}


def check_tool() -> None:
    """UserError if jpegtran is missing or unsuitable."""
    import simplejpeg

    if with_restart_markers(simplejpeg.encode_jpeg(np.zeros((32, 2 * WIDTH, 3), np.uint8))) is None:
        raise UserError(
            f"--restart-markers: {shutil.which('jpegtran')} is not libjpeg-turbo's, or too old"
        )


def with_restart_markers(data: bytes) -> Optional[bytes]:
    """The JPEG of the same pixels with restart markers; None if that is not possible."""
    import simplejpeg

    _, width, _, sampling = simplejpeg.decode_jpeg_header(data)
    if sampling not in MCU_WIDTHS:
        return None
    mcus = interval(width, MCU_WIDTHS[sampling])
    marked = jpegtran(data, "-copy", "all", "-optimize", "-restart", f"{mcus}B")
    scan = marked and jpeg.one_scan(marked)
    if not scan or not scan.interval:
        return None
    marked = jpeg.with_table(marked)
    with contextlib.suppress(ValueError):  # raised by decode: not the image's fault
        if np.array_equal(decode(marked), decode(data)):
            return marked
    return None


def interval(width: int, mcu_width: int) -> int:
    """The number of MCUs in an interval, so that a row of the image is a whole number of them."""
    mcus = -(-width // mcu_width)
    fitting = [
        n
        for n in range(1, mcus + 1)
        if mcus % n == 0 and WIDTH / 2 <= n * mcu_width <= WIDTH * 3 / 2
    ]
    return min(fitting, key=lambda n: abs(n * mcu_width - WIDTH), default=mcus)


def jpegtran(data: bytes, *options: str) -> Optional[bytes]:
    """The JPEG that jpegtran makes of another, or None if it refuses it."""
    try:
        done = subprocess.run(
            ["jpegtran", *options], input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise UserError(
            "--restart-markers needs libjpeg-turbo's jpegtran: apt-get install libjpeg-turbo-progs"
        ) from None
    except OSError as error:
        raise UserError(f"jpegtran cannot be started: {error.strerror}") from error
    if done.returncode < 0:  # not the image's fault, so the file's bytes must not depend on it
        raise UserError(f"jpegtran was ended by signal {-done.returncode}")
    return None if done.returncode else done.stdout
