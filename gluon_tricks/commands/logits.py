"""``gluon-tricks logits``: store a teacher's outputs for all training images, to distil from."""

import os

from ..config import user_path
from ..data.teacher_logits import DTYPES
from ..deploy import arguments, logits, tasks
from ..text import printable
from .evaluate_classification import add_loading, check_loading, text


def add_arguments(parser):
    """Which teacher, on what, and into which file."""
    arguments.add_arguments(parser)
    add = parser.add_argument
    add("rec", type=user_path, metavar="FILE.rec", help="of the training images")
    add(
        "-o",
        "--output",
        type=user_path,
        metavar="FILE",
        required=True,
        help="the file to write; one that was interrupted is continued",
    )
    add(
        "--rec-idx",
        type=user_path,
        metavar="FILE",
        help="the index of FILE.rec [the same name with .idx]",
    )
    add(
        "--dtype",
        choices=DTYPES,
        default=DTYPES[0],
        help="of the stored logits; ImageNet's are 2.6 GB in float16 [float16]",
    )
    add(
        "--first-class",
        type=int,
        default=0,
        metavar="N",
        help="the teacher's output that is class 0; 1 if it has a background class before [0]",
    )
    add_loading(add)


def main(args):
    """Print what was written, and how well the teacher knows the classes of the images."""
    check_loading(args)
    teacher = arguments.open_from(args)
    tasks.needs(teacher, "classification")
    figures = logits.store(
        teacher,
        args.rec,
        args.rec_idx or "",
        args.output,
        args.dtype,
        args.first_class,
        args.batch_size,
        args.num_data_workers,
    )
    size = os.path.getsize(args.output)
    print(f"{printable(args.output)}: {size:,} bytes of {args.dtype} logits")
    if figures:
        print(
            f"{printable(args.source)} on {figures['images']} of these images: {text(figures)}; "
            "if that is not what it should know, its classes are in another order"
        )
    return 0
