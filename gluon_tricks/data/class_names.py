"""``labels.txt``: the names of the classes, one a line, in the order of their numbers.

A prepared data set, a run and an export each have one.
"""

import os
from itertools import zip_longest
from typing import Iterable, List, Optional, Sequence

from ..errors import UserError
from ..files import plain_file, sha256, write_text
from ..text import printable
from .file_reading import MANIFEST, read_json

LABELS = "labels.txt"
DIGEST = "labels_sha256"  # of the file, in the manifest of a data set


def read_labels(path: str, classes: Optional[int] = None) -> List[str]:
    """The names in a file; UserError if it cannot be read, or does not hold ``classes`` names."""
    try:
        with open(
            path, encoding="utf-8", errors="surrogateescape", newline="\n", opener=plain_file
        ) as file:
            labels = [line.rstrip("\r\n") for line in file]
    except OSError as error:
        raise UserError(f"{path}: cannot be read as a list of labels: {error}") from None
    if classes is not None and len(labels) != classes:
        raise UserError(f"{path}: has {len(labels)} labels, but the model has {classes} classes")
    return labels


def names_next_to(records: str) -> Optional[List[str]]:
    """The names of the classes in the folder of a RecordIO file, or None if there are none.

    Raises UserError if they cannot be read, or are not those that ``gluon-tricks prepare`` wrote:
    damaged names would mislabel images.
    """
    folder = os.path.dirname(records)
    path = os.path.join(folder, LABELS)
    if not os.path.lexists(path):
        return None
    names = read_labels(path)
    prepared = read_json(os.path.join(folder, MANIFEST)).get(DIGEST)
    if prepared not in (None, sha256(path)):
        raise UserError(
            f"{printable(path)}: holds other names than 'gluon-tricks prepare' wrote (SHA-256 in "
            f"{MANIFEST}); the same prepare writes them again. To give classes other names, leave "
            "this file as it is: evaluate, predict and export take --labels FILE"
        )
    return names


def said_otherwise(names: Sequence[str], whose: str, records: str) -> str:
    """How the names next to a RecordIO file differ from ``names``, or "". ``whose`` tells whose
    these are, such as "the model".

    Raises UserError if they are the same in another order: the numbers then mean other classes.
    """
    theirs = names_next_to(records)
    if theirs is None or list(names) == theirs:
        return ""
    place, (ours, other) = next(
        (place, pair)
        for place, pair in enumerate(zip_longest(names, theirs, fillvalue="missing"))
        if pair[0] != pair[1]
    )
    path = os.path.join(os.path.dirname(records), LABELS)
    said = (
        f"{printable(path)}: class {place} is {printable(other)} in these records, but "
        f"{printable(ours)} in {whose}"
    )
    if sorted(names) == sorted(theirs):
        raise UserError(
            f"{said}: the same classes in another order; prepare the records again in that of "
            f"{whose}"
        )
    return f"{said}; unless these are two names of the same class, the figures mean nothing"


def write_labels(path: str, labels: Iterable[str]) -> None:
    """Write the names; those that are not UTF-8 become the bytes that they were read from."""
    write_text(path, "".join(label + "\n" for label in labels))
