"""``gluon-tricks export``: a trained network as a folder that runs without this package, and is
checked.

The folder is put together under a temporary name. Each form in it is then run by a fresh process on
random and real images and compared with the network; only when all agree the folder gets its name.
No file is a pickle. One export at a time writes a folder, and removes what one that was killed has
left.
"""

import os
import platform
import re
import shutil
import tempfile

import numpy as np

from .. import __version__
from ..config import user_path
from ..errors import UserError
from ..files import sha256
from ..locking import Lock
from ..text import printable
from . import classifier
from . import evaluation as evaluate
from . import manifest as manifests
from .formats import Calibration, Forms, Options


def add_arguments(parser):
    """What to load, what to write, and the images to check it with."""
    classifier.add_arguments(parser, forms=False)
    add = parser.add_argument
    add(
        "-o",
        "--output",
        type=user_path,
        metavar="DIR",
        required=True,
        help="folder to write; it must not exist or be empty",
    )
    add("--force", action="store_true", help="replace an earlier export in it")
    add(
        "--format",
        choices=tuple(manifests.FILES) + ("all",),
        default="symbol",
        help="symbol: MXNet's own; onnx; int8: quantised, for MXNet; all: these three [symbol]",
    )
    add(
        "--preprocess",
        action="store_true",
        help="input uint8 (N, H, W, 3) RGB, normalised in the graph",
    )
    add("--softmax", action="store_true", help="probabilities as a second output")
    add(
        "--fold-bn",
        action="store_true",
        help="fold BatchNorm into the convolutions (int8 always does)",
    )
    add(
        "--rec-val",
        type=user_path,
        metavar="FILE",
        default="",
        help="measure top-1 on this RecordIO file; compare on its images",
    )
    add(
        "--calibrate",
        type=user_path,
        metavar="FILE",
        default="",
        help="int8: RecordIO file with calibration images",
    )
    add(
        "--calibration-mode",
        choices=("naive", "entropy"),
        default="naive",
        help="int8: choice of ranges [naive]",
    )
    add(
        "--calibration-images",
        type=int,
        default=256,
        metavar="N",
        help="int8: how many of them [256]",
    )


def main(args):
    """Write the folder and say what is in it."""
    formats = tuple(manifests.FILES) if args.format == "all" else (args.format,)
    calibration = None
    if args.calibrate:
        calibration = Calibration(args.calibrate, args.calibration_mode, args.calibration_images)
    check(args.output, args.force, formats, calibration)
    options = Options(args.preprocess, args.softmax, args.fold_bn)
    model = classifier.from_arguments(args)
    manifest = export(model, args.output, formats, options, args.rec_val, calibration, args.force)
    print(
        "{}: {}, {} classes".format(printable(args.output), manifest["model"], manifest["classes"])
    )
    for line in describe(manifest):
        print("  " + line)
    return 0


def check(folder, force, formats, calibration):
    """UserError where ``folder`` cannot become an export, or formats and calibration do not fit."""
    if "int8" in formats and not calibration:
        raise UserError(
            "--format int8 needs --calibrate FILE.rec, images from which it learns ranges of activations"
        )
    if calibration and "int8" not in formats:
        raise UserError("--calibrate has no effect without --format int8 or all")
    if calibration and calibration.images < 1:
        raise UserError(f"--calibration-images {calibration.images}: at least 1 is needed")
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise UserError(f"{folder}: is a file, not a folder")
    if os.path.isdir(folder) and os.listdir(folder):
        if not manifests.is_export(folder):
            raise UserError(
                f"{folder}: is not empty and no earlier export; name another folder with -o"
            )
        if not force:
            raise UserError(
                f"{folder}: holds an export; name another folder with -o, or replace it with --force"
            )


def export(
    model, folder, formats=("symbol",), options=Options(), rec_val="", calibration=None, force=False
):
    """Write ``folder``, whole or not at all, and return its manifest.

    Parameters
    ----------
    model : gluon_tricks.deploy.classifier.Classifier
        Of kind "gluon": of a run, a checkpoint or a parameter file.
    formats : some of "symbol", "onnx", "int8"
    options : gluon_tricks.deploy.formats.Options
    rec_val : str
        RecordIO file; top-1 and top-5 are measured on all of it.
    calibration : gluon_tricks.deploy.formats.Calibration
        The images that int8 needs.
    force : bool
        Replace an earlier export.

    Raises UserError where the input is wrong or the folder cannot be written, and ExportError where
    what was written computes something else than the network.
    """
    if model.net is None:
        raise UserError(
            f"{model.path}: is exported already; export from the run or its parameter file"
        )
    check(folder, force, formats, calibration)
    parent, name = os.path.split(os.path.abspath(folder))
    temporary = None
    try:
        os.makedirs(parent, exist_ok=True)
        with Lock(os.path.join(parent, f".{name}.lock"), f"-o {printable(folder)}"):
            _clean_up(parent, name)
            check(folder, force, formats, calibration)  # again: another export may just have ended
            try:
                temporary = tempfile.mkdtemp(prefix=f".{name}.writing-", dir=parent)
                manifest = _write(model, temporary, formats, options, rec_val, calibration)
                _give_name(temporary, os.path.join(parent, name))
            finally:
                if temporary:
                    shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise UserError(
            f"{printable(folder)}: cannot be written: {error.strerror or error}"
        ) from None
    return manifest


def _clean_up(parent, name):
    """Remove what an export of that name left when it was killed; an earlier export that it had set
    aside comes back.
    """
    for found in os.listdir(parent):
        left = re.fullmatch(re.escape(f".{name}.") + r"(writing|old)-[a-z0-9_]{8}", found)
        if left and left[1] == "old" and not os.path.lexists(os.path.join(parent, name)):
            os.rename(os.path.join(parent, found), os.path.join(parent, name))
        elif left:
            shutil.rmtree(os.path.join(parent, found), ignore_errors=True)


def _write(model, folder, formats, options, rec_val, calibration):
    """Fill ``folder`` and return the manifest."""
    runs_own = model.config.rec_val if os.path.isfile(model.config.rec_val) else ""
    forms = Forms(
        model, folder, options, rec_val or (calibration.record if calibration else runs_own)
    )
    written = {
        name: forms.write(name, *([calibration] if name == "int8" else [])) for name in formats
    }
    measured = model.measured
    if "int8" in formats:
        float32, quantized = compare_top1(
            model, forms.int8_predictor(), rec_val or calibration.record
        )
        written["int8"].update(quantized)
        measured = float32 if rec_val else measured
    elif rec_val:
        measured = dict(evaluate.evaluate(model, rec_val), file=os.path.basename(rec_val))
    if model.labels:
        with open(
            os.path.join(folder, manifests.LABELS), "w", encoding="utf-8", errors="surrogateescape"
        ) as file:
            file.writelines(label + "\n" for label in model.labels)
    return manifests.write(
        folder,
        dict(
            manifests.description(model, options),
            measured=measured,
            formats=written,
            source=dict(step=model.step, params_sha256=sha256(model.params_path)),
            versions=versions(formats),
        ),
    )


def compare_top1(model, int8_predict, record):
    """Figures of the network and of its INT8 form on all images of a RecordIO file: two dicts.

    The second also says how much top-1 is lost, and for how many percent of the images both agree.
    """
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
        dict(evaluate.summary(sums, count), file=os.path.basename(record)) for sums in totals
    )
    quantized.update(
        top1_float32=float32["top1"],
        top1_lost=float32["top1"] - quantized["top1"],
        agreement=100 * agreed / count,
    )
    return float32, quantized


def _give_name(temporary, folder):
    """Move the finished folder to its place; an earlier export goes when the new one is there."""
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(temporary, 0o777 & ~mask)  # mkdtemp's are for the owner alone
    old = None
    if os.path.isdir(folder) and os.listdir(folder):
        parent, name = os.path.split(folder)
        old = tempfile.mkdtemp(prefix=f".{name}.old-", dir=parent)
        os.rename(folder, old)
    os.rename(temporary, folder)
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
    if manifest["measured"]:
        yield "top-1 {top1:.2f} %, top-5 {top5:.2f} % on {images} images".format(
            **manifest["measured"]
        )
    for name, form in manifest["formats"].items():
        compared = form["comparison"]
        close = "{:.1e} of the largest output".format(compared["relative_difference"])
        yield "{}: {}; run by a fresh process on {} images: {}".format(
            name,
            ", ".join(form["files"]),
            compared["images"],
            "equal to the bit" if compared["equal_to_the_bit"] else close,
        )
        if form.get("batch_norm"):
            yield "{}: {folded} BatchNorms folded, {stayed} stay".format(name, **form["batch_norm"])
        if name == "int8":
            yield (
                "int8: top-1 {top1:.2f} % instead of {top1_float32:.2f} %, the same answer for "
                "{agreement:.2f} % of {images} images of {file}".format(**form)
            )
