"""``gluon-tricks logits``: stores a teacher's outputs for all training images, to distil from."""

import os

from ..config import user_path
from ..data.teacher_logits import DTYPES
from ..deploy import arguments, logits, tasks
from ..text import printable
from .evaluate_classification import add_loading, check_loading, text


def add_arguments(parser):
    """Add the flags: the teacher, the images, and the file to write."""
    arguments.add_arguments(parser)
    add = parser.add_argument
    add("rec", type=user_path, metavar="FILE.rec", help="RecordIO file of the training images")
    add(
        "-o",
        "--output",
        type=user_path,
        metavar="FILE",
        required=True,
        help="file to write; an interrupted one is continued",
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
        help="type of the stored logits; ImageNet's take 2.6 GB in float16 [float16]",
    )
    add(
        "--first-class",
        type=int,
        default=0,
        metavar="N",
        help="the teacher's output for class 0: 1 if a background class comes first [0]",
    )
    add_loading(add)


def main(args):
    """Write the file, and print its size and the teacher's accuracy on the images."""
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
            "if that is far below what it should reach, its classes are in another order"
        )
    return 0
