"""``gluon-tricks convert``: converts weights from and to timm's and torchvision's names."""

from ..config import user_path
from ..deploy import arguments, tasks
from ..deploy.convert import check, convert, images_in
from ..models.counterparts.table import LIBRARIES
from ..text import printable


def add_arguments(parser):
    """Add the flags: what to open, and what to write."""
    arguments.add_arguments(parser, exports=False)
    add = parser.add_argument
    add(
        "target",
        type=user_path,
        metavar="PATH",
        help="what to write: FILE.params, with GluonCV's names; FILE.safetensors, with timm's or "
        "torchvision's; or a folder in the layout of timm's hub",
    )
    add(
        "--to",
        choices=LIBRARIES,
        help="whose names to use in a .safetensors file [timm's, or torchvision's if timm lacks "
        "the network]",
    )
    add("--force", action="store_true", help="replace an existing file or folder")


def main(args):
    """Write the weights, and print what they are."""
    check(args.target, args.to, args.force)
    model = arguments.open_from(args)
    tasks.needs(model, "classification")
    name = convert(model, args.target, args.to, args.force)
    print(f"{printable(args.target)}: {name}, {model.classes} classes")
    print("  " + images(images_in(model, args.target)))
    return 0


def images(preprocessing):
    """How the network's images are preprocessed, as flags of evaluate and predict."""
    mean, std = (
        ",".join(f"{value:g}" for value in values)
        for values in (preprocessing.rgb_mean, preprocessing.rgb_std)
    )
    return (
        f"--input-size {preprocessing.input_size} --crop-ratio {preprocessing.crop_ratio:g} "
        f"--rgb-mean {mean} --rgb-std {std}, interpolation {preprocessing.interpolation}"
    )
