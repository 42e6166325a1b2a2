"""Bring encoded images into a form that every reader decodes to the same pixels.

Readers differ: ImageRecordIter turns an image as EXIF's orientation says, libjpeg-turbo and
mx.image do not; the colours of CMYK are anyone's guess; and libjpeg's warnings are errors to some
and ignored by others.
"""

import contextlib
import re
import struct

import numpy as np

from ...config import user_path
from ...errors import UserError
from .. import formats, jpeg
from ..decode import PNG, decode, jpeg_header, size_of
from . import restart_markers

DEFAULT_QUALITY = 95
AS_BYTES = ("kept", "ended", "cleaned")  # the forms in which no pixel is coded again


def add_arguments(parser):
    """The flags of :func:`normal_form`."""
    parser.add_argument(
        "--resize",
        type=int,
        default=0,
        metavar="SHORT_SIDE",
        help="scale larger images so that their shorter side has this many pixels (default: keep)",
    )
    add_coding_arguments(parser)
    add_skip_broken(parser)


def add_skip_broken(parser):
    parser.add_argument(
        "--skip-broken",
        action="store_true",
        help="leave out images that cannot be decoded, instead of an error at the end",
    )


def add_lists(parser, pair, help):
    """Add the flags that choose the images, and those for validation; ``pair`` and ``help``
    describe another pair of folders.
    """
    parser.add_argument(
        "--list", type=user_path, metavar="FILE", help="use the names in this file, one a line"
    )
    held_out = parser.add_mutually_exclusive_group()
    held_out.add_argument(
        "--val-list", type=user_path, metavar="FILE", help="the names of the validation images"
    )
    held_out.add_argument("--val", type=user_path, nargs=2, metavar=pair, help=help)
    held_out.add_argument(
        "--val-fraction",
        type=float,
        default=0.0,
        metavar="F",
        help="hold out this fraction of the images for validation (default 0: no val.rec)",
    )


def check_lists(args):
    """UserError if one of these flags is out of range, or has no effect."""
    check_fraction(args)
    if args.val_list and not args.list:
        raise UserError("--val-list needs --list, the names of the training images")


def check_fraction(args):
    """UserError for a ``--val-fraction`` out of range."""
    if not 0 <= args.val_fraction < 1:
        raise UserError(
            f"--val-fraction {args.val_fraction}: has to be a fraction of the images, from 0 to "
            "below 1"
        )


def add_seed(parser, of="the order of the training images"):
    help = f"seed of {of} (default 0)"
    parser.add_argument("--seed", type=int, default=0, metavar="N", help=help)


def add_coding_arguments(parser):
    """Those of the flags that keep all images, and their sizes."""
    parser.set_defaults(resize=0)
    parser.add_argument(
        "--quality",
        type=int,
        default=DEFAULT_QUALITY,
        metavar="Q",
        help=f"quality of JPEGs that have to be coded again, 1 to 100 (default {DEFAULT_QUALITY})",
    )
    parser.add_argument(
        "--restart-markers",
        "--restart-marks",
        action="store_true",
        help="code JPEGs again, without loss, with restart markers: the loader then decodes only "
        "what a crop touches (needs jpegtran)",
    )


def settings(args):
    """What the flags of :func:`add_arguments` make the bytes depend on; JSON-able."""
    found = {"resize": args.resize, "quality": args.quality}
    # Without the flag the settings are those of versions that did not have it.
    return dict(found, restart_marks=True) if args.restart_markers else found


def size_after(size, count, short_side):
    """About how many bytes ``count`` images of ``size`` bytes together become."""
    return min(size, int(count * short_side**2 * (4 / 3) * 0.6)) if short_side else size


def encode_jpeg(image, quality=DEFAULT_QUALITY):
    """JPEG bytes of a uint8 RGB image."""
    import simplejpeg

    return simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality, "RGB", "420")


def encode_png(image):
    """PNG bytes of a uint8 image, (H, W) or (H, W, 3) in RGB."""
    import cv2

    image = image if image.ndim == 2 else image[:, :, ::-1]
    done, data = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    if not done:
        raise ValueError(f"OpenCV cannot encode an image of shape {image.shape}")
    return data.tobytes()


def stored_form(data, args, keep_png=True):
    """:func:`normal_form` as the flags of :func:`add_arguments` ask for it, with restart markers if
    they do.

    What is "kept" except for its markers is "marked".
    """
    data, done = normal_form(data, args.resize, args.quality, keep_png)
    marked = None
    if args.restart_markers and data[:3] == jpeg.BEGIN:
        marked = restart_markers.with_restart_markers(data)
    return (marked, "marked" if done == "kept" else done) if marked else (data, done)


def normal_form(data, short_side=0, quality=DEFAULT_QUALITY, keep_png=True):
    """``(data, what was done to it)``: the image as bytes that every reader decodes to the same
    pixels.

    A sound upright RGB or grey JPEG, and a PNG if ``keep_png``, stay as they are to the byte
    ("kept"), unless their shorter side is longer than ``short_side`` > 0, to which it is then
    scaled ("resized"). Everything else becomes a JPEG of ``quality``: CMYK ("cmyk"), EXIF
    orientation of any format ("turned"), colours sampled in a way that TurboJPEG does not know
    ("resampled"), and other formats ("png", "other"). A JPEG that lacks only its end marker gets it
    ("ended"), and one with stray bytes, which decoders skip with a warning, loses them ("cleaned").
    ValueError if the image is damaged: truncated, or not decodable.
    """
    done = "kept"
    if data[:3] == jpeg.BEGIN:
        data, image, done = _repaired_jpeg(data)
    else:
        image, orientation = decode(data), exif_orientation(data)
        if orientation != 1:
            image, done = turn(image, orientation), "turned"
        elif data[:8] != PNG or not keep_png:
            done = "png" if data[:8] == PNG else "other"
    if short_side and min(image.shape[:2]) > short_side:
        return encode_jpeg(shrink(image, short_side), quality), "resized"
    return (data, done) if done in AS_BYTES else (encode_jpeg(image, quality), done)


def _repaired_jpeg(data):
    done = "kept"
    try:
        image = decode(data)
    except ValueError as error:
        # only its last two bytes may be missing
        if "Premature end of JPEG file" in str(error):
            image, data, done = decode(data + jpeg.END), data + jpeg.END, "ended"
        else:
            image, data = _without_stray_bytes(data, error)
            done = "cleaned"
    done = {"CMYK": "cmyk", "YCCK": "cmyk", None: "resampled"}.get(jpeg_header(data)[2], done)
    orientation = exif_orientation(data)
    if orientation == 1:
        return data, image, done
    return data, turn(image, orientation), "resampled" if done == "resampled" else "turned"


def _without_stray_bytes(data, error):
    """``(image, data)`` without the bytes that libjpeg says it skipped before a marker; else the
    error.
    """
    said = re.search(r"(\d+) extraneous bytes before marker 0x([0-9a-f]{2})", str(error))
    if not said:
        raise error
    marker = b"\xff" + bytes.fromhex(said.group(2))
    for place in [found.start() for found in re.finditer(re.escape(marker), data)][:8]:
        # libjpeg may not count a byte that it had begun
        for count in range(int(said.group(1)), int(said.group(1)) + 3):
            shorter = data[: max(0, place - count)] + data[place:]
            with contextlib.suppress(ValueError):
                return decode(shorter), shorter
    raise error


def upright_size(data):
    """``(height, width)`` of the image that :func:`normal_form` makes of an encoded one without
    scaling; ValueError if its header is damaged.
    """
    height, width = size_of(data)
    return (width, height) if exif_orientation(data) >= 5 else (height, width)


def turn(image, orientation):
    """The image as EXIF's orientation, 1 to 8, means it to be seen."""
    if orientation >= 5:
        image = image.swapaxes(0, 1)
    down, right = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}.get(
        orientation, (1, 1)
    )
    return np.ascontiguousarray(image[::down, ::right])


def shrink(image, short_side):
    """The image scaled so that its shorter side has ``short_side`` pixels, each a mean of what it
    covers.
    """
    import cv2

    height, width = image.shape[:2]
    scale = short_side / min(height, width)
    size = max(short_side, round(width * scale)), max(short_side, round(height * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def exif_orientation(data):
    """EXIF's orientation of an encoded image, 1 (upright) to 8; 1 if it is missing or makes no
    sense.

    That of a TIFF is 1, as OpenCV's decoder turns TIFFs whatever its flags are.
    """
    block = formats.exif(data)
    for marker, start, end in jpeg.segments(data) if data[:3] == jpeg.BEGIN else ():
        if marker == 0xE1 and data[start : start + 6] == b"Exif\0\0":
            block = data[start + 6 : end]
            break
    with contextlib.suppress(KeyError, struct.error):
        value = formats.tiff_tags(block).get(formats.ORIENTATION, 1)
        return value if 1 <= value <= 8 else 1
    return 1
