"""``gluon-tricks export``: a trained network as a folder that runs without this package, checked before it is there.

The folder is put together under a temporary name. Each form in it is then run by a fresh process on random and real
images and compared with the network; only when all agree the folder gets its name. No file in it is a pickle.
"""

import os
import platform
import shutil
import tempfile

import numpy as np

from . import __version__, evaluate
from .deploy import classifier
from .deploy import manifest as manifests
from .deploy.forms import Forms, Options
from .errors import UserError


def add_arguments(parser):
    """What to load, what to write, and the images to check it with."""
    classifier.add_arguments(parser, forms=False)
    parser.add_argument(
        "-o", "--output", metavar="DIR", required=True, help="folder to write; it must not exist or be empty"
    )
    parser.add_argument("--force", action="store_true", help="replace an earlier export in it")
    parser.add_argument("--format", choices=tuple(manifests.FILES) + ("all",), default="symbol",
                        help="symbol: MXNet's own; onnx; int8: quantised, for MXNet; all: these three [symbol]")  # fmt: skip
    parser.add_argument(
        "--preprocess", action="store_true", help="input uint8 (N, H, W, 3) RGB, normalised inside the graph"
    )
    parser.add_argument("--softmax", action="store_true", help="probabilities as a second output")
    parser.add_argument(
        "--fold-bn", action="store_true", help="fold BatchNorm into the convolutions (int8 always does)"
    )
    parser.add_argument(
        "--rec-val",
        metavar="FILE",
        default="",
        help="measure top-1 on all of this RecordIO file and compare on its images",
    )
    parser.add_argument(
        "--calibrate", metavar="FILE", default="", help="int8: RecordIO file with calibration images"
    )
    parser.add_argument(
        "--calibration-mode",
        choices=("naive", "entropy"),
        default="naive",
        help="int8: how ranges are chosen [naive]",
    )
    parser.add_argument(
        "--calibration-images", type=int, default=256, metavar="N", help="int8: how many of them [256]"
    )


def main(args):
    """Write the folder and say what is in it."""
    formats = tuple(manifests.FILES) if args.format == "all" else (args.format,)
    check_output(args.output, args.force)
    manifest = export(
        classifier.from_arguments(args), args.output, formats, preprocess=args.preprocess, softmax=args.softmax, fold_bn=args.fold_bn,
        rec_val=args.rec_val, calibrate=args.calibrate, calibration_mode=args.calibration_mode,
        calibration_images=args.calibration_images, force=args.force,
    )  # fmt: skip
    print("{}: {}, {} classes".format(args.output, manifest["model"], manifest["classes"]))
    for line in describe(manifest):
        print("  " + line)
    return 0


def check_output(folder, force=False):
    """UserError where ``folder`` cannot become an export: something else is there, or ``force`` is missing."""
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise UserError("{}: is a file, not a folder".format(folder))
    if os.path.isdir(folder) and os.listdir(folder):
        if not manifests.is_export(folder):
            raise UserError(
                "{}: is not empty and no earlier export; name another folder with -o".format(folder)
            )
        if not force:
            raise UserError(
                "{}: holds an export; name another folder with -o, or replace it with --force".format(folder)
            )


def export(
    model, folder, formats=("symbol",), preprocess=False, softmax=False, fold_bn=False, rec_val="", calibrate="",
    calibration_mode="naive", calibration_images=256, force=False,
):  # fmt: skip
    """Write ``folder``, whole or not at all, and return its manifest.

    Parameters
    ----------
    model : gluon_tricks.deploy.classifier.Classifier
        Of kind "gluon": of a run, a checkpoint or a parameter file.
    formats : some of "symbol", "onnx", "int8"
    rec_val, calibrate : str
        RecordIO files; see :func:`add_arguments`. int8 needs ``calibrate``.

    Raises UserError where the input is wrong or the folder cannot be written, and ExportError where what was written
    computes something else than the network.
    """
    if model.net is None:
        raise UserError(
            "{}: is exported already; export from the run or its parameter file".format(model.path)
        )
    if "int8" in formats and not calibrate:
        raise UserError(
            "--format int8 needs --calibrate FILE.rec: images from which it learns the ranges of the activations"
        )
    if "int8" not in formats and calibrate:
        raise UserError("--calibrate has no effect without --format int8 or all")
    check_output(folder, force)
    options = Options(preprocess, softmax, fold_bn)
    parent, name = os.path.split(os.path.abspath(folder))
    temporary = None
    try:
        os.makedirs(parent, exist_ok=True)
        temporary = tempfile.mkdtemp(prefix=".{}.writing-".format(name), dir=parent)
        calibration = dict(record=calibrate, mode=calibration_mode, count=calibration_images)
        manifest = _write(model, temporary, formats, options, rec_val, calibration)
        _give_name(temporary, folder)
    except OSError as error:
        raise UserError("{}: cannot be written: {}".format(folder, error.strerror or error)) from None
    finally:
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)
    return manifest


def _write(model, folder, formats, options, rec_val, calibration):
    """Fill ``folder`` and return the manifest."""
    runs_own = model.config.rec_val if model.config and os.path.isfile(model.config.rec_val) else ""
    forms = Forms(model, folder, options, rec_val or calibration["record"] or runs_own)
    written = {name: forms.write(name, **(calibration if name == "int8" else {})) for name in formats}
    measured = model.measured
    if "int8" in formats:
        record = rec_val or calibration["record"]
        both = compare_top1(model, forms.int8_predictor(), record)
        written["int8"].update(both["int8"], measured_on=os.path.basename(record))
        measured = dict(both["float32"], file=os.path.basename(record)) if rec_val else measured
    elif rec_val:
        measured = dict(evaluate.evaluate(model, rec_val), file=os.path.basename(rec_val))
    if model.labels:
        with open(os.path.join(folder, manifests.LABELS), "w", encoding="utf-8") as file:
            file.writelines(label + "\n" for label in model.labels)
    size, classes = model.input_size, model.classes
    return manifests.write(folder, dict(
        model=model.model, classes=classes, input_size=size, crop_ratio=model.crop_ratio, resize_shorter_edge=round(size / model.crop_ratio),
        rgb_mean=list(model.rgb_mean), rgb_std=list(model.rgb_std), options=options._asdict(),
        input=dict(name="data", dtype="uint8", layout="NHWC", shape=[None, size, size, 3]) if options.preprocess
        else dict(name="data", dtype="float32", layout="NCHW", shape=[None, 3, size, size]),
        outputs=["logits", "probabilities"][: 1 + options.softmax], measured=measured, formats=written,
        source=dict(step=model.step, params_sha256=manifests.sha256(model.params_path)), versions=versions(formats),
    ))  # fmt: skip


def compare_top1(model, int8_predict, record):
    """Figures of the network and of its INT8 form on all images of a RecordIO file, and how often they agree at top-1."""
    totals, agreed, count = np.zeros((2, 3)), 0, 0
    for batch in evaluate.batches(model, record):
        logits = [
            evaluate.check_logits(predict(batch.images), model, batch.keys)
            for predict in (model.predict, int8_predict)
        ]
        totals += [evaluate.statistics(rows, batch.labels).sum(axis=1) for rows in logits]
        agreed += int((logits[0].argmax(axis=1) == logits[1].argmax(axis=1)).sum())
        count += len(batch.labels)
    float32, quantized = (
        dict(top1=100 * t[1] / count, top5=100 * t[2] / count, loss=t[0] / count, images=count)
        for t in totals
    )
    return dict(
        float32=float32,
        int8=dict(
            quantized,
            top1_float32=float32["top1"],
            top1_lost=float32["top1"] - quantized["top1"],
            agreement=100 * agreed / count,
        ),
    )


def _give_name(temporary, folder):
    """Move the finished folder to its place; an earlier export there goes when the new one is in its place."""
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(temporary, 0o777 & ~mask)  # mkdtemp's are for the owner alone
    old = None
    if os.path.isdir(folder) and os.listdir(folder):
        old = tempfile.mkdtemp(
            prefix=".{}.old-".format(os.path.basename(os.path.abspath(folder))),
            dir=os.path.dirname(temporary),
        )
        os.rename(folder, old)
    os.rename(temporary, os.path.abspath(folder))
    if old:
        shutil.rmtree(old, ignore_errors=True)


def versions(formats):
    """The versions of what made the export."""
    import mxnet

    found = dict(
        gluon_tricks=__version__,
        mxnet=mxnet.__version__,
        numpy=np.__version__,
        python=platform.python_version(),
    )
    if "onnx" in formats:
        import onnx
        import onnxruntime

        found.update(onnx=onnx.__version__, onnxruntime=onnxruntime.__version__)
    return found


def describe(manifest):
    """Lines about an export, from its manifest."""
    measured = manifest["measured"]
    if measured:
        yield "top-1 {top1:.2f} %, top-5 {top5:.2f} % on {images} images".format(**measured)
    for name, form in manifest["formats"].items():
        compared = form["comparison"]
        yield "{}: {}; run by a fresh process on {} images: {}".format(
            name, ", ".join(form["files"]), compared["images"],
            "equal to the bit" if compared["equal_to_the_bit"] else "{:.1e} of the largest output".format(compared["relative_difference"]),
        )  # fmt: skip
        if form.get("batch_norm"):
            yield "{}: {folded} BatchNorms folded, {stayed} stay".format(name, **form["batch_norm"])
        if name == "int8":
            yield "int8: top-1 {top1:.2f} % instead of {top1_float32:.2f} %, agreement {agreement:.2f} % on {images} images of {measured_on}".format(
                **form
            )
