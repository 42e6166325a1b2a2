"""``--restart-marks``: JPEGs whose pieces can be decoded alone, as :mod:`gluon_tricks.data.jpeg`
does for a crop.

jpegtran of libjpeg-turbo codes the same coefficients anew with a mark behind every piece, so no
pixel changes.
"""

import contextlib
import shutil
import subprocess

import numpy as np

from ...errors import UserError
from .. import jpeg
from ..decode import decode

# Pixels that a piece should be wide, as far as the width can be divided so. Half as wide, 4 % less
# of the time to decode a random crop of 500x375 and 1 % more bytes; twice as wide, 11 % more time.
WIDTH = 64
UNITS = {"444": 8, "440": 8, "Gray": 8, "422": 16, "420": 16, "411": 32}  # how wide, in pixels


def check_tool():
    """UserError where there is no jpegtran, or one that does not do what is wanted."""
    import simplejpeg

    if with_marks(simplejpeg.encode_jpeg(np.zeros((32, 2 * WIDTH, 3), np.uint8))) is None:
        raise UserError(
            "--restart-marks: {} is not libjpeg-turbo's, or too old".format(
                shutil.which("jpegtran")
            )
        )


def with_marks(data):
    """The JPEG of the same pixels with restart marks; None where that cannot be had for this one."""
    import simplejpeg

    _, width, _, sampling = simplejpeg.decode_jpeg_header(data)
    if sampling not in UNITS:
        return None
    marked = jpegtran(
        data, "-copy", "all", "-optimize", "-restart", f"{interval(width, UNITS[sampling])}B"
    )
    scan = marked and jpeg.one_scan(marked)
    if not scan or not scan.interval:
        return None
    marked = jpeg.with_table(marked)
    with contextlib.suppress(ValueError):  # of decode: not the image's fault
        if np.array_equal(decode(marked), decode(data)):
            return marked
    return None


def interval(width, unit):
    """How many units of ``unit`` pixels a piece is wide: such that a row of the image has whole
    pieces.
    """
    units = -(-width // unit)
    fitting = [
        n for n in range(1, units + 1) if units % n == 0 and WIDTH / 2 <= n * unit <= WIDTH * 3 / 2
    ]
    return min(fitting, key=lambda n: abs(n * unit - WIDTH), default=units)


def jpegtran(data, *options):
    """What jpegtran makes of a JPEG, or None where it refuses it."""
    try:
        done = subprocess.run(
            ["jpegtran", *options], input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise UserError(
            "--restart-marks needs libjpeg-turbo's jpegtran: apt-get install libjpeg-turbo-progs"
        ) from None
    except OSError as error:
        raise UserError(f"jpegtran cannot be started: {error.strerror}") from error
    if done.returncode < 0:  # not the image's fault, and the files' bytes are not to depend on it
        raise UserError(f"jpegtran was ended by signal {-done.returncode}")
    return None if done.returncode else done.stdout
