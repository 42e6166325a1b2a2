"""Stores what a teacher says of each image of a RecordIO file, to train students from it."""

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
    """Write the logits of a teacher for all images of a RecordIO file, centre crops, to ``path``.

    ``first_class``: the teacher's output that is class 0; those before it are left out. A file that
    an interrupted call left is continued.

    Returns the figures of the task on the images that this call has seen, as
    :func:`gluon_tricks.deploy.evaluation.evaluate` does: a teacher that knows the classes in
    another order shows in them. Raises UserError as that does, and if the file cannot be written.
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
    """What tells a teacher from others, wherever it lies."""
    return dict(
        source=os.path.basename(os.path.abspath(model.path)),
        kind=model.kind,
        model=model.model,
        first_class=first_class,
        sha256=_digest_of_network(model.trained.net) if model.trained else _digest_of_files(model),
    )


def _digest_of_network(net):
    """The SHA-256 of a Gluon network's parameters, whatever file they came from."""
    import mxnet as mx

    digest = hashlib.sha256()
    for name, parameter in sorted(net._collect_params_with_prefix().items()):
        values = parameter.data(mx.cpu()).asnumpy()
        digest.update(f"{name} {values.dtype} {values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def _digest_of_files(model):
    """The SHA-256 of the files of a format of an export, or of a file from elsewhere."""
    folder, name = os.path.split(os.path.abspath(model.path))
    names = manifests.FILES.get(model.kind, ())
    if os.path.isdir(model.path):
        folder = model.path
    elif name not in names:
        names = (name,)
    return sha256_of({name: sha256(os.path.join(folder, name)) for name in names})
