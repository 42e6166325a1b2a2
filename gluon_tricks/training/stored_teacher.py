"""The stored logits that a run learns from, checked to be those of its data."""

from typing import Optional

from ..config import Config
from ..data.fingerprint import differences, fingerprint
from ..data.records import RecordFile
from ..data.teacher_logits import TeacherLogits
from ..errors import UserError
from ..text import printable


def stored_teacher(config: Config) -> Optional[TeacherLogits]:
    """The file of ``--teacher-logits``, or None without the flag.

    Raises UserError if it has another number of classes than the run, lacks a training record,
    which is named, or was made from other records with the same keys.
    """
    if not config.teacher_logits:
        return None
    stored = TeacherLogits(config.teacher_logits)
    shown, classes = f"--teacher-logits {printable(stored.path)}", stored.about.classes
    if classes != config.classes:
        raise UserError(
            f"{shown}: holds logits of {classes} classes, the student has {config.classes}; if the "
            "first of the teacher's is a background class, make the file with --first-class 1"
        )
    with RecordFile(config.rec_train, config.rec_train_idx or None) as records:
        stored.places(records.keys)
    found = fingerprint(config.rec_train, config.rec_train_idx)
    different = differences(stored.about.data, found)
    if different:
        raise UserError(f"{shown}: was made from other images than {config.rec_train}: {different}")
    return stored
