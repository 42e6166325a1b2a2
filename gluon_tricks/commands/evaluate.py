"""``gluon-tricks evaluate``: the exact figures of a model on a RecordIO file, as its task defines
them; those of a classifier also on ImageNet-C.

The exit code is 1 if folders or classes of ImageNet-C are missing; they are named.
"""

from ..config import user_path
from ..deploy import arguments
from ..files import check_folder_of
from . import evaluate_classification, evaluate_detection, evaluate_segmentation, of_task

OUTPUTS = {"coco", "confusion"}  # flags, besides --json, of files that are written at the end
PARTS = {
    "classification": evaluate_classification,
    "segmentation": evaluate_segmentation,
    "detection": evaluate_detection,
}


def add_arguments(parser):
    """Add the flags: the model, the images, and where the figures go."""
    arguments.add_arguments(parser)
    add = parser.add_argument
    add(
        "--rec-val",
        type=user_path,
        metavar="FILE",
        help="RecordIO file of the images [the run's validation file]",
    )
    add("--rec-val-idx", type=user_path, metavar="FILE", help="its index [the same name with .idx]")
    add(
        "--json",
        type=user_path,
        metavar="FILE",
        help="also write the figures to this file; - for standard output",
    )
    of_task.add_arguments(parser, PARTS)


def main(args):
    """Print the figures of the model's task."""
    for name in OUTPUTS & set(vars(args)):
        check_folder_of(getattr(args, name) or "-")
    model = arguments.open_from(args)
    return of_task.part_of(args, model, PARTS).main(args, model)
