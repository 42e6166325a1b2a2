"""Stores a teacher's logits for each image of a RecordIO file, to train students from them."""

import hashlib
import os
from typing import Dict

import numpy as np

from ..data.fingerprint import fingerprint
from ..data.parallel import Progress
from ..data.records import RecordFile
from ..data.sources import checked_label
from ..data.teacher_logits import About, TeacherLogitsWriter
from ..errors import UserError
from ..files import sha256, sha256_of
from ..tasks.classification import Classification as Task
from . import evaluation
from . import manifest as manifests
from .classifier import Classifier


def store(
    model: Classifier,
    record: str,
    index: str,
    path: str,
    dtype: str = "float16",
    first_class: int = 0,
    batch_size: int = 32,
    threads: int = 4,
) -> Dict[str, float]:
    """Write a teacher's logits for all images of a RecordIO file, as centre crops, to ``path``.

    ``first_class``: the teacher's output for class 0; outputs before it are left out. A file that
    an interrupted call left is continued.

    Returns the task's figures on the images of this call, as
    :func:`gluon_tricks.deploy.evaluation.evaluate` does: they reveal a teacher whose classes are in
    another order. Raises UserError as that does, and if the file cannot be written.
    """
    if not 0 <= first_class < model.classes:
        raise UserError(f"--first-class {first_class}: the teacher has {model.classes} outputs")
    with RecordFile(record, index or None) as file:
        keys = file.keys
    about = About(
        len(keys),
        model.classes - first_class,
        dtype,
        teacher=identity(model, first_class),
        preprocessing=model.preprocessing.description(),
        data=fingerprint(record, index),
    )
    sums, count = np.zeros(len(Task.sums)), 0
    with TeacherLogitsWriter(path, about, keys) as writer, Progress("logits", len(keys)) as shown:
        for batch in evaluation.batches(model, record, index, batch_size, threads, writer.done):
            logits = model.predict(batch.images, batch.keys)[:, first_class:]
            for label, key in zip(batch.labels, batch.keys):
                checked_label(label, about.classes, record, key)
            writer.write(logits)
            sums += Task.count_each(logits, batch.labels).sum(axis=1)
            count += len(logits)
            shown.show(writer.done)
    return Task.summary(sums.tolist(), count) if count else {}


def identity(model: Classifier, first_class: int) -> dict:
    """What identifies a teacher, wherever its files are."""
    return dict(
        source=os.path.basename(os.path.abspath(model.path)),
        kind=model.kind,
        model=model.model,
        first_class=first_class,
        sha256=_digest_of_network(model.trained.net) if model.trained else _digest_of_files(model),
    )


def _digest_of_network(net):
    """The SHA-256 of a Gluon network's parameters, independent of their file."""
    import mxnet as mx

    digest = hashlib.sha256()
    for name, parameter in sorted(net._collect_params_with_prefix().items()):
        values = parameter.data(mx.cpu()).asnumpy()
        digest.update(f"{name} {values.dtype} {values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def _digest_of_files(model):
    """The SHA-256 of the files of an export's format, or of a file from elsewhere."""
    folder, name = os.path.split(os.path.abspath(model.path))
    names = manifests.FILES.get(model.kind, ())
    if os.path.isdir(model.path):
        folder = model.path
    elif name not in names:
        names = (name,)
    return sha256_of({name: sha256(os.path.join(folder, name)) for name in names})
