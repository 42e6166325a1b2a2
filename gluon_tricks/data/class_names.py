"""``labels.txt``: the names of the classes, one a line, in the order of their numbers.

The conversion of a data set, a run and an export each keep one next to what it names.
"""

from typing import Iterable, List, Optional

from ..errors import UserError
from ..files import plain_file, write_text

LABELS = "labels.txt"


def read_labels(path: str, classes: Optional[int] = None) -> List[str]:
    """The names in a file; UserError if it cannot be read, or they are not ``classes`` names."""
    try:
        with open(
            path, encoding="utf-8", errors="surrogateescape", newline="\n", opener=plain_file
        ) as file:
            labels = [line.rstrip("\r\n") for line in file]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a list of labels: {error}") from None
    if classes is not None and len(labels) != classes:
        raise UserError(f"{path}: has {len(labels)} labels, but the model has {classes} classes")
    return labels


def write_labels(path: str, labels: Iterable[str]) -> None:
    """Write the names; those that are no UTF-8 become the bytes that they were read from."""
    write_text(path, "".join(label + "\n" for label in labels))
