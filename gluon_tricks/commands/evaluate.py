"""``gluon-tricks evaluate``: the exact figures of a model on a RecordIO file, as its task defines
them; those of a classifier also on ImageNet-C.

The exit code is 1 if folders or classes of ImageNet-C are missing; they are named.
"""

from ..config import user_path
from ..deploy import arguments
from ..flags import output_file
from . import evaluate_classification, evaluate_detection, evaluate_segmentation, of_task

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
        type=output_file("JSON"),
        metavar="FILE",
        help="also write the figures to this file; - for standard output",
    )
    of_task.add_arguments(parser, PARTS)


def main(args):
    """Print the figures of the model's task."""
    model = arguments.open_from(args)
    return of_task.part_of(args, model, PARTS).main(args, model)
