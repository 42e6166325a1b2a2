"""``gluon-tricks export``: writes a trained network as a folder that runs without this package."""

from ..config import user_path
from ..deploy import arguments, tasks
from ..deploy import manifest as manifests
from ..deploy.export import check, export
from ..deploy.writer import Calibration, Options
from ..errors import UserError
from ..tasks import registry
from ..tasks.figure import best_figure
from ..text import counted, printable
from . import export_detection, of_task
from .results import at_step

DEFAULTS = "naive", 256  # mode and images of the calibration
PARTS = {"detection": export_detection}  # tasks with their own flags


def add_arguments(parser):
    """Add the flags: what to open, what to write, and the images to check it with."""
    arguments.add_arguments(parser, exports=False)
    add = parser.add_argument
    add(
        "-o",
        "--output",
        type=user_path,
        metavar="DIR",
        required=True,
        help="folder to write; it must be empty or not exist",
    )
    add("--force", action="store_true", help="replace an earlier export in the folder")
    add(
        "--format",
        choices=tuple(manifests.FILES) + ("all",),
        default="symbol",
        help="symbol: MXNet's format; onnx; int8: quantised, for MXNet; all: these three; "
        "safetensors: weights for timm, as from gluon-tricks convert [symbol]",
    )
    add(
        "--preprocess",
        action="store_true",
        help="take uint8 (N, H, W, 3) RGB as input, and normalise it in the graph",
    )
    add("--softmax", action="store_true", help="add the probabilities as a second output")
    add(
        "--fold-bn",
        action="store_true",
        help="fold BatchNorm into the convolutions (int8 always does)",
    )
    add(
        "--rec-val",
        type=user_path,
        metavar="FILE",
        help="measure the figures on this RecordIO file, and compare the formats on its images",
    )
    of_task.add_arguments(parser, PARTS)
    _add_calibration(parser.add_argument_group("calibration of --format int8").add_argument)


def _add_calibration(add):
    add("--calibrate", type=user_path, metavar="FILE", help="RecordIO file with calibration images")
    add(
        "--calibration-mode",
        choices=("naive", "entropy"),
        default=DEFAULTS[0],
        help="how the ranges are chosen [naive]",
    )
    add(
        "--calibration-images",
        type=int,
        default=DEFAULTS[1],
        metavar="N",
        help="number of images [256]",
    )


def main(args):
    """Write the folder, and print what is in it."""
    formats = manifests.RUNNABLE if args.format == "all" else (args.format,)
    calibration = None
    if not args.calibrate and (args.calibration_mode, args.calibration_images) != DEFAULTS:
        raise UserError("--calibration-mode and --calibration-images need --calibrate FILE.rec")
    if args.calibrate:
        calibration = Calibration(args.calibrate, args.calibration_mode, args.calibration_images)
    options = Options(args.preprocess, args.softmax, args.fold_bn)
    check(args.output, args.force, formats, options)
    model = arguments.open_from(args)
    of_task.settle(args, model)
    if model.task in PARTS:
        PARTS[model.task].main(args, model)
    if args.rec_val:
        arguments.compare_names(args, model, args.rec_val)
    manifest = export(
        model, args.output, formats, options, args.rec_val or "", calibration, args.force
    )
    about = f"{manifest['model']}, {counted(manifest['classes'], 'class')}"
    print(f"{printable(args.output)}: {about}{at_step(model)}")
    for line in describe(manifest):
        print("  " + line)
    return 0


def describe(manifest):
    """Lines about an export, from its manifest."""
    task = registry.TASKS[manifest["task"]]
    if manifest["measured"]:
        yield measured(manifest["measured"], task)
    for name, entry in manifest["formats"].items():
        compared = entry["comparison"]
        close = f"{compared['relative_difference']:.1e} of the largest output"
        result = "equal to the bit" if compared["equal_to_the_bit"] else close
        how = "run by a new process" if name in manifests.RUNNABLE else "read back and run"
        yield (
            f"{name}: {', '.join(entry['files'])}; {how} on "
            f"{counted(compared['images'], 'image')}: {result}"
        )
        if entry.get("batch_norm"):
            counts = entry["batch_norm"]
            yield f"{name}: {counts['folded']} BatchNorms folded, {counts['stayed']} left"
        if name == "int8":
            best, of = best_figure(task), tasks.TASKS[manifest["task"]].answers
            before = entry[best.name + "_float32"]
            yield (
                f"int8: {best.text(entry[best.name])} instead of {before:.{best.digits}f} "
                f"{best.unit}, the same answer for {entry['agreement']:.2f} % of {of}"
                f"{counted(entry['images'], 'image')} of {entry['file']}"
            )


def measured(figures, task):
    """The figures of a manifest except for the loss, in one line."""
    shown = [each for each in task.figures if each.name != "loss" and each.name in figures]
    text = ", ".join(each.text(figures[each.name]) for each in shown)
    how = f" ({figures['protocol']})" if "protocol" in figures else ""
    return f"{text} on {counted(figures['images'], 'image')}{how}"
