"""``--restart-markers``: JPEGs of which :mod:`gluon_tricks.data.jpeg` decodes what a crop needs.

jpegtran of libjpeg-turbo codes the same coefficients again with a restart marker after every
interval of MCUs (minimum coded units, JPEG's word), so no pixel changes.
"""

import contextlib
import shutil
import subprocess
from typing import Optional

import numpy as np

from ...errors import UserError
from .. import jpeg
from ..decode import decode

# Pixels that an interval should be wide, as far as the width can be divided so. Half as wide, 4 %
# less of the time to decode a random crop of 500x375 and 1 % more bytes; twice as wide, 11 % more
# time.
WIDTH = 64
# of an MCU, in pixels, by how the colours are sampled
MCU_WIDTHS = {"444": 8, "440": 8, "Gray": 8, "422": 16, "420": 16, "411": 32}


def check_tool() -> None:
    """UserError if there is no jpegtran, or one that does not do what is wanted."""
    import simplejpeg

    if with_restart_markers(simplejpeg.encode_jpeg(np.zeros((32, 2 * WIDTH, 3), np.uint8))) is None:
        raise UserError(
            f"--restart-markers: {shutil.which('jpegtran')} is not libjpeg-turbo's, or too old"
        )


def with_restart_markers(data: bytes) -> Optional[bytes]:
    """The JPEG of the same pixels with restart markers; None if that cannot be had for this one."""
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
    with contextlib.suppress(ValueError):  # of decode: not the image's fault
        if np.array_equal(decode(marked), decode(data)):
            return marked
    return None


def interval(width: int, mcu_width: int) -> int:
    """How many MCUs an interval has: such that a row of the image has a whole number of them."""
    mcus = -(-width // mcu_width)
    fitting = [
        n
        for n in range(1, mcus + 1)
        if mcus % n == 0 and WIDTH / 2 <= n * mcu_width <= WIDTH * 3 / 2
    ]
    return min(fitting, key=lambda n: abs(n * mcu_width - WIDTH), default=mcus)


def jpegtran(data: bytes, *options: str) -> Optional[bytes]:
    """What jpegtran makes of a JPEG, or None if it refuses it."""
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
    if done.returncode < 0:  # not the image's fault, and the files' bytes are not to depend on it
        raise UserError(f"jpegtran was ended by signal {-done.returncode}")
    return None if done.returncode else done.stdout
