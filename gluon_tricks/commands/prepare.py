"""``gluon-tricks prepare``: converts data sets into RecordIO files, which MXNet's ImageRecordIter
reads.
"""

import contextlib
import os

from ..config import user_path
from ..data.mask_files import is_mask_path
from ..data.parallel import add_workers, threads
from ..data.prepare import (
    ade20k,
    aircraft,
    boxed_scenes,
    cars,
    detection,
    digits,
    flowers,
    folder,
    food101,
    idx,
    imagenet,
    pets,
    places365,
    restart_markers,
    scenes,
    segmentation,
    voc,
)
from ..data.prepare.conversion import write_data_set
from ..data.prepare.images import DEFAULT_QUALITY
from ..errors import UserError
from ..text import counted, printable

# Each is a module with add_arguments(parser) and read(args) -> (splits, class names, settings).
DATA_SETS = {
    "digits": digits,
    "folder": folder,
    "idx": idx,
    "imagenet": imagenet,
    "places365": places365,
    "food101": food101,
    "flowers": flowers,
    "cars": cars,
    "aircraft": aircraft,
    "pets": pets,
    "ade20k": ade20k,
    "segmentation": segmentation,
    "voc": voc,
    "detection": detection,
    "boxed-scenes": boxed_scenes,
    "scenes": scenes,
}


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
            help="folder for train.rec, val.rec and the files that go with them",
        )
        add_workers(kind)


def main(args):
    check(args)
    splits, classes, settings = DATA_SETS[args.kind].read(args)
    skip_broken = getattr(args, "skip_broken", None)
    workers = threads(args.workers)
    manifest = write_data_set(args.directory, splits, classes, settings, workers, skip_broken)
    for name in splits:
        split, path = manifest["splits"][name], os.path.join(args.directory, name + ".rec")
        held = counted(split["records"], "mask" if is_mask_path(path) else "image")
        if "boxes" in split:
            held += f" with {counted(split['boxes'], 'box')}"
        broken = len(split["broken"])
        left_out = f", {counted(broken, 'broken file')} left out" if broken else ""
        print(
            f"{printable(path)}: {held} of {counted(len(classes), 'class')}, "
            f"{split['bytes'] / 1e6:.1f} MB{left_out}"
        )
    for path in getattr(args, "temporary", ()):
        with contextlib.suppress(OSError):
            os.unlink(path)
    return 0


def check(args):
    """UserError for a flag that is out of range, or that needs a missing program."""
    if getattr(args, "resize", 0) < 0:
        raise UserError(f"--resize {args.resize}: has to be a number of pixels")
    if not 1 <= getattr(args, "quality", DEFAULT_QUALITY) <= 100:
        raise UserError(f"--quality {args.quality}: has to be from 1 to 100")
    if not 0 <= getattr(args, "seed", 0) < 2**32:
        raise UserError(f"--seed {args.seed}: has to be from 0 to 4294967295")
    if getattr(args, "restart_markers", False):
        restart_markers.check_tool()
