"""Writes a trained network as a folder that runs without this package, and checks it.

The folder is written under a temporary name. A new process then runs each of its formats on random
and real images, and the outputs are compared with the network's; only if all agree is the folder
renamed. No file is a pickle. Only one export at a time writes a folder; it removes what a killed
one left.
"""

import contextlib
import dataclasses
import os
import platform
import re
import shutil
import tempfile
from typing import Optional, Sequence

import numpy as np

from .. import __version__
from ..data.class_names import LABELS, write_labels
from ..data.record_index import index_path_of
from ..errors import UserError
from ..files import check_utf8, sha256
from ..locking import Lock
from ..text import printable
from . import manifest as manifests
from . import tasks
from .opened import Opened
from .writer import Calibration, FormatWriter, Options


def check(folder: str, force: bool, formats: Sequence[str], options: Options = Options()) -> None:
    """UserError if ``folder`` cannot become an export, or formats and options do not match."""
    if any(options) and not set(formats) & set(manifests.RUNNABLE):
        raise UserError(
            f"--{options.chosen()[0].replace('_', '-')} has no effect with --format {formats[0]}, "
            "which has no graph"
        )
    check_utf8(os.path.realpath(folder))
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise UserError(f"{folder}: is a file, not a folder")
    if os.path.isdir(folder) and os.listdir(folder):
        if not manifests.is_export(folder):
            raise UserError(
                f"{folder}: is neither empty nor an earlier export; name another folder with -o"
            )
        if not force:
            raise UserError(
                f"{folder}: holds an export; name another folder with -o, or replace it with "
                "--force"
            )


def export(
    model: Opened,
    folder: str,
    formats: Sequence[str] = ("symbol",),
    options: Options = Options(),
    rec_val: str = "",
    calibration: Optional[Calibration] = None,
    force: bool = False,
) -> dict:
    """Write ``folder``, whole or not at all, and return its manifest.

    Parameters
    ----------
    model : gluon_tricks.deploy.opened.Opened
        Of kind "gluon": of a run, a checkpoint or a parameter file.
    formats : some of "symbol", "onnx", "int8", "safetensors"
    options : gluon_tricks.deploy.writer.Options
    rec_val : str
        RecordIO file; the task's figures are measured on all of it.
    calibration : gluon_tricks.deploy.writer.Calibration
        The images that int8 needs.
    force : bool
        Replace an earlier export.

    Raises UserError if the input is wrong or the folder cannot be written, and ExportError if a
    format does not compute what the network does.
    """
    if model.trained is None:
        raise UserError(
            f"{model.path}: is an export itself; export from the run or its parameter file"
        )
    if tasks.TASKS[model.task].examples is None:
        raise UserError(f"{model.path}: is for {model.task}, which has no exports")
    _refuse_lacking(model, formats, options)
    _check_calibration(formats, calibration)
    check(folder, force, formats, options)
    with _only_writer(folder):
        check(folder, force, formats, options)  # again: another may have ended
        with _renamed_when_whole(folder) as temporary:
            return _write(model, temporary, formats, options, rec_val, calibration)


def _check_calibration(formats, calibration):
    if "int8" in formats and not calibration:
        raise UserError(
            "--format int8 needs --calibrate FILE.rec, images from which it derives the ranges of "
            "activations"
        )
    if calibration and "int8" not in formats:
        raise UserError("--calibrate has no effect without --format int8 or all")
    if calibration and calibration.images < 1:
        raise UserError(f"--calibration-images {calibration.images}: has to be at least 1")


def _refuse_lacking(model, formats, options):
    lacks = tasks.TASKS[model.task].lacks
    for name in (*formats, *options.chosen()):
        if name in lacks:
            flag = f"--format {name}" if name in formats else "--" + name.replace("_", "-")
            raise UserError(f"{flag}: {model.path} is for {model.task}, and {lacks[name]}")


@contextlib.contextmanager
def _only_writer(folder):
    """Keep others from exporting to ``folder``, and remove what a killed export left."""
    parent, name = os.path.split(os.path.realpath(folder))
    try:
        os.makedirs(parent, exist_ok=True)
        with Lock(os.path.join(parent, f".{name}.lock"), f"-o {printable(folder)}"):
            _clean_up(parent, name)
            yield
    except OSError as error:
        raise UserError(
            f"{printable(folder)}: cannot be written: {error.strerror or error}"
        ) from None


@contextlib.contextmanager
def _renamed_when_whole(folder):
    """A temporary folder that is renamed to ``folder`` at the end, or removed after an error."""
    parent, name = os.path.split(os.path.realpath(folder))
    temporary = tempfile.mkdtemp(prefix=f".{name}.writing-", dir=parent)
    try:
        yield temporary
        _give_name(temporary, os.path.join(parent, name))
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _clean_up(parent, name):
    """Remove what a killed export of that name left, and restore an earlier export that it had set
    aside.
    """
    for found in os.listdir(parent):
        left = re.fullmatch(re.escape(f".{name}.") + r"(writing|old)-[a-z0-9_]{8}", found)
        if left and left[1] == "old" and not os.path.lexists(os.path.join(parent, name)):
            os.rename(os.path.join(parent, found), os.path.join(parent, name))
        elif left:
            shutil.rmtree(os.path.join(parent, found), ignore_errors=True)


def _write(model, folder, formats, options, rec_val, calibration):
    """Fill ``folder`` and return the manifest."""
    task = tasks.TASKS[model.task]
    real = rec_val or (calibration.record if calibration else validation_record(model))
    writer = FormatWriter(model, folder, options, real)
    entries = {format: writer.write(format, calibration) for format in formats}
    measured = model.measured
    if "int8" in formats:
        record = rec_val or calibration.record
        quantized = dataclasses.replace(model, kind="int8", compute=writer.int8_predictor())
        of_network, of_int8 = task.compare_figures(model, quantized, record)
        file = os.path.basename(record)
        entries["int8"].update(of_int8, file=file)
        measured = dict(of_network, file=file) if rec_val else measured
    elif rec_val:
        measured = dict(task.measure(model, rec_val), file=os.path.basename(rec_val))
    if model.labels:
        write_labels(os.path.join(folder, LABELS), model.labels)
    file = model.trained.parameters
    manifest = dict(
        manifests.description(model, options),
        measured=measured,
        formats=entries,
        source=dict(step=model.trained.step, params_sha256=file and sha256(file)),
        versions=versions(formats),
    )
    return manifests.write(folder, manifest)


def validation_record(model: Opened) -> str:
    """The file on which the model's run was validated, or "" if it or its index is missing: an
    export is compared on random images, too.
    """
    run = model.trained.run if model.trained else None
    record = run.config.rec_val if run else ""
    return record if all(map(os.path.isfile, (record, index_path_of(record)))) else ""


def _give_name(temporary, folder):
    """Move the finished folder to its place; an earlier export is removed once the new one is
    there.
    """
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(temporary, 0o777 & ~mask)  # mkdtemp makes folders for the owner only
    old = None
    if manifests.is_export(folder):  # other contents by now stay, and are an error
        parent, name = os.path.split(folder)
        old = tempfile.mkdtemp(prefix=f".{name}.old-", dir=parent)
        os.rename(folder, old)
    os.rename(temporary, folder)
    if old:
        shutil.rmtree(old, ignore_errors=True)


def versions(formats):
    """The versions of the software that made the export."""
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
