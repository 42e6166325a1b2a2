"""``gluon-tricks data show``: a sheet on which a person sees what the augmentation does to images.

A row an image: the original, what evaluation makes of it, what training makes of it in the first
epochs, and, with ``--mixup`` on, what the network then gets when the images of the sheet are a
batch. The numbers stand under each.
"""

import numpy as np

from .. import config as configuration
from ..config import user_path
from ..data import randomness
from ..data.augment import EvalTransform, TrainTransform, apply_on_host
from ..data.decode import decode
from ..data.records import RecordFile
from ..errors import UserError
from ..text import printable
from ..tricks import mixup

FLAGS = (
    "rec_train",
    "rec_train_idx",
    "input_size",
    "crop_ratio",
    "crop_area",
    "crop_aspect",
    "crop_fallback",
    "flip",
    "color_jitter",
    "color_form",
    "pca_noise",
    "rgb_mean",
    "rgb_std",
    "mixup",
    "mixup_alpha",
    "mixup_partner",
    "seed",
    "fidelity",
)
MIXED = 3  # columns with mixed images


def add_arguments(parser):
    commands = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    help = "write a contact sheet of originals and what the augmentation makes of them"
    show = commands.add_parser("show", help=help, description=help, allow_abbrev=False)
    show.add_argument(
        "--rec",
        type=user_path,
        metavar="FILE",
        help="RecordIO file of images; the same as --rec-train",
    )
    show.add_argument(
        "-o",
        "--output",
        type=user_path,
        required=True,
        metavar="FILE.png",
        help="where the sheet goes",
    )
    show.add_argument("--images", type=int, default=6, metavar="N", help="how many images [6]")
    show.add_argument(
        "--epochs", type=int, default=5, metavar="N", help="how many epochs of each [5]"
    )
    show.add_argument(
        "--keys", metavar="K,K", help="the images with these keys; default: the first of epoch 0"
    )
    configuration.add_arguments(show, only=FLAGS)


def main(args):
    given = {name: getattr(args, name) for name in FLAGS if hasattr(args, name)}
    if args.rec:
        given["rec_train"] = args.rec
    if not given.get("rec_train"):
        raise UserError("no images: give --rec FILE.rec")
    if given.get("mixup_alpha") != 0:
        given.setdefault("mixup", True)
    config = configuration.resolve(given)
    if args.images < 1 or args.epochs < 1:
        raise UserError("--images and --epochs have to be at least 1")
    with RecordFile(config.rec_train, config.rec_train_idx) as records:
        positions = choose(records, args.keys, args.images, config.seed)
        rows = [pictures(records, position, config, args.epochs) for position in positions]
    if config.mixup:
        mix(rows, config, min(args.epochs, MIXED))
    draw([shown for shown, _, _ in rows], args.output)
    print(printable(f"{args.output}: {len(rows)} images of {config.rec_train}"))
    return 0


def choose(records, keys, count, seed):
    """The positions of the images to show."""
    if not keys:
        return randomness.permutation(len(records), seed, 0)[:count].tolist()
    try:
        wanted = [int(key) for key in keys.split(",")]
    except ValueError:
        raise UserError(f"--keys {keys}: not a list of numbers such as 3,17") from None
    place = {int(key): position for position, key in enumerate(records.keys)}
    for key in wanted:
        if key not in place:
            raise UserError(f"--keys {keys}: {records.path} has no record {key}")
    return [place[key] for key in wanted]


def pictures(records, position, config, epochs):
    """``([(title, image)], label, normalised images of the epochs)`` of a record."""
    label, payload = records.read(position)
    label, key = float(np.ravel(label)[0]), int(records.keys[position])
    train, evaluation = TrainTransform.from_config(config), EvalTransform.from_config(config)
    try:
        original = decode(payload).copy()
    except ValueError as error:
        raise UserError(f"{records.path}, record {key}: cannot be decoded: {error}") from None
    height, width = original.shape[:2]
    shown = [(f"record {key}, label {label:g}\n{width} x {height}", original)]
    shown.append(("evaluation", evaluation.image(payload, evaluation.sample(0, 0, [key]), 0)))
    images = []
    for epoch in range(epochs):
        parameters = train.sample(config.seed, epoch, [key])
        image = train.image(payload, parameters, 0)
        images.append(apply_on_host(image, parameters.matrices[0]))
        y, x, h, w = train.crop(height, width, parameters.crops[0])
        flipped = ", flipped" if parameters.flips[0] else ""
        title = "epoch {}{}\n{} x {} at {}, {} ({:.0f} %)"
        title = title.format(epoch, flipped, w, h, x, y, 100 * h * w / height / width)
        shown.append((title, visible(images[-1], config)))
    return shown, label, images


def mix(rows, config, epochs):
    """Append to each row what mixup makes of the rows' images in these epochs, which count as steps
    here.
    """
    for epoch in range(epochs):
        lam = mixup.draw_lambda(config.mixup_alpha, config.seed, epoch)
        partners = mixup.draw_partners(len(rows), config.seed, epoch, form=config.mixup_partner)
        for (shown, label, images), partner in zip(rows, partners):
            mixed = lam * images[epoch] + (1 - lam) * rows[partner][2][epoch]
            title = "epoch {}, mixed\n{:.2f} of label {:g}, {:.2f} of {:g}"
            title = title.format(epoch, lam, label, 1 - lam, rows[partner][1])
            shown.append((title, visible(mixed, config)))


def visible(normalised, config):
    """The colours, 0 to 1, of a normalised image (3, H, W), cut off where a screen has none."""
    colors = normalised.transpose(1, 2, 0) * np.asarray(config.rgb_std) + np.asarray(
        config.rgb_mean
    )
    return np.clip(colors / 255, 0, 1)


def draw(rows, path):
    """Write the sheet as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.9 * len(rows[0]), 2.25 * len(rows)), dpi=110, layout="constrained")
    axes = figure.subplots(len(rows), len(rows[0]), squeeze=False)
    for row, shown in zip(axes, rows):
        for axis, (title, image) in zip(row, shown):
            axis.imshow(image)
            axis.set_xlabel(title, fontsize=7)
            axis.set_xticks([])
            axis.set_yticks([])
    try:
        figure.savefig(path, format="png")
    except OSError as error:
        raise UserError(f"--output {path}: cannot be written: {error.strerror or error}") from error
