"""``gluon-tricks prepare``: data sets into RecordIO files, which MXNet's ImageRecordIter reads too."""

import contextlib
import os

from ...config import user_path
from ...errors import UserError
from ...text import printable
from ..parallel import add_workers, threads
from . import digits, folder, idx, imagenet
from . import restart_markers as marks
from .conversion import write_data_set
from .images import DEFAULT_QUALITY

DATA_SETS = {"digits": digits, "folder": folder, "idx": idx, "imagenet": imagenet}


def add_arguments(parser):
    kinds = parser.add_subparsers(dest="kind", metavar="DATA_SET")
    kinds.required = True
    for name, module in DATA_SETS.items():
        text = module.__doc__.splitlines()[0]
        kind = kinds.add_parser(name, help=text, description=text)
        module.add_arguments(kind)
        kind.add_argument(
            "directory",
            type=user_path,
            metavar="DIR",
            help="where train.rec, val.rec and their like go",
        )
        add_workers(kind)


def main(args):
    check(args)
    limit_opencv()
    splits, classes, settings = DATA_SETS[args.kind].read(args)
    skip_broken = getattr(args, "skip_broken", False)
    manifest = write_data_set(args.directory, splits, classes, settings, threads(args), skip_broken)
    for name in splits:
        split = manifest["splits"][name]
        print(
            "{}: {} images in {} classes, {:.1f} MB{}".format(
                printable(os.path.join(args.directory, name + ".rec")),
                split["records"],
                len(classes),
                split["bytes"] / 1e6,
                ", {} broken ones left out".format(len(split["broken"])) if split["broken"] else "",
            )
        )
    for path in getattr(args, "temporary", ()):
        with contextlib.suppress(OSError):
            os.unlink(path)
    return 0


def check(args):
    if getattr(args, "resize", 0) < 0:
        raise UserError(f"--resize {args.resize}: is a number of pixels")
    if not 1 <= getattr(args, "quality", DEFAULT_QUALITY) <= 100:
        raise UserError(f"--quality {args.quality}: is not within 1 and 100")
    if not 0 <= getattr(args, "seed", 0) < 2**32:
        raise UserError(f"--seed {args.seed}: is not within 0 and 4294967295")
    if getattr(args, "restart_marks", False):
        marks.check_tool()


def limit_opencv():
    """One thread for each OpenCV call: the images are done side by side."""
    import cv2

    cv2.setNumThreads(1)
