"""``gluon-tricks predict``: predicts what images show: files, folders, or records.

A classifier names the likeliest classes, a segmentation network the classes in each picture, a
detector its objects. The exit code is 0 if every image could be read, and 1 if some were broken;
these are named and left out.
"""

from ..config import user_path
from ..data.record_keys import keys_in
from ..deploy import arguments, images
from ..errors import UserError
from ..flags import output_file
from . import of_task, predict_classification, predict_detection, predict_segmentation

PARTS = {
    "classification": predict_classification,
    "segmentation": predict_segmentation,
    "detection": predict_detection,
}


def add_arguments(parser):
    """Add the flags: the model, the images, and the output."""
    arguments.add_arguments(parser)
    add = parser.add_argument
    # With "*" the list would end at the first flag, so MODEL --top 1 IMAGE would be refused.
    named = add(
        "images",
        type=user_path,
        metavar="IMAGE",
        nargs="+",
        help="image files, or folders with images",
    )
    named.required = False
    add(
        "--rec",
        type=user_path,
        metavar="FILE",
        help="predict records of this RecordIO file instead",
    )
    add("--keys", metavar="K,K-K", help="with --rec: keys of the records, such as 1,2,10-19")
    add(
        "--json",
        type=output_file("JSON"),
        metavar="FILE",
        help="write the predictions to this file; - for standard output",
    )
    of_task.add_arguments(parser, PARTS)
    # argparse's own usage would require images even with --rec
    parser.usage = (
        "%(prog)s MODEL IMAGE [IMAGE ...] [flags]\n"
        "       %(prog)s MODEL --rec FILE --keys K,K-K [flags]"
    )


def main(args):
    """Print what the images show; exit code 1 if an image was broken."""
    check(args)
    keys = keys_in(args.keys) if args.rec else None
    files = None if args.rec else images.files_in(args.images)
    model = arguments.open_from(args)
    part = of_task.part_of(args, model, PARTS)
    if args.rec:
        found = images.from_records(model.preprocessing, args.rec, keys)
    else:
        found = images.from_files(model.preprocessing, files)
    return part.main(args, model, found)


def check(args):
    """UserError for flags that cannot be combined."""
    if bool(args.images) == bool(args.rec):
        raise UserError("give either images or folders, or --rec FILE with --keys")
    if args.keys and not args.rec:
        raise UserError("--keys has no effect without --rec")
    if args.rec and not args.keys:
        raise UserError("--rec needs --keys: the records' keys, such as --keys 1,2 or 10-19")
    if getattr(args, "top", 1) < 1:
        raise UserError(f"--top {args.top}: has to be at least 1")
